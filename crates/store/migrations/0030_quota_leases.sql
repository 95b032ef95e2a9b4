-- leased: what processes may use beyond `used`, together; used + leased never passes the amount of the quota,
-- but for what was used beyond what was taken. given: what the last lease was given. amount: what the quota
-- was when it was leased last.
ALTER TABLE quota_usage ADD COLUMN leased BIGINT NOT NULL DEFAULT 0;
ALTER TABLE quota_usage ADD COLUMN given BIGINT NOT NULL DEFAULT 0;
ALTER TABLE quota_usage ADD COLUMN amount BIGINT NOT NULL DEFAULT 0;

-- What one node may use of a quota in a period. granted: what it was given and did not give back. used: what
-- its journal says. beyond: what it used without being given it. raised: by how much the last shipment raised
-- that. granted + beyond of all nodes is what is leased. boot: the run that leased last.
CREATE TABLE quota_leases (
  node BIGINT NOT NULL,
  rule BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  period_start_us BIGINT NOT NULL,
  period_end_us BIGINT NOT NULL,
  boot BIGINT NOT NULL,
  granted BIGINT NOT NULL,
  used BIGINT NOT NULL,
  beyond BIGINT NOT NULL,
  raised BIGINT NOT NULL,
  PRIMARY KEY (node, rule, subject, period_start_us)
) /*WITHOUT_ROWID*/;
CREATE INDEX quota_leases_by_quota ON quota_leases (rule, subject, period_start_us);
CREATE INDEX quota_leases_by_end ON quota_leases (period_end_us);
