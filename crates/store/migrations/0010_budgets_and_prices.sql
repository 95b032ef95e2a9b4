-- A price in one of its versions. tenant NULL: the operator's, for all. from_us: the wall microsecond that it
-- holds from, the least number for always. Rows stay when they count no more: withdrawn_us says since when.
CREATE TABLE prices (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT REFERENCES tenants (id),
  from_us BIGINT NOT NULL,
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  version BIGINT NOT NULL,
  created_us BIGINT NOT NULL,
  withdrawn_us BIGINT
);
CREATE INDEX prices_by_name ON prices (name, from_us);

-- level: 0 key, 1 consumer, 2 project, 3 tenant; subject is the id of the holder. name tells budgets of a
-- tenant apart, for people and for lists.
CREATE TABLE budgets (
  id BIGINT NOT NULL PRIMARY KEY,
  tenant BIGINT NOT NULL REFERENCES tenants (id),
  project BIGINT REFERENCES projects (id),
  level BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  currency TEXT NOT NULL,
  period TEXT NOT NULL,
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  version BIGINT NOT NULL,
  UNIQUE (level, subject, currency, period)
);
CREATE INDEX budgets_by_name ON budgets (tenant, name);
