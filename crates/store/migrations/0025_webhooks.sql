-- Who is told what happens. seen: notices before this position were looked at. failing_us: since when every attempt
-- failed. disabled_us, disabled_why: since when and why nothing is told any more, although it is enabled.
CREATE TABLE webhooks (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT NOT NULL REFERENCES tenants (id),
  project BIGINT REFERENCES projects (id),
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  version BIGINT NOT NULL,
  seen BIGINT NOT NULL,
  failing_us BIGINT,
  disabled_us BIGINT,
  disabled_why TEXT
);
CREATE INDEX webhooks_by_tenant ON webhooks (tenant, name, id);

-- What deliveries are signed with, encrypted (see src/secrets). until_us: an older one is used along with the newest
-- until then.
CREATE TABLE webhook_secrets (
  webhook BIGINT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
  number BIGINT NOT NULL,
  sealed BLOB NOT NULL,
  made_us BIGINT NOT NULL,
  until_us BIGINT NOT NULL,
  PRIMARY KEY (webhook, number)
);

-- Notices on their way to a webhook. state: 0 to be sent, 1 taken, 2 given up. attempts: of the present try.
-- status: of the last answer, 0 for none. answer: its first characters, or why there was none.
CREATE TABLE webhook_deliveries (
  webhook BIGINT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
  position BIGINT NOT NULL,
  notice BIGINT NOT NULL,
  kind TEXT NOT NULL,
  state BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  made_us BIGINT NOT NULL,
  next_us BIGINT NOT NULL,
  last_us BIGINT,
  status BIGINT NOT NULL,
  took_us BIGINT NOT NULL,
  answer TEXT NOT NULL,
  PRIMARY KEY (webhook, position)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, next_us) WHERE state = 0;
CREATE INDEX webhook_deliveries_made ON webhook_deliveries (made_us);

-- Who sends. epoch: goes up whenever somebody else begins; only the present one writes what became of deliveries.
CREATE TABLE webhook_sender (
  id BIGINT NOT NULL PRIMARY KEY,
  epoch BIGINT NOT NULL,
  boot BIGINT NOT NULL,
  until_us BIGINT NOT NULL
);
INSERT INTO webhook_sender (id, epoch, boot, until_us) VALUES (1, 0, 0, 0);
