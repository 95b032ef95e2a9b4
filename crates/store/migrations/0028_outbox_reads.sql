-- Up to which position decisions of each lane were handed on: blocks from there on are not packed anew.
CREATE TABLE outbox_reads (
  boot BIGINT NOT NULL,
  lane BIGINT NOT NULL,
  position BIGINT NOT NULL,
  PRIMARY KEY (boot, lane)
);
