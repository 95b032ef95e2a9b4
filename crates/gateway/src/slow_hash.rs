//! Slow hashes of imported keys (bcrypt, argon2) on threads of their own with a bounded queue, and
//! the memory of what they said.
//!
//! A verified credential is remembered by its digest until the store has replaced the slow hash by
//! a fast one. What is remembered is only "this credential opens that slow hash": the record that
//! decides is looked up anew at each request, so that a key that is revoked in between is refused.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
};

use tokio::sync::oneshot;
use tollgate_core::{
    id::KeyId,
    key::Digest,
    keyring::{KeyRecord, PlainHash, SlowSecret},
    secret::Secret,
};

/// Verified credentials that are remembered; each waits only for the store to replace its hash.
const VERIFIED_MAX: usize = 65_536;

/// A credential that a slow hash has recognised: store its fast digest instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehash {
    /// The key.
    pub key: KeyId,
    /// Which secret of the key.
    pub generation: u16,
    /// SHA-256 of the credential.
    pub digest: Digest,
}

/// Takes what should be re-hashed.
pub trait RehashSink: Send + Sync {
    /// Offers one; must not block. Dropping it is fine: the next use offers it again.
    fn offer(&self, rehash: Rehash);
}

/// Nothing is stored instead: for tests and for read-only nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRehash;

impl RehashSink for NoRehash {
    fn offer(&self, _rehash: Rehash) {}
}

/// The queue for slow hashes is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many slow hashes are waiting")]
pub struct SlowHashBusy;

/// Threads that verify slow hashes. They end when the value is dropped.
pub struct SlowHashes {
    jobs: Option<mpsc::SyncSender<Job>>,
    threads: Vec<thread::JoinHandle<()>>,
    verified: papaya::HashMap<Digest, Verified, PlainHash>,
}

struct Job {
    credential: Secret<Vec<u8>>,
    candidates: Vec<SlowSecret>,
    answer: oneshot::Sender<Option<usize>>,
}

/// Which slow hash a credential opens.
#[derive(Clone, Debug)]
struct Verified {
    key: KeyId,
    hash: Digest,
}

impl SlowHashes {
    /// Starts the threads (at least one); `queue` jobs may wait.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(threads: usize, queue: usize) -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::sync_channel::<Job>(queue);
        let inbox = Arc::new(Mutex::new(inbox));
        let threads = (0..threads.max(1))
            .map(|number| {
                let inbox = inbox.clone();
                thread::Builder::new().name(format!("slow-hash-{number}")).spawn(move || work(&inbox))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { jobs: Some(jobs), threads, verified: papaya::HashMap::with_hasher(PlainHash) })
    }

    /// The record among `candidates` that `credential` is known to open, without hashing anything.
    pub fn recall(&self, credential: &Digest, candidates: &[SlowSecret]) -> Option<KeyRecord> {
        let verified = self.verified.pin().get(credential).cloned()?;
        candidates
            .iter()
            .find(|candidate| candidate.record.id == verified.key && hash_digest(candidate) == verified.hash)
            .map(|candidate| candidate.record.clone())
    }

    /// Lets the threads compare `credential` with each of `candidates`; true when one fits, which
    /// [`Self::recall`] then gives.
    ///
    /// # Errors
    /// [`SlowHashBusy`] when the queue is full.
    pub async fn verify(&self, credential: &[u8], candidates: Vec<SlowSecret>) -> Result<bool, SlowHashBusy> {
        let faces: Vec<Verified> = candidates
            .iter()
            .map(|candidate| Verified { key: candidate.record.id, hash: hash_digest(candidate) })
            .collect();
        let (answer, outcome) = oneshot::channel();
        let job = Job { credential: Secret::new(credential.to_vec()), candidates, answer };
        self.jobs.as_ref().ok_or(SlowHashBusy)?.try_send(job).map_err(|_| SlowHashBusy)?;
        let fitting = outcome.await.map_err(|_| SlowHashBusy)?;
        let Some(verified) = fitting.and_then(|index| faces.into_iter().nth(index)) else {
            return Ok(false);
        };
        let known = self.verified.pin();
        if known.len() >= VERIFIED_MAX {
            known.clear();
        }
        known.insert(Digest::of(credential), verified);
        Ok(true)
    }
}

impl Drop for SlowHashes {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has answered its caller by dropping the channel.
            let _ = thread.join();
        }
    }
}

fn hash_digest(candidate: &SlowSecret) -> Digest {
    Digest::of(candidate.hash.expose().as_bytes())
}

fn work(inbox: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // Only one idle thread waits inside the lock; the others wait for it.
        let Ok(next) = inbox.lock().map(|inbox| inbox.recv()) else { return };
        let Ok(job) = next else { return };
        if job.answer.is_closed() {
            // The client went away while the job waited.
            continue;
        }
        let fitting = job
            .candidates
            .iter()
            .position(|candidate| fits(job.credential.expose(), candidate.hash.expose()));
        let _ = job.answer.send(fitting);
    }
}

/// Whether a credential fits a hash as imported: a PHC string of argon2 or a bcrypt string.
fn fits(credential: &[u8], hash: &str) -> bool {
    use argon2::password_hash::PasswordVerifier as _;
    if hash.starts_with("$argon2") {
        return argon2::Argon2::default().verify_password(credential, hash).is_ok();
    }
    bcrypt::verify(credential, hash).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use tollgate_core::{
        id::{ConsumerId, ProjectId},
        key::Environment,
        keyring::KeyState,
    };

    use super::*;

    fn candidate(id: u64, hash: &str) -> SlowSecret {
        let record = KeyRecord {
            id: KeyId(id),
            consumer: ConsumerId(1),
            project: ProjectId(1),
            policy: None,
            expires_us: i64::MAX,
            secret_until_us: i64::MAX,
            version: 1,
            generation: 0,
            state: KeyState::Active,
            environment: Environment::Live,
            narrowing: None,
        };
        SlowSecret { hash: Secret::new(hash.to_owned()), record }
    }

    fn bcrypt_of(text: &str) -> String {
        bcrypt::hash(text, 4).unwrap()
    }

    fn argon2_of(text: &str) -> String {
        use argon2::password_hash::PasswordHasher as _;
        let params = argon2::Params::new(64, 1, 1, None).unwrap();
        let hasher = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        hasher.hash_password_with_salt(text.as_bytes(), b"sixteen bytes ok").unwrap().to_string()
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn bcrypt_and_argon2_secrets_are_recognised_and_remembered() {
        let hashes = SlowHashes::start(1, 4).unwrap();
        let candidates = vec![candidate(1, &argon2_of("other")), candidate(2, &bcrypt_of("secret"))];
        assert!(hashes.recall(&Digest::of(b"secret"), &candidates).is_none());
        assert_eq!(run(hashes.verify(b"secret", candidates.clone())), Ok(true));
        assert_eq!(hashes.recall(&Digest::of(b"secret"), &candidates).unwrap().id, KeyId(2));
        assert_eq!(run(hashes.verify(b"other", candidates.clone())), Ok(true));
        assert_eq!(hashes.recall(&Digest::of(b"other"), &candidates).unwrap().id, KeyId(1));
        assert_eq!(run(hashes.verify(b"wrong", candidates)), Ok(false));
    }

    #[test]
    fn a_remembered_credential_gets_the_record_of_now_not_of_then() {
        let hashes = SlowHashes::start(1, 4).unwrap();
        let mut candidates = vec![candidate(2, &bcrypt_of("secret"))];
        assert_eq!(run(hashes.verify(b"secret", candidates.clone())), Ok(true));
        candidates[0].record.state = KeyState::Revoked;
        let record = hashes.recall(&Digest::of(b"secret"), &candidates).unwrap();
        assert_eq!(record.state, KeyState::Revoked);
        assert!(hashes.recall(&Digest::of(b"secret"), &[]).is_none());
    }

    #[test]
    fn a_full_queue_refuses_instead_of_waiting() {
        let hashes = SlowHashes::start(1, 1).unwrap();
        let slow = vec![candidate(1, &bcrypt::hash("x", 10).unwrap())];
        run(async {
            let attempts = (0..8).map(|_| hashes.verify(b"y", slow.clone()));
            let outcomes = futures_util::future::join_all(attempts).await;
            assert!(outcomes.contains(&Err(SlowHashBusy)), "{outcomes:?}");
            assert!(outcomes.contains(&Ok(false)), "{outcomes:?}");
        });
    }
}
