-- One account for each budget and period. level: 0 key, 1 consumer, 2 project, 3 tenant; subject is its id.
-- Where hard = 1, spent + reserved <= funded always. An account whose overrun is not 0 takes nothing.
-- The four balances are the sums of ledger_entries; the task that recomputes them says any difference.
CREATE TABLE ledger_accounts (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT NOT NULL,
  level BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  period_start_us BIGINT NOT NULL,
  period_end_us BIGINT NOT NULL,
  currency TEXT NOT NULL,
  hard BIGINT NOT NULL,
  funded BIGINT NOT NULL,
  reserved BIGINT NOT NULL,
  spent BIGINT NOT NULL,
  overrun BIGINT NOT NULL,
  created_us BIGINT NOT NULL
);
CREATE INDEX ledger_accounts_by_subject ON ledger_accounts (subject, period_start_us);

-- Rows are only ever added. kind: 0 fund, 1 reserve, 2 post, 3 void, 4 charge, 5 refund, 6 overrun, 7 write off.
-- content is the SHA-256 of what was asked, so that an id stands for one thing.
CREATE TABLE ledger_transfers (
  id BLOB NOT NULL PRIMARY KEY,
  kind BIGINT NOT NULL,
  resolves BLOB UNIQUE,
  at_us BIGINT NOT NULL,
  cause TEXT NOT NULL,
  content BLOB NOT NULL
);

-- Rows are only ever added. side: 0 outside, 1 free, 2 reserved, 3 spent, 4 overrun. The amounts of one
-- transfer and account sum up to zero.
CREATE TABLE ledger_entries (
  transfer BLOB NOT NULL,
  account BIGINT NOT NULL,
  side BIGINT NOT NULL,
  amount BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  PRIMARY KEY (transfer, account, side)
) /*WITHOUT_ROWID*/;
CREATE INDEX ledger_entries_by_account ON ledger_entries (account, at_us, transfer, side);

-- Reservations that nothing has resolved. boot: the run of the process that spends a lease by itself; 0 none.
CREATE TABLE ledger_pending (
  transfer BLOB NOT NULL PRIMARY KEY,
  boot BIGINT NOT NULL,
  at_us BIGINT NOT NULL
) /*WITHOUT_ROWID*/;
CREATE INDEX ledger_pending_by_boot ON ledger_pending (boot, at_us);
