-- Where each sequence of records stands. next: the position of the next record. Whoever appends holds the row,
-- so that positions have no gaps and are in the order of commits.
CREATE TABLE event_shards (
  shard BIGINT NOT NULL PRIMARY KEY,
  next BIGINT NOT NULL
);
INSERT INTO event_shards (shard, next) VALUES (0, 0);

-- Records in their order, packed (store/src/ingest/block.rs). starts: the position of the first.
-- from_us, to_us: the moments of the earliest and latest. holds: which types, tenants, projects, services,
-- consumers and keys may occur, a bit each.
CREATE TABLE event_blocks (
  shard BIGINT NOT NULL,
  starts BIGINT NOT NULL,
  records BIGINT NOT NULL,
  from_us BIGINT NOT NULL,
  to_us BIGINT NOT NULL,
  received_us BIGINT NOT NULL,
  holds BIGINT NOT NULL,
  packed BLOB NOT NULL,
  PRIMARY KEY (shard, starts)
);
CREATE INDEX event_blocks_by_receipt ON event_blocks (received_us, shard, starts);

-- What records with ids are told apart by: 16 bytes each, of those of one commit, whose first position is starts.
CREATE TABLE event_ids (
  shard BIGINT NOT NULL,
  starts BIGINT NOT NULL,
  ids BIGINT NOT NULL,
  received_us BIGINT NOT NULL,
  packed BLOB NOT NULL,
  PRIMARY KEY (shard, starts)
);
CREATE INDEX event_ids_by_receipt ON event_ids (received_us, shard, starts);

-- They are packed already: PostgreSQL would try again and take more than twice as long.
/*POSTGRES ALTER TABLE event_blocks ALTER COLUMN packed SET STORAGE EXTERNAL;
ALTER TABLE event_ids ALTER COLUMN packed SET STORAGE EXTERNAL; POSTGRES*/

-- Requests that their senders gave a name, with what was answered.
CREATE TABLE event_batches (
  tenant BIGINT NOT NULL,
  name BLOB NOT NULL,
  request BLOB NOT NULL,
  batch BIGINT NOT NULL,
  accepted BIGINT NOT NULL,
  duplicates BIGINT NOT NULL,
  received_us BIGINT NOT NULL,
  PRIMARY KEY (tenant, name)
) /*WITHOUT_ROWID*/;
CREATE INDEX event_batches_by_receipt ON event_batches (received_us);

-- Who hands the records of a shard on to a sink, and how far. epoch: goes up whenever somebody else begins;
-- only the present one moves sent. sent: all before this position were acknowledged or are parked.
CREATE TABLE outbox_relays (
  shard BIGINT NOT NULL,
  sink TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  boot BIGINT NOT NULL,
  until_us BIGINT NOT NULL,
  sent BIGINT NOT NULL,
  PRIMARY KEY (shard, sink)
);

-- Records that a sink does not take. state: 0 held (later records of the tenant wait), 1 to be tried again,
-- 2 to be skipped, 3 passed over (nothing waits for it).
CREATE TABLE outbox_parked (
  shard BIGINT NOT NULL,
  sink TEXT NOT NULL,
  position BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  event TEXT NOT NULL,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  state BIGINT NOT NULL,
  parked_us BIGINT NOT NULL,
  PRIMARY KEY (shard, sink, position)
);

-- Versions of types of events; name is `type@version`.
CREATE TABLE event_types (
  id BIGINT NOT NULL PRIMARY KEY,
  project BIGINT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  version BIGINT NOT NULL,
  UNIQUE (project, name)
);
