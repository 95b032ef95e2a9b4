-- Raw decisions lie in packed blocks from here on. The table with a row for each of them goes
-- without being read: no version that filled it was released.
DROP TABLE decisions;

-- Up to where a lane's records lie in blocks; never behind `upto`, which says up to where they are
-- summed up.
ALTER TABLE shipped ADD COLUMN kept BIGINT NOT NULL DEFAULT 0;
UPDATE shipped SET kept = upto;

-- Some thousand decisions of one lane in a row; what is in `packed` says usage/block/mod.rs.
-- starts: the journal position of the first. number_*: the decisions' numbers. codes: a bit for each
-- outcome. holds: which keys, consumers, projects, tenants and services occur (usage/block/filter.rs).
CREATE TABLE decision_blocks (
  boot BIGINT NOT NULL,
  lane BIGINT NOT NULL,
  starts BIGINT NOT NULL,
  number_min BIGINT NOT NULL,
  number_max BIGINT NOT NULL,
  from_us BIGINT NOT NULL,
  to_us BIGINT NOT NULL,
  records BIGINT NOT NULL,
  codes BIGINT NOT NULL,
  holds BLOB NOT NULL,
  packed BLOB NOT NULL,
  PRIMARY KEY (boot, lane, starts)
);
CREATE INDEX decision_blocks_by_end ON decision_blocks (to_us, boot, lane, starts, from_us, codes);
CREATE INDEX decision_blocks_by_begin ON decision_blocks (from_us, boot, lane, starts, to_us, codes);
CREATE INDEX decision_blocks_by_number ON decision_blocks (boot, lane, number_max, number_min);
CREATE INDEX decision_blocks_by_size ON decision_blocks (boot, lane, starts) WHERE records < 1024;

-- Counted up by whoever wants nodes to ship now what they answered.
CREATE TABLE ship_asks (
  id BIGINT NOT NULL PRIMARY KEY,
  asks BIGINT NOT NULL
);

-- Secrets that ended by rotation, for forgetting them without looking at all keys.
CREATE INDEX key_secrets_by_end ON key_secrets (until_us) WHERE until_us < 9223372036854775807;
CREATE INDEX slow_secrets_by_end ON slow_secrets (until_us) WHERE until_us < 9223372036854775807;
