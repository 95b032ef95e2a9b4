//! Passwords: argon2id, slow on purpose, so it runs on a few threads of its own and never where
//! requests are served. Each hash takes 19 MiB and some forty milliseconds.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;
use tollgate_core::secret::Secret;
use unicode_normalization::UnicodeNormalization as _;

use crate::{problem::Refused, throttle::place};

/// The shortest password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// The longest password, in bytes.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Hashes under way at once.
const AT_WORK_MAX: usize = 2;
/// Hashes under way or waiting; more are turned away.
const WAITING_MAX: usize = 32;
/// Hashes under way or waiting for one address, so that no address takes all places.
const WAITING_OF_ADDRESS_MAX: usize = 8;

/// What is verified where there is no account, so that it takes as long as where there is one.
static NOBODYS: LazyLock<Option<Secret<String>>> =
    LazyLock::new(|| hash_password(&Secret::new("nobody has this password".to_owned())).ok());

/// The threads that hash.
#[derive(Debug)]
pub(crate) struct Passwords {
    at_work: Arc<Semaphore>,
    waiting: Semaphore,
    /// How many of those that wait are of which address; never more entries than [`WAITING_MAX`].
    addresses: Mutex<HashMap<[u8; 9], usize>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            at_work: Arc::new(Semaphore::new(AT_WORK_MAX)),
            waiting: Semaphore::new(WAITING_MAX),
            addresses: Mutex::default(),
        }
    }
}

impl Passwords {
    /// Whether a password that came from an address fits a hash; without a hash it takes as long, and does not.
    pub(crate) async fn verify(
        &self,
        address: IpAddr,
        password: Secret<String>,
        hash: Option<Secret<String>>,
    ) -> Result<bool, Refused> {
        self.run(address, move || match hash {
            Some(hash) => fits(&password, &hash),
            None => {
                let _in_vain = NOBODYS.as_ref().is_some_and(|hash| fits(&password, hash));
                false
            }
        })
        .await
    }

    /// The hash of a password that is good enough and came from an address.
    pub(crate) async fn hash(
        &self,
        address: IpAddr,
        (field, password): (&str, Secret<String>),
    ) -> Result<Secret<String>, Refused> {
        if let Some(problem) = password_problem(&password) {
            return Err(Refused::invalid(field, problem));
        }
        let hashed = self.run(address, move || hash_password(&password)).await?;
        hashed.map_err(Refused::Unavailable)
    }

    async fn run<T: Send + 'static>(
        &self,
        address: IpAddr,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let busy = || Refused::Busy("many people sign in right now; try again in a moment".to_owned());
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        let _of_address = Place::take(&self.addresses, place(address)).ok_or_else(busy)?;
        // Held by the work itself: who gives up waiting does not free its thread.
        let at_work = Arc::clone(&self.at_work).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(at_work);
            done
        });
        done.await.map_err(|_| Refused::Unavailable("the password could not be checked".to_owned()))
    }
}

/// A place of one address among those that wait; given back when it is dropped.
struct Place<'p> {
    addresses: &'p Mutex<HashMap<[u8; 9], usize>>,
    address: [u8; 9],
}

impl<'p> Place<'p> {
    fn take(addresses: &'p Mutex<HashMap<[u8; 9], usize>>, address: [u8; 9]) -> Option<Self> {
        let mut all = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(address).or_default();
        if *count >= WAITING_OF_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Self { addresses, address })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut all = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.get(&self.address).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            all.remove(&self.address);
        } else {
            all.insert(self.address, left);
        }
    }
}

/// The argon2id hash of a password as a PHC string: 19 MiB, 2 passes (OWASP's first choice). The
/// password is taken in the Unicode form NFKC, so that it does not matter how it was typed.
///
/// # Errors
/// Why it cannot be hashed, in words; the operating system gave no random numbers.
pub fn hash_password(password: &Secret<String>) -> Result<Secret<String>, String> {
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
    let hash = hasher
        .hash_password(normal(password).expose().as_bytes())
        .map_err(|error| format!("cannot hash the password: {error}"))?;
    Ok(Secret::new(hash.to_string()))
}

/// What is wrong with a new password; `None` when it is good enough. Length is all that is asked for
/// (NIST SP 800-63B-4 §3.1.1.2), and that it is not one sign over and over.
#[must_use]
pub fn password_problem(password: &Secret<String>) -> Option<String> {
    let text = password.expose();
    let length = text.chars().count();
    if length < PASSWORD_CHARS_MIN {
        return Some(format!("it has {length} characters; use at least {PASSWORD_CHARS_MIN}"));
    }
    if text.len() > PASSWORD_BYTES_MAX {
        return Some(format!("it is longer than {PASSWORD_BYTES_MAX} bytes"));
    }
    let mut signs: Vec<char> = text.chars().collect();
    signs.sort_unstable();
    signs.dedup();
    (signs.len() < 4).then(|| "it is made of hardly any different characters; use other words".to_owned())
}

fn fits(password: &Secret<String>, hash: &Secret<String>) -> bool {
    // Without looking at the length a megabyte would be normalised for nothing.
    if password.expose().len() > PASSWORD_BYTES_MAX {
        return false;
    }
    PasswordHash::new(hash.expose()).is_ok_and(|hash| {
        Argon2::default().verify_password(normal(password).expose().as_bytes(), &hash).is_ok()
    })
}

fn normal(password: &Secret<String>) -> Secret<String> {
    Secret::new(password.expose().nfkc().collect())
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        sync::Arc,
    };

    use tollgate_core::secret::Secret;

    use super::{Passwords, WAITING_OF_ADDRESS_MAX, hash_password, password_problem};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_however_it_was_typed() {
        let passwords = Passwords::default();
        let hash = hash_password(&secret("correct horse ﬁ é")).unwrap();
        let fits = async |text: &str| passwords.verify(HERE, secret(text), Some(hash.clone())).await.unwrap();
        assert!(fits("correct horse ﬁ é").await);
        assert!(fits("correct horse fi e\u{301}").await, "NFKC");
        assert!(!fits("correct horse fi e").await);
        assert!(!fits("").await);
        assert!(!passwords.verify(HERE, secret("nobody has this password"), None).await.unwrap());
        assert!(!passwords.verify(HERE, secret("x"), Some(secret("no hash"))).await.unwrap());
    }

    #[tokio::test]
    async fn no_address_takes_the_places_of_others() {
        let passwords = Arc::new(Passwords::default());
        let work = Arc::clone(&passwords.at_work).acquire_many_owned(2).await.unwrap();
        let ask = |address: IpAddr| {
            let passwords = Arc::clone(&passwords);
            tokio::spawn(async move { passwords.verify(address, secret("x"), Some(secret("none"))).await })
        };
        let ours: Vec<_> = (0..100).map(|_| ask(HERE)).collect();
        let other = ask(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        // Everybody has asked; those who found a place wait for the threads.
        while passwords.addresses.lock().unwrap().len() < 2 || !ours[99].is_finished() {
            tokio::task::yield_now().await;
        }
        drop(work);
        let mut served = 0;
        for one in ours {
            served += usize::from(one.await.unwrap().is_ok());
        }
        assert_eq!(served, WAITING_OF_ADDRESS_MAX);
        assert_eq!(other.await.unwrap(), Ok(false), "somebody else is served");
        assert!(passwords.addresses.lock().unwrap().is_empty(), "and nothing stays behind");
    }

    #[test]
    fn short_long_and_dull_passwords_are_refused() {
        for bad in ["", "elevenchars", "aaaaaaaaaaaaaa", "abababababababab", &"x1y2".repeat(300)] {
            assert!(password_problem(&secret(bad)).is_some(), "{bad}");
        }
        assert_eq!(password_problem(&secret("twelve chars")), None);
    }
}
