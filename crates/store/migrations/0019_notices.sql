-- The position of the next notice. Whoever writes one holds the row, so that positions have no gaps and are in
-- the order of commits.
CREATE TABLE notice_head (
  id BIGINT NOT NULL PRIMARY KEY,
  next BIGINT NOT NULL
);
INSERT INTO notice_head (id, next) VALUES (1, 1);

-- What happened that people want told. project, consumer, service, key: what it is about; 0 is none.
-- body: JSON, what webhooks send as `data`.
CREATE TABLE notices (
  position BIGINT NOT NULL PRIMARY KEY,
  id BIGINT NOT NULL,
  kind TEXT NOT NULL,
  at_us BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  project BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  service BIGINT NOT NULL,
  key BIGINT NOT NULL,
  body TEXT NOT NULL
);
CREATE UNIQUE INDEX notices_by_id ON notices (id);
CREATE INDEX notices_by_tenant ON notices (tenant, position);
CREATE INDEX notices_by_kind ON notices (kind, position);
CREATE INDEX notices_by_key ON notices (key, position);
CREATE INDEX notices_by_time ON notices (at_us);
