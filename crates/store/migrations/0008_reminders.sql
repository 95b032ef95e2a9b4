-- What people were reminded of, each once: a key, why, and the moment it is about. number has no gaps.
-- kind: 0 it expires, 1 its secret is old, 2 it is not used. step: how many days before, for kind 0.
-- done_us: since when it is so no longer. mailed_us: when it went into a digest.
CREATE TABLE reminders (
  number BIGINT NOT NULL PRIMARY KEY,
  key BIGINT NOT NULL,
  kind BIGINT NOT NULL,
  due_us BIGINT NOT NULL,
  step BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  project BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  done_us BIGINT,
  mailed_us BIGINT,
  UNIQUE (key, kind, due_us, step)
);
CREATE INDEX reminders_by_tenant ON reminders (tenant, number);
CREATE INDEX reminders_open ON reminders (tenant, kind, key) WHERE done_us IS NULL;
CREATE INDEX reminders_unmailed ON reminders (number) WHERE mailed_us IS NULL;

-- The last digest of a tenant.
CREATE TABLE reminder_digests (
  tenant BIGINT NOT NULL PRIMARY KEY,
  at_us BIGINT NOT NULL
);
