-- What running processes hold of accounts and spend by themselves: one row for each run of a node and
-- account. holds: still set aside; never below what the process can still use. charged: spent whole because
-- its journal was said to be lost, and not yet shown to be used.
CREATE TABLE ledger_leases (
  boot BIGINT NOT NULL,
  account BIGINT NOT NULL,
  node BIGINT NOT NULL,
  holds BIGINT NOT NULL,
  charged BIGINT NOT NULL,
  opened_us BIGINT NOT NULL,
  PRIMARY KEY (boot, account)
) /*WITHOUT_ROWID*/;
CREATE INDEX ledger_leases_by_node ON ledger_leases (node, boot);
CREATE INDEX ledger_leases_by_account ON ledger_leases (account);

-- Calls that reserved and whose end was not shipped yet. Each is settled by its own record, or charged at
-- its amount when its run has ended.
CREATE TABLE ledger_open (
  boot BIGINT NOT NULL,
  lane BIGINT NOT NULL,
  reservation BIGINT NOT NULL,
  account BIGINT NOT NULL,
  amount BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  PRIMARY KEY (boot, lane, reservation, account)
) /*WITHOUT_ROWID*/;
CREATE INDEX ledger_open_by_account ON ledger_open (boot, account);

-- The percents of an account that somebody was told of. spent: what was spent then.
CREATE TABLE ledger_told (
  account BIGINT NOT NULL,
  percent BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  spent BIGINT NOT NULL,
  PRIMARY KEY (account, percent)
) /*WITHOUT_ROWID*/;
CREATE INDEX ledger_told_by_time ON ledger_told (at_us);

-- budget: whose period the account is. given: what the budget has given it so far, refills and top-ups not
-- counted. refilled_us: the beginning of the period of its last refill.
ALTER TABLE ledger_accounts ADD COLUMN budget BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ledger_accounts ADD COLUMN given BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ledger_accounts ADD COLUMN refilled_us BIGINT NOT NULL DEFAULT 0;
UPDATE ledger_accounts SET given = funded;
CREATE INDEX ledger_accounts_by_tenant ON ledger_accounts (tenant, period_start_us, id);

-- A reservation is of one call; what a process holds for many is a lease.
DROP INDEX ledger_pending_by_boot;
ALTER TABLE ledger_pending DROP COLUMN boot;

-- Calls of models by minute and by day. model and currency are texts; currency is empty without a price.
CREATE TABLE usage_models_minute (
  start_us BIGINT NOT NULL,
  key BIGINT NOT NULL,
  service BIGINT NOT NULL,
  model TEXT NOT NULL,
  currency TEXT NOT NULL,
  code BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  project BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  estimated BIGINT NOT NULL,
  input BIGINT NOT NULL,
  cached_input BIGINT NOT NULL,
  cache_write BIGINT NOT NULL,
  output BIGINT NOT NULL,
  reasoning BIGINT NOT NULL,
  cost BIGINT NOT NULL,
  PRIMARY KEY (start_us, key, service, model, currency, code, consumer, project, tenant)
) /*WITHOUT_ROWID*/;
CREATE TABLE usage_models_day (
  start_us BIGINT NOT NULL,
  key BIGINT NOT NULL,
  service BIGINT NOT NULL,
  model TEXT NOT NULL,
  currency TEXT NOT NULL,
  code BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  project BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  estimated BIGINT NOT NULL,
  input BIGINT NOT NULL,
  cached_input BIGINT NOT NULL,
  cache_write BIGINT NOT NULL,
  output BIGINT NOT NULL,
  reasoning BIGINT NOT NULL,
  cost BIGINT NOT NULL,
  PRIMARY KEY (start_us, key, service, model, currency, code, consumer, project, tenant)
) /*WITHOUT_ROWID*/;
