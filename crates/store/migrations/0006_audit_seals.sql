-- The last checkpoint that each key signed, for whoever asks; the checkpoints that prove are elsewhere.
CREATE TABLE audit_seals (
  public_key BLOB NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL,
  hash BLOB NOT NULL,
  at_us BIGINT NOT NULL,
  signature BLOB NOT NULL
);
