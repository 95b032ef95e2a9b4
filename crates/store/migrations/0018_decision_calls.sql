-- What a raw decision that called a model used, beside its block, for as long as that is kept.
CREATE TABLE decision_calls (
  boot BIGINT NOT NULL,
  lane BIGINT NOT NULL,
  number BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  model TEXT NOT NULL,
  currency TEXT NOT NULL,
  input BIGINT NOT NULL,
  cached_input BIGINT NOT NULL,
  cache_write BIGINT NOT NULL,
  output BIGINT NOT NULL,
  reasoning BIGINT NOT NULL,
  cost BIGINT NOT NULL,
  PRIMARY KEY (boot, lane, number)
) /*WITHOUT_ROWID*/;
CREATE INDEX decision_calls_by_time ON decision_calls (at_us);
