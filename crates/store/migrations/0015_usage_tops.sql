-- The keys with the most requests of each hour and day, so that the most of a month are found without
-- all the others (usage/tops.rs). `step_us` is the length of an hour or a day.
CREATE TABLE usage_tops (
  step_us BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  key BIGINT NOT NULL,
  above BIGINT NOT NULL,
  PRIMARY KEY (step_us, tenant, start_us, key)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_tops_by_time ON usage_tops (step_us, start_us);

-- What a key that is not in the list has at most: `rest` when the list was made, and `late` came since.
CREATE TABLE usage_top_rests (
  step_us BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  rest BIGINT NOT NULL,
  late BIGINT NOT NULL,
  PRIMARY KEY (step_us, tenant, start_us)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_top_rests_by_time ON usage_top_rests (step_us, start_us);

-- Lists of hours and days before these moments are there.
ALTER TABLE usage_folds ADD COLUMN hours_ranked_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_folds ADD COLUMN days_ranked_us BIGINT NOT NULL DEFAULT 0;
