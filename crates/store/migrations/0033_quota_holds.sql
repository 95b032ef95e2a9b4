-- What calls of models in flight hold of quotas, as far as their end is not shipped. number: the decision of the
-- call, whose record ends the hold. boot: the run that made it. node: whose journal says so. What is left here of
-- a run that has ended counts as used.
CREATE TABLE quota_holds (
  boot BIGINT NOT NULL,
  lane BIGINT NOT NULL,
  number BIGINT NOT NULL,
  rule BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  period_start_us BIGINT NOT NULL,
  period_end_us BIGINT NOT NULL,
  node BIGINT NOT NULL,
  amount BIGINT NOT NULL,
  PRIMARY KEY (boot, lane, number, rule, subject, period_start_us)
) /*WITHOUT_ROWID*/;
CREATE INDEX quota_holds_by_node ON quota_holds (node);
CREATE INDEX quota_holds_by_end ON quota_holds (period_end_us);
