-- Requests of the admin API that carried an Idempotency-Key, for a day. name and request are SHA-256
-- of the key and of what was asked. state: 0 under way, 1 answered. body never holds a secret.
CREATE TABLE idempotency (
  tenant BIGINT NOT NULL,
  actor TEXT NOT NULL,
  name BLOB NOT NULL,
  request BLOB NOT NULL,
  state BIGINT NOT NULL,
  status BIGINT NOT NULL,
  body TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  PRIMARY KEY (tenant, actor, name)
) /*WITHOUT_ROWID*/;
CREATE INDEX idempotency_by_time ON idempotency (created_us);

-- Changes to many keys, with their progress. state: 0 running, 1 done, 2 failed, 3 cancelled.
-- run is the process that works on it.
CREATE TABLE jobs (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT NOT NULL,
  actor TEXT NOT NULL,
  request TEXT NOT NULL,
  state BIGINT NOT NULL,
  total BIGINT NOT NULL,
  done BIGINT NOT NULL,
  changed BIGINT NOT NULL,
  error TEXT,
  run BIGINT NOT NULL,
  created_us BIGINT NOT NULL,
  updated_us BIGINT NOT NULL
);
CREATE INDEX jobs_by_tenant ON jobs (tenant, created_us, id);
