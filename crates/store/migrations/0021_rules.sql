-- Rules as written; what they say is JSON.
CREATE TABLE rules (
  id BIGINT NOT NULL PRIMARY KEY,
  project BIGINT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  version BIGINT NOT NULL,
  UNIQUE (project, name)
);

-- Who is kept out by a rule, and was. whose: 0 key, 1 consumer, 2 project, 3 service. service: what is closed to
-- them, everything when NULL. until_us: when it ends by itself, NULL until somebody lifts it. ended_us: NULL while
-- it holds. lifted: 1 when somebody, or a rule, took it away before its time.
CREATE TABLE blocks (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT NOT NULL,
  project BIGINT NOT NULL,
  rule BIGINT NOT NULL,
  rule_name TEXT NOT NULL,
  whose BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  service BIGINT,
  from_us BIGINT NOT NULL,
  until_us BIGINT,
  reason TEXT NOT NULL,
  ended_us BIGINT,
  ended_by TEXT,
  lifted BIGINT NOT NULL DEFAULT 0,
  version BIGINT NOT NULL
);
CREATE INDEX blocks_held ON blocks (whose, subject) WHERE ended_us IS NULL;
CREATE INDEX blocks_by_time ON blocks (tenant, from_us, id);
CREATE INDEX blocks_by_subject ON blocks (subject, whose, from_us);
CREATE INDEX blocks_by_end ON blocks (ended_us) WHERE ended_us IS NOT NULL;

-- What rules did, or would have done. mode: 0 observe, 1 enforce. action: 0 block, 1 unblock, 2 notify.
CREATE TABLE rule_firings (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT NOT NULL,
  project BIGINT NOT NULL,
  rule BIGINT NOT NULL,
  rule_name TEXT NOT NULL,
  mode BIGINT NOT NULL,
  action BIGINT NOT NULL,
  whose BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  until_us BIGINT,
  words TEXT NOT NULL
);
CREATE INDEX rule_firings_by_tenant ON rule_firings (tenant, at_us, id);
CREATE INDEX rule_firings_by_rule ON rule_firings (rule, at_us, id);
CREATE INDEX rule_firings_by_time ON rule_firings (at_us);

-- Which node watches for rules: one at a time, until a moment. epoch goes up whenever somebody begins, and all
-- that rules do is written under it.
CREATE TABLE rule_watch (
  id BIGINT NOT NULL PRIMARY KEY,
  epoch BIGINT NOT NULL,
  node BIGINT NOT NULL,
  until_us BIGINT NOT NULL
);
INSERT INTO rule_watch (id, epoch, node, until_us) VALUES (1, 0, 0, 0);

-- Up to which position the watch has read each lane: blocks of decisions from there on are not packed anew.
CREATE TABLE rule_reads (
  boot BIGINT NOT NULL,
  lane BIGINT NOT NULL,
  position BIGINT NOT NULL,
  PRIMARY KEY (boot, lane)
);
