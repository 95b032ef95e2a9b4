CREATE TABLE feed_head (
  id BIGINT NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL,
  hash BLOB NOT NULL,
  installation BIGINT NOT NULL
);

CREATE TABLE changes (
  seq BIGINT NOT NULL PRIMARY KEY,
  at_us BIGINT NOT NULL,
  tenant BIGINT,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  entity TEXT NOT NULL,
  entity_id BIGINT NOT NULL,
  version BIGINT NOT NULL,
  before TEXT,
  after TEXT,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL
);
CREATE INDEX changes_by_entity ON changes (entity_id, seq);

CREATE TABLE tenants (
  id BIGINT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  version BIGINT NOT NULL
);

CREATE TABLE projects (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  key_prefix TEXT NOT NULL,
  version BIGINT NOT NULL,
  UNIQUE (tenant, name)
);

CREATE TABLE services (
  id BIGINT NOT NULL PRIMARY KEY,
  project BIGINT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  version BIGINT NOT NULL,
  UNIQUE (project, name)
);

CREATE TABLE policies (
  id BIGINT NOT NULL PRIMARY KEY,
  project BIGINT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  version BIGINT NOT NULL,
  UNIQUE (project, name)
);

CREATE TABLE consumers (
  id BIGINT NOT NULL PRIMARY KEY,
  project BIGINT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  version BIGINT NOT NULL,
  import_id BIGINT,
  UNIQUE (project, name)
);
CREATE INDEX consumers_by_import ON consumers (import_id) WHERE import_id IS NOT NULL;

-- state: 0 active, 1 disabled, 2 blocked, 3 revoked. environment: 0 live, 1 test.
-- consumer and policy are no foreign keys: a revoked key outlives both.
CREATE TABLE keys (
  id BIGINT NOT NULL PRIMARY KEY,
  project BIGINT NOT NULL REFERENCES projects (id),
  consumer BIGINT NOT NULL,
  policy BIGINT,
  environment BIGINT NOT NULL,
  state BIGINT NOT NULL,
  name TEXT,
  expires_us BIGINT NOT NULL,
  narrowing TEXT,
  metadata TEXT,
  prefix TEXT NOT NULL,
  last4 TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  version BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  import_id BIGINT
);
CREATE INDEX keys_by_time ON keys (created_us, id);
CREATE INDEX keys_by_project ON keys (project, created_us, id);
CREATE INDEX keys_by_consumer ON keys (consumer, created_us, id);
CREATE INDEX keys_by_import ON keys (import_id) WHERE import_id IS NOT NULL;

-- scheme: 0 our own, 1 imported by SHA-256, 2 by SHA-512, 3 by HMAC-SHA-256.
CREATE TABLE key_secrets (
  digest BLOB NOT NULL PRIMARY KEY,
  key BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  until_us BIGINT NOT NULL,
  scheme BIGINT NOT NULL
) /*WITHOUT_ROWID*/;
CREATE INDEX key_secrets_by_key ON key_secrets (key, generation, until_us, scheme);

-- How many key_secrets have each scheme but 0: which shapes can be keys at all.
CREATE TABLE imported_schemes (
  scheme BIGINT NOT NULL PRIMARY KEY,
  secrets BIGINT NOT NULL
);

-- scheme: 4 bcrypt, 5 argon2. prefix is the SHA-256 of the first prefix_bytes bytes.
CREATE TABLE slow_secrets (
  key BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  prefix BLOB NOT NULL,
  prefix_bytes BIGINT NOT NULL,
  hash TEXT NOT NULL,
  until_us BIGINT NOT NULL,
  scheme BIGINT NOT NULL,
  PRIMARY KEY (key, generation)
);
CREATE INDEX slow_secrets_by_prefix ON slow_secrets (prefix);
CREATE INDEX slow_secrets_by_length ON slow_secrets (prefix_bytes);

CREATE TABLE hmac_secrets (
  id BIGINT NOT NULL PRIMARY KEY,
  secret BLOB NOT NULL UNIQUE
);

-- The last use of each secret, as shipped.
CREATE TABLE key_uses (
  key BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  used_us BIGINT NOT NULL,
  address BLOB NOT NULL,
  PRIMARY KEY (key, generation)
) /*WITHOUT_ROWID*/;

CREATE TABLE service_tokens (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  services TEXT NOT NULL,
  digest BLOB NOT NULL UNIQUE,
  last4 TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  revoked_us BIGINT,
  version BIGINT NOT NULL
);

CREATE TABLE users (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT NOT NULL REFERENCES tenants (id),
  email TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  version BIGINT NOT NULL,
  UNIQUE (tenant, email)
);

CREATE TABLE nodes (
  node BIGINT NOT NULL PRIMARY KEY,
  boot BIGINT NOT NULL,
  applied_seq BIGINT NOT NULL,
  seen_us BIGINT NOT NULL,
  lease_ms BIGINT NOT NULL,
  shipped_until_us BIGINT NOT NULL
);

CREATE TABLE shipped (
  boot BIGINT NOT NULL,
  lane BIGINT NOT NULL,
  upto BIGINT NOT NULL,
  lost BIGINT NOT NULL,
  PRIMARY KEY (boot, lane)
);

CREATE TABLE quota_usage (
  rule BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  period_start_us BIGINT NOT NULL,
  period_end_us BIGINT NOT NULL,
  used BIGINT NOT NULL,
  PRIMARY KEY (rule, subject, period_start_us)
) /*WITHOUT_ROWID*/;
CREATE INDEX quota_usage_by_end ON quota_usage (period_end_us);

CREATE TABLE usage_minute (
  minute_us BIGINT NOT NULL,
  key BIGINT NOT NULL,
  service BIGINT NOT NULL,
  code BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  project BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  units BIGINT NOT NULL,
  latency_us BIGINT NOT NULL,
  upstream_us BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  PRIMARY KEY (minute_us, key, service, code, consumer, project, tenant)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_minute_by_key ON usage_minute (key, minute_us);

-- What is asked for has a column; the rest is packed (see usage/packed.rs).
CREATE TABLE decisions (
  boot BIGINT NOT NULL,
  lane BIGINT NOT NULL,
  number BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  key BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  project BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  service BIGINT NOT NULL,
  code BIGINT NOT NULL,
  rest BLOB NOT NULL,
  PRIMARY KEY (boot, lane, number)
) /*WITHOUT_ROWID*/;
CREATE INDEX decisions_by_time ON decisions (at_us, boot, lane, number);
CREATE INDEX decisions_by_key ON decisions (key, at_us, boot, lane, number);
