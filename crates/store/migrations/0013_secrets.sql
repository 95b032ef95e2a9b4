-- Secrets of projects, encrypted (see src/secrets). sealed: form, name of the key, nonce, ciphertext, tag.
CREATE TABLE secrets (
  id BIGINT NOT NULL PRIMARY KEY,
  project BIGINT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  sealed BLOB NOT NULL,
  version BIGINT NOT NULL,
  created_us BIGINT NOT NULL,
  changed_us BIGINT NOT NULL,
  UNIQUE (project, name)
);

-- 0: as a former version left it, in the clear, until the next start encrypts it; 1: encrypted.
ALTER TABLE accounts ADD COLUMN totp_sealed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hmac_secrets ADD COLUMN sealed BIGINT NOT NULL DEFAULT 0;
