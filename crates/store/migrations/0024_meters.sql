-- Meters: what is counted from events. series: what its values are kept under, a new one whenever it counts
-- something else. from_position, from_us: the first record and the first moment that it counts.
CREATE TABLE meters (
  id BIGINT NOT NULL PRIMARY KEY,
  project BIGINT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  version BIGINT NOT NULL,
  series BIGINT NOT NULL,
  from_position BIGINT NOT NULL,
  from_us BIGINT NOT NULL,
  UNIQUE (project, name)
);

-- version: goes up whenever a meter comes, goes or counts something else; who counts holds it until the commit.
-- minutes_from_us: minutes before this may be forgotten.
CREATE TABLE meter_head (
  id BIGINT NOT NULL PRIMARY KEY,
  version BIGINT NOT NULL,
  minutes_from_us BIGINT NOT NULL
);
INSERT INTO meter_head (id, version, minutes_from_us) VALUES (1, 0, 0);

-- What is known of a series beside its values: groups that are kept apart, events beyond them, events without a
-- value. Whoever writes values of a series holds its row.
CREATE TABLE meter_series (
  series BIGINT NOT NULL PRIMARY KEY,
  groups BIGINT NOT NULL,
  others BIGINT NOT NULL,
  skipped BIGINT NOT NULL
);

-- The words of groups; number is 63 bits of their SHA-256, and 0 is no group of its own.
CREATE TABLE meter_groups (
  series BIGINT NOT NULL,
  number BIGINT NOT NULL,
  words TEXT NOT NULL,
  PRIMARY KEY (series, number)
) /*WITHOUT_ROWID*/;

-- Values by minute and hour: how many events, the sum (whole and billionths), the least and the most.
CREATE TABLE meter_minute (
  series BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  number BIGINT NOT NULL,
  count BIGINT NOT NULL,
  whole BIGINT NOT NULL,
  part BIGINT NOT NULL,
  min_whole BIGINT,
  min_part BIGINT,
  max_whole BIGINT,
  max_part BIGINT,
  PRIMARY KEY (series, start_us, number)
) /*WITHOUT_ROWID*/;
CREATE INDEX meter_minute_by_start ON meter_minute (start_us);

CREATE TABLE meter_hour (
  series BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  number BIGINT NOT NULL,
  count BIGINT NOT NULL,
  whole BIGINT NOT NULL,
  part BIGINT NOT NULL,
  min_whole BIGINT,
  min_part BIGINT,
  max_whole BIGINT,
  max_part BIGINT,
  PRIMARY KEY (series, start_us, number)
) /*WITHOUT_ROWID*/;
CREATE INDEX meter_hour_by_start ON meter_hour (start_us);

-- Different words (core/src/meter/sketch.rs). step: 0 by minute, 1 by hour.
CREATE TABLE meter_sketches (
  series BIGINT NOT NULL,
  step BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  number BIGINT NOT NULL,
  packed BLOB NOT NULL,
  PRIMARY KEY (series, step, start_us, number)
) /*WITHOUT_ROWID*/;
CREATE INDEX meter_sketches_by_start ON meter_sketches (step, start_us);

-- Dashboards of widgets. owner: whose it is; shared: 1 when all members of the tenant may see it.
CREATE TABLE dashboards (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT NOT NULL REFERENCES tenants (id),
  owner BIGINT NOT NULL,
  name TEXT NOT NULL,
  shared BIGINT NOT NULL,
  widgets TEXT NOT NULL,
  version BIGINT NOT NULL,
  changed_us BIGINT NOT NULL
);
CREATE INDEX dashboards_by_tenant ON dashboards (tenant, name);
