-- A person. One account may belong to several tenants. login is the e-mail address in small letters,
-- and only there for accounts that sign in with a password.
CREATE TABLE accounts (
  id BIGINT NOT NULL PRIMARY KEY,
  email TEXT NOT NULL,
  login TEXT UNIQUE,
  name TEXT NOT NULL,
  password_hash TEXT,
  totp_secret BLOB,
  totp_pending BLOB,
  totp_step BIGINT NOT NULL,
  created_us BIGINT NOT NULL,
  version BIGINT NOT NULL
);

-- source is `local`, or the identity provider whose groups decide on the role.
CREATE TABLE members (
  account BIGINT NOT NULL REFERENCES accounts (id),
  tenant BIGINT NOT NULL REFERENCES tenants (id),
  role TEXT NOT NULL,
  source TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (account, tenant)
) /*WITHOUT_ROWID*/;
CREATE INDEX members_by_tenant ON members (tenant, account);

-- consumer is no foreign key: a mapping to a deleted consumer means nothing and does no harm.
CREATE TABLE member_consumers (
  account BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  PRIMARY KEY (account, tenant, consumer)
) /*WITHOUT_ROWID*/;

-- digest is the SHA-256 of the token in the cookie. ends_us is the absolute end.
CREATE TABLE sessions (
  id BIGINT NOT NULL PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  account BIGINT NOT NULL REFERENCES accounts (id),
  tenant BIGINT NOT NULL,
  method TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  signed_in_us BIGINT NOT NULL,
  used_us BIGINT NOT NULL,
  ends_us BIGINT NOT NULL,
  address TEXT NOT NULL,
  user_agent TEXT NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account, created_us);
CREATE INDEX sessions_by_tenant ON sessions (tenant, account);
CREATE INDEX sessions_by_end ON sessions (ends_us);

-- kind: 0 invitation, 1 reset of the password. digest is the SHA-256 of the token in the link.
CREATE TABLE links (
  id BIGINT NOT NULL PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  kind BIGINT NOT NULL,
  account BIGINT,
  tenant BIGINT,
  email TEXT NOT NULL,
  role TEXT,
  consumers TEXT,
  created_by TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  expires_us BIGINT NOT NULL
);
CREATE INDEX links_by_tenant ON links (tenant, created_us);
CREATE INDEX links_by_account ON links (account) WHERE account IS NOT NULL;

-- SHA-256 of each code that was not used yet.
CREATE TABLE recovery_codes (
  account BIGINT NOT NULL REFERENCES accounts (id),
  digest BLOB NOT NULL,
  PRIMARY KEY (account, digest)
) /*WITHOUT_ROWID*/;

-- Who somebody is at an identity provider: never an e-mail address.
CREATE TABLE identities (
  provider TEXT NOT NULL,
  subject TEXT NOT NULL,
  account BIGINT NOT NULL REFERENCES accounts (id),
  PRIMARY KEY (provider, subject)
) /*WITHOUT_ROWID*/;
CREATE INDEX identities_by_account ON identities (account);

-- So far an installation had one user, its first owner.
INSERT INTO accounts (id, email, login, name, password_hash, totp_step, created_us, version)
  SELECT id, email, lower(email), email, password_hash, 0, created_us, version FROM users;
INSERT INTO members (account, tenant, role, source, created_us, version)
  SELECT id, tenant, role, 'local', created_us, version FROM users;
DROP TABLE users;
