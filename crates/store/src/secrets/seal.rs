//! Encrypting and decrypting: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) under a key of the file, bound to
//! the installation and to the place that it stands at, so that a row put elsewhere cannot be read.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use sqlx::AnyConnection;
use tollgate_core::{id::ProjectId, secret::Secret};

use crate::{
    error::StoreError,
    key_file::{Key, KeyFile, KeyName},
    random,
    sql::{Columns as _, one, only, run, sql},
};

/// The form of what is encrypted: this byte, the key's name, the nonce, the ciphertext with its tag.
const FORM: u8 = 1;
const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = 1 + 8 + NONCE_BYTES;

/// Where something encrypted stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// The secret of a project with this name.
    Secret(ProjectId, &'a str),
    /// The second factor of an account.
    SecondFactor(i64),
    /// The key of imported HMACs with this id.
    Hmac(i64),
    /// What deliveries to a webhook are signed with.
    Webhook {
        /// Its id.
        webhook: i64,
        /// Which of its secrets.
        number: i64,
    },
}

impl Place<'_> {
    /// What the ciphertext is bound to: no two places have the same.
    fn bound_to(self, installation: i64) -> Vec<u8> {
        let (kind, owner, name) = match self {
            Self::Secret(project, name) => ("secret", project.to_sql(), name),
            Self::SecondFactor(account) => ("second factor", account, ""),
            Self::Hmac(id) => ("hmac", id, ""),
            Self::Webhook { webhook, .. } => ("webhook", webhook, ""),
        };
        let mut bytes = b"tollgate ".to_vec();
        bytes.extend_from_slice(kind.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&installation.to_le_bytes());
        bytes.extend_from_slice(&owner.to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        if let Self::Webhook { number, .. } = self {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

/// Decrypts and encrypts for one installation.
pub(crate) struct Sealer<'a> {
    file: &'a KeyFile,
    installation: i64,
}

impl<'a> Sealer<'a> {
    pub(super) async fn new(file: &'a KeyFile, conn: &mut AnyConnection) -> Result<Self, StoreError> {
        let row = only(sql("SELECT installation FROM feed_head WHERE id = 1"), conn).await?;
        Ok(Self { file, installation: row.int(0)? })
    }

    /// The key that new secrets of this installation are encrypted under; the first one makes it.
    pub(super) async fn present_key(
        &self,
        conn: &mut AnyConnection,
    ) -> Result<std::sync::Arc<Key>, StoreError> {
        if let Some(name) = present_name(conn).await? {
            return self.file.key(name)?.ok_or_else(|| self.missing(name));
        }
        if self.file.keys()?.is_empty() {
            if !self.file.is_made_at_need {
                return Err(self.file.wrong(
                    "there is no key yet, and every node needs the same; make one with `tollgate secrets seal` \
                     and copy the file to every node",
                ));
            }
            self.file.make()?;
        }
        let newest = self.file.keys()?.pop().ok_or_else(|| self.file.wrong("it has no key"))?;
        let insert =
            "INSERT INTO meta (name, value) VALUES ('secrets_key', $1) ON CONFLICT (name) DO NOTHING";
        run(sql(insert).bind(newest.name.to_string()), conn).await?;
        match present_name(conn).await? {
            Some(name) => self.file.key(name)?.ok_or_else(|| self.missing(name)),
            None => Err(StoreError::corrupt("the name of the key of secrets is not kept")),
        }
    }

    /// Encrypts for a place, under the present key.
    pub(crate) async fn seal(
        &self,
        conn: &mut AnyConnection,
        place: Place<'_>,
        plain: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let key = self.present_key(conn).await?;
        self.seal_under(&key, place, plain)
    }

    pub(super) fn seal_under(
        &self,
        key: &Key,
        place: Place<'_>,
        plain: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        random::fill(&mut nonce)?;
        let bound = place.bound_to(self.installation);
        let payload = Payload { msg: plain, aad: &bound };
        let sealed = cipher(key)?.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| StoreError::corrupt("a secret cannot be encrypted"))?;
        let mut whole = Vec::with_capacity(HEAD_BYTES + sealed.len());
        whole.push(FORM);
        whole.extend_from_slice(&key.name.0);
        whole.extend_from_slice(&nonce);
        whole.extend_from_slice(&sealed);
        Ok(whole)
    }

    /// Decrypts what stands at a place.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when this node does not have the key, [`StoreError::Corrupt`] for what was
    /// changed or belongs elsewhere.
    pub(crate) fn open(&self, place: Place<'_>, whole: &[u8]) -> Result<Secret<Vec<u8>>, StoreError> {
        let name = key_of(whole)?;
        let key = self.file.key(name)?.ok_or_else(|| self.missing(name))?;
        let changed =
            || StoreError::corrupt("a secret was changed, or belongs to another place; set it again");
        let (head, sealed) = whole.split_at_checked(HEAD_BYTES).ok_or_else(changed)?;
        let nonce: [u8; NONCE_BYTES] =
            head.get(9..).and_then(|nonce| nonce.try_into().ok()).ok_or_else(changed)?;
        let bound = place.bound_to(self.installation);
        let plain = cipher(&key)?.decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: &bound });
        plain.map(Secret::new).map_err(|_| changed())
    }

    /// Whether this node has the key.
    pub(super) fn has(&self, name: KeyName) -> Result<bool, StoreError> {
        Ok(self.file.key(name)?.is_some())
    }

    pub(super) fn missing(&self, name: KeyName) -> StoreError {
        self.file.wrong(&format!(
            "key {name}, which secrets of this installation are encrypted under, is not in it; copy the file from \
             a node that has it"
        ))
    }
}

fn cipher(key: &Key) -> Result<XChaCha20Poly1305, StoreError> {
    XChaCha20Poly1305::new_from_slice(key.bytes.expose())
        .map_err(|_| StoreError::corrupt("a key of secrets has another length"))
}

/// The name of the key that something is encrypted under.
pub(super) fn key_of(whole: &[u8]) -> Result<KeyName, StoreError> {
    match whole.split_first() {
        Some((&FORM, rest)) if whole.len() > HEAD_BYTES => {
            let name = rest.get(..8).and_then(|name| name.try_into().ok()).map(KeyName);
            name.ok_or_else(|| StoreError::corrupt("a secret is cut off"))
        }
        _ => Err(StoreError::corrupt("a secret has a form that this program does not know")),
    }
}

/// The name of the key that new secrets are encrypted under.
pub(super) async fn present_name(conn: &mut AnyConnection) -> Result<Option<KeyName>, StoreError> {
    let Some(row) = one(sql("SELECT value FROM meta WHERE name = 'secrets_key'"), conn).await? else {
        return Ok(None);
    };
    let name = KeyName::parse(row.text(0)?);
    name.map(Some).ok_or_else(|| StoreError::corrupt("the name of the key of secrets cannot be read"))
}
