//! A checkpoint: the number and hash of a change, signed with Ed25519 (RFC 8032).

use std::{fmt, str::FromStr};

use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use serde::{Deserialize, Serialize};

/// What is signed begins with this.
const DOMAIN: &[u8] = b"tollgate audit checkpoint 1";

/// That the chain of an installation had this hash at this change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which installation's.
    pub installation: u64,
    /// The number of the change.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// When it was signed, wall microseconds.
    pub at_us: i64,
}

/// A checkpoint with its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// Who signed.
    pub key: PublicKey,
    /// The signature.
    pub signature: [u8; 64],
}

/// The public half of a key that signs checkpoints; 64 hexadecimal digits in writing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// A key that signs checkpoints.
pub struct CheckpointKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl CheckpointKey {
    /// A new key, PKCS#8 DER; `None` when the operating system gives no randomness.
    #[must_use]
    pub fn generate() -> Option<Vec<u8>> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
        Some(document.as_ref().to_vec())
    }

    /// Reads a key, PKCS#8 DER.
    ///
    /// # Errors
    /// When it is no Ed25519 key.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, String> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes);
        let pair = pair.map_err(|error| format!("it holds no Ed25519 key in PKCS#8 DER: {error}"))?;
        let public = pair.public_key().as_ref().try_into();
        let public = PublicKey(public.map_err(|_| "its public half is not 32 bytes long".to_owned())?);
        Ok(Self { pair, public })
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs a checkpoint.
    #[must_use]
    pub fn sign(&self, checkpoint: Checkpoint) -> Seal {
        let signature = self.pair.sign(&checkpoint.message());
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(signature.as_ref()) {
            *to = *from;
        }
        Seal { checkpoint, key: self.public, signature: bytes }
    }
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl PublicKey {
    /// From its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        from_hex(text.trim()).map(Self).ok_or_else(|| {
            "it is no public key: 64 hexadecimal digits, as `tollgate audit public-key` prints them"
                .to_owned()
        })
    }
}

impl Checkpoint {
    fn message(&self) -> Vec<u8> {
        let mut message = DOMAIN.to_vec();
        message.extend(self.installation.to_be_bytes());
        message.extend(self.seq.to_be_bytes());
        message.extend(self.hash);
        message.extend(self.at_us.to_be_bytes());
        message
    }
}

/// How a seal is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    checkpoint: u8,
    installation: String,
    seq: u64,
    hash: String,
    at_us: i64,
    key: String,
    signature: String,
}

impl Seal {
    /// As one line of JSON, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        let Checkpoint { installation, seq, hash, at_us } = self.checkpoint;
        let written = Written {
            checkpoint: 1,
            installation: format!("{installation:016x}"),
            seq,
            hash: hex(&hash),
            at_us,
            key: self.key.to_string(),
            signature: hex(&self.signature),
        };
        // Plain values into memory: that cannot fail.
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// Reads a line exactly as it is written: any other spelling of the same is refused. The signature
    /// is not looked at.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(line: &str) -> Result<Self, String> {
        let problem = || "it is no checkpoint as Tollgate writes them".to_owned();
        let written: Written = serde_json::from_str(line).map_err(|_| problem())?;
        let read = || {
            let installation = u64::from_str_radix(&written.installation, 16).ok()?;
            let (seq, at_us) = (written.seq, written.at_us);
            let checkpoint = Checkpoint { installation, seq, hash: from_hex(&written.hash)?, at_us };
            let key = PublicKey(from_hex(&written.key)?);
            Some(Self { checkpoint, key, signature: from_hex(&written.signature)? })
        };
        read().filter(|seal: &Self| seal.line() == line).ok_or_else(problem)
    }

    /// Whether the key it names has signed it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.key.0);
        key.verify(&self.checkpoint.message(), &self.signature).is_ok()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Small letters only: there is one way to write a number.
pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (to, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *to = (digit(*pair.first()?)? << 4) | digit(*pair.get(1)?)?;
    }
    Some(bytes)
}
