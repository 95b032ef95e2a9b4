//! From a credential to its key: shape, digest, look-up by `core`; the throttle for bad keys.
//!
//! Nearly always that is done at once. Whatever is waited for (a slow hash, a name server), the key
//! is looked up again afterwards: a key that was revoked in the meantime is not accepted (I3).

use std::net::IpAddr;

use tollgate_core::{
    authenticate::{Recognised, recognise},
    code::Code,
    counters::Counters,
    key::Digest,
    keyring::{KeyRecord, SlowSecret},
    time::Now,
};

use crate::{
    bound_host::Known,
    denial::Denial,
    lane::{Gateway, throttle::Throttle},
    request::credential::Presented,
    slow_hash::Rehash,
};

/// How often a key is looked up anew for one request after waiting: once for a slow hash, once for
/// a host name, and once more if either changed under way.
const WAITS_MAX: usize = 3;

/// What is said of a credential that opens nothing.
pub(crate) const NO_SUCH_KEY: &str =
    "no such key; it may have been deleted, or belong to another installation";

/// A key that was recognised, with all that is needed to decide.
pub(crate) struct Recognition {
    pub(crate) record: KeyRecord,
    /// `None` for a key that is bound to no host.
    pub(crate) host: Option<Known>,
    /// The moment after the last wait.
    pub(crate) now: Now,
}

/// What a look-up came to.
enum Found {
    Key(Recognition),
    /// One of these slow hashes may fit.
    Slow(Vec<SlowSecret>),
    /// The addresses of the host that the key is bound to are not known.
    Bound(KeyRecord),
}

impl<C: Counters + 'static> Gateway<C> {
    /// Finds the key of a credential. Bad keys are counted against the address, where it is known.
    pub(crate) async fn recognise(
        &self,
        presented: &Presented<'_>,
        address: Option<IpAddr>,
        now: Now,
    ) -> Result<Recognition, Denial> {
        match self.look_up(&presented.secret, address, now)? {
            Found::Key(known) => Ok(known),
            // Boxed, so that requests that need not wait carry no room for it.
            found => Box::pin(self.wait_for(&presented.secret, address, found)).await,
        }
    }

    fn look_up(&self, secret: &[u8], address: Option<IpAddr>, now: Now) -> Result<Found, Denial> {
        let tables = self.tables();
        let record = match recognise(secret, &self.shared.snapshot.keyring, &tables.tables.foreign) {
            Recognised::Key { record, rehash, .. } => {
                if let Some(digest) = rehash {
                    self.offer_rehash(&record, digest);
                }
                record
            }
            Recognised::Slow(candidates) => {
                let digest = Digest::of(secret);
                let Some(record) = self.shared.slow_hashes.recall(&digest, &candidates) else {
                    return Ok(Found::Slow(candidates));
                };
                self.offer_rehash(&record, digest);
                record
            }
            Recognised::Nothing { code, detail } => return Err(self.bad_key(code, detail, address, now)),
        };
        let Some(name) = record.narrowing.as_ref().and_then(|own| own.bind_host.as_deref()) else {
            return Ok(Found::Key(Recognition { record, host: None, now }));
        };
        match self.hosts.remembered(name, now.mono_ns) {
            Some(known) => Ok(Found::Key(Recognition { record, host: Some(known), now })),
            None => Ok(Found::Bound(record)),
        }
    }

    async fn wait_for(
        &self,
        secret: &[u8],
        address: Option<IpAddr>,
        mut found: Found,
    ) -> Result<Recognition, Denial> {
        for _ in 0..WAITS_MAX {
            match found {
                Found::Key(known) => return Ok(known),
                Found::Slow(candidates) => self.verify(secret, address, candidates).await?,
                Found::Bound(record) => self.resolve(&record).await?,
            }
            let now = self.now();
            self.check_fresh(now)?;
            found = self.look_up(secret, address, now)?;
        }
        match found {
            Found::Key(known) => Ok(known),
            Found::Slow(_) | Found::Bound(_) => {
                Err(Denial::new(Code::Overloaded, "the key changed while it was being checked; try again"))
            }
        }
    }

    /// Lets the slow hashes be compared; afterwards the right one is known to the pool.
    async fn verify(
        &self,
        secret: &[u8],
        address: Option<IpAddr>,
        candidates: Vec<SlowSecret>,
    ) -> Result<(), Denial> {
        self.check_throttle(&self.shared.unknown_keys, address, self.now())?;
        match self.shared.slow_hashes.verify(secret, candidates).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.bad_key(Code::KeyUnknown, NO_SUCH_KEY, address, self.now())),
            Err(_busy) => Err(Denial::new(Code::Overloaded, "")),
        }
    }

    /// Lets the host of a key be resolved; afterwards it is remembered.
    async fn resolve(&self, record: &KeyRecord) -> Result<(), Denial> {
        let Some(name) = record.narrowing.as_ref().and_then(|own| own.bind_host.as_deref()) else {
            return Ok(());
        };
        let resolved = self.hosts.resolve(name, || self.mono_ns()).await;
        resolved.map(|_known| ()).map_err(|_| Denial::new(Code::Overloaded, ""))
    }

    fn offer_rehash(&self, record: &KeyRecord, digest: Digest) {
        self.shared.rehash.offer(Rehash { key: record.id, generation: record.generation, digest });
    }

    /// A bad key: counted against its address, and refused as such or for being one of too many.
    pub(crate) fn bad_key(
        &self,
        code: Code,
        detail: &'static str,
        address: Option<IpAddr>,
        now: Now,
    ) -> Denial {
        // What is no key at all is counted apart: it is a mistake more often than a guess.
        let throttle = match code {
            Code::KeyMalformed => &self.shared.malformed_keys,
            _ => &self.shared.unknown_keys,
        };
        if let Err(denial) = self.check_throttle(throttle, address, now) {
            return denial;
        }
        if let Some(address) = address {
            throttle.count(address, now.mono_ns);
        }
        Denial::new(code, detail)
    }

    fn check_throttle(&self, throttle: &Throttle, address: Option<IpAddr>, now: Now) -> Result<(), Denial> {
        let Some(wait_ns) = address.and_then(|address| throttle.wait_ns(address, now.mono_ns)) else {
            return Ok(());
        };
        self.meters.throttled.increment(1);
        Err(Denial::new(Code::TooManyBadKeys, "").wait_ns(wait_ns))
    }
}
