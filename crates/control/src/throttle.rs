//! How many attempts there are. What is counted stands in tables of a fixed size, so that nobody fills
//! memory: two names that share a cell share its attempts.
//!
//! | counted | attempts | over it |
//! | --- | --- | --- |
//! | an address (an IPv6 network /64): sign-ins, links, ID tokens that do not hold | 60, one more every 6 s | refused |
//! | an account as seen from a network (/24, /64) | 10, one more every 30 s | refused |
//! | an account from everywhere | 300, one more every 3 s | slowed, never refused for that alone |
//! | wrong codes of an account's second factor, with the right password | 10, one more every 5 min | refused |
//! | wrong codes after one first step | 5 | it has to be taken again |
//! | a person who is signed in, about their own account | 10, one more every 30 s | refused |
//! | mails to an address that ask for nothing but a link | 10, one more every 5 min | not sent |
//! | mails to an address with an invitation | 10, one more every 5 min | not sent; whoever invites has the link |
//!
//! So nobody keeps a person out by guessing at their account from elsewhere, and nobody who is signed in
//! is kept from what is their own by guesses of others. Only whoever knows the password can use the codes
//! of an account up. How many are slowed at once is bounded by the attempts of each network at the account,
//! and by the connections of the listener.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tollgate_core::{
    id::UserId,
    key::Digest,
    limits::{Gcra, Verdict},
};
use unicode_normalization::UnicodeNormalization as _;

use crate::problem::Refused;

/// Cells of each table.
const CELLS: usize = 1 << 16;
const SECOND_NS: u64 = 1_000_000_000;
/// How long an attempt waits at an account that many guess at.
const SLOWED: Duration = Duration::from_secs(2);
/// Wrong codes after one first step; the last of them ends it.
const CODES_OF_STEP_MAX: u64 = 5;

/// Where somebody tries to come in. Each is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    /// A local account.
    Password,
    /// A directory, by what was typed.
    Directory,
    /// An entry that was found in a directory, however it was typed.
    Entry,
    /// A link to set a new password.
    Reset,
}

/// What is counted of attempts.
#[derive(Debug)]
pub(crate) struct Throttle {
    addresses: Table,
    /// Door, account and network.
    pairs: Table,
    /// Door and account.
    accounts: Table,
    /// People who are signed in.
    own: Table,
    /// Addresses that links are mailed to.
    mails: Table,
    /// Accounts whose password was right.
    codes: Table,
    /// First steps of sign-ins.
    steps: Table,
}

impl Default for Throttle {
    fn default() -> Self {
        let rate = |seconds, burst| Table::new(Gcra { interval_ns: seconds * SECOND_NS, burst });
        Self {
            // People behind one address share it.
            addresses: rate(6, 60),
            // Ten wrong passwords at once, then one every half minute: some three thousand a day.
            pairs: rate(30, 10),
            accounts: rate(3, 300),
            own: rate(30, 10),
            mails: rate(300, 10),
            // Of a million codes with three good ones at a time: some 300 a day, one in a thousand fits.
            codes: rate(300, 10),
            // A step is long over before one comes back.
            steps: rate(3600, CODES_OF_STEP_MAX - 1),
        }
    }
}

impl Throttle {
    /// Takes an attempt of somebody who is not signed in, at an account as it was typed. It is taken
    /// before anything is looked at, so that many attempts at once are counted one by one; at an account
    /// that many guess at it takes its time.
    pub(crate) async fn take(
        &self,
        (door, account): (Door, &str),
        address: IpAddr,
        now_ns: u64,
    ) -> Result<(), Refused> {
        self.take_address(address, now_ns)?;
        let account = normal(account);
        self.pairs.take(&(door, &account, network(address)), now_ns)?;
        if self.accounts.take(&(door, &account), now_ns).is_err() {
            tokio::time::sleep(SLOWED).await;
        }
        Ok(())
    }

    /// Takes an attempt from an address alone, for links.
    pub(crate) fn take_address(&self, address: IpAddr, now_ns: u64) -> Result<(), Refused> {
        self.addresses.take(&place(address), now_ns)
    }

    /// Whether an address has an attempt left; takes none.
    pub(crate) fn look_at_address(&self, address: IpAddr, now_ns: u64) -> Result<(), Refused> {
        self.addresses.look(&place(address), now_ns)
    }

    /// Takes an attempt at an entry that was found, for the same address and account as before; whether
    /// there was one left.
    pub(crate) fn take_entry(&self, entry: &impl Hash, address: IpAddr, now_ns: u64) -> bool {
        self.pairs.take(&(Door::Entry, entry, network(address)), now_ns).is_ok()
    }

    /// Takes an attempt of somebody who is signed in, about their own account.
    pub(crate) fn take_own(&self, user: UserId, address: IpAddr, now_ns: u64) -> Result<(), Refused> {
        self.take_address(address, now_ns)?;
        self.own.take(&user, now_ns)
    }

    /// Takes a code of the second factor of an account whose password was right, before it is compared.
    pub(crate) fn take_code(&self, user: UserId, now_ns: u64) -> Result<(), Refused> {
        self.codes.take(&user, now_ns)
    }

    /// Gives the code back: it fits.
    pub(crate) fn give_back_code(&self, user: UserId) {
        self.codes.give_back(&user);
    }

    /// Counts a wrong code after a first step; whether it was the last that the step is good for.
    pub(crate) fn is_last_code(&self, step: Digest, now_ns: u64) -> bool {
        self.steps.take(&step.0, now_ns).is_err()
    }

    /// Takes a mail with an invitation; whether it may be sent. Counted apart from those that people ask for
    /// themselves, so that neither uses the other up.
    pub(crate) fn take_invitation(&self, email: &str, now_ns: u64) -> bool {
        self.mails.take(&("invitation", normal(email)), now_ns).is_ok()
    }

    /// Takes a mail with a link; whether it may be sent, which is told to nobody.
    pub(crate) fn take_mail(&self, email: &str, address: IpAddr, now_ns: u64) -> Result<bool, Refused> {
        self.take_address(address, now_ns)?;
        let email = normal(email);
        self.pairs.take(&(Door::Reset, &email, network(address)), now_ns)?;
        Ok(self.mails.take(&email, now_ns).is_ok())
    }

    /// Gives the attempt back: it was the person.
    pub(crate) fn give_back(&self, (door, account): (Door, &str), address: IpAddr) {
        let account = normal(account);
        self.addresses.give_back(&place(address));
        self.pairs.give_back(&(door, &account, network(address)));
        self.accounts.give_back(&(door, &account));
    }

    /// Gives the attempt at an entry back.
    pub(crate) fn give_back_entry(&self, entry: &impl Hash, address: IpAddr) {
        self.pairs.give_back(&(Door::Entry, entry, network(address)));
    }

    /// Gives the attempt of somebody who is signed in back.
    pub(crate) fn give_back_own(&self, user: UserId, address: IpAddr) {
        self.addresses.give_back(&place(address));
        self.own.give_back(&user);
    }
}

/// A name as it is counted: however it is written (NFKC, case, space).
fn normal(name: &str) -> String {
    let folded = name.nfkc().collect::<String>().to_lowercase();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An address as it is counted: IPv4 whole, IPv6 its network /64.
pub(crate) fn place(address: IpAddr) -> [u8; 9] {
    network_of(address, 32)
}

/// The network that an account is tried from: /24, /64.
fn network(address: IpAddr) -> [u8; 9] {
    network_of(address, 24)
}

/// An address without what is behind so many bits of IPv4, or behind 64 of IPv6.
fn network_of(address: IpAddr, bits: u32) -> [u8; 9] {
    let mut bytes = [0; 9];
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&(v4.to_bits() & mask).to_be_bytes());
        }
        IpAddr::V6(v6) => {
            bytes[0] = 6;
            bytes[1..].copy_from_slice(&v6.octets()[..8]);
        }
    }
    bytes
}

#[derive(Debug)]
struct Table {
    rate: Gcra,
    /// Random, so that nobody can choose names that share a cell.
    hasher: RandomState,
    cells: Box<[AtomicU64]>,
}

impl Table {
    fn new(rate: Gcra) -> Self {
        Self { rate, hasher: RandomState::new(), cells: (0..CELLS).map(|_| AtomicU64::new(0)).collect() }
    }

    fn cell(&self, name: &impl Hash) -> Option<&AtomicU64> {
        self.cells.get(self.hasher.hash_one(name) as usize % CELLS)
    }

    fn refused(&self, after_ns: Option<u64>) -> Refused {
        let after_ns = after_ns.unwrap_or(self.rate.interval_ns);
        Refused::TooManyAttempts { retry_after_s: after_ns.div_ceil(SECOND_NS).max(1) }
    }

    fn look(&self, name: &impl Hash, now_ns: u64) -> Result<(), Refused> {
        let cell = self.cell(name).ok_or(self.refused(None))?;
        match self.rate.check(cell.load(Ordering::Acquire), now_ns, 1) {
            Verdict::Pass { .. } => Ok(()),
            Verdict::Refuse { retry_after_ns } => Err(self.refused(retry_after_ns)),
        }
    }

    fn take(&self, name: &impl Hash, now_ns: u64) -> Result<(), Refused> {
        let cell = self.cell(name).ok_or(self.refused(None))?;
        let mut verdict = Verdict::Refuse { retry_after_ns: None };
        let _outcome = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |arrival| {
            verdict = self.rate.check(arrival, now_ns, 1);
            match verdict {
                Verdict::Pass { arrival_ns } => Some(arrival_ns),
                Verdict::Refuse { .. } => None,
            }
        });
        match verdict {
            Verdict::Pass { .. } => Ok(()),
            Verdict::Refuse { retry_after_ns } => Err(self.refused(retry_after_ns)),
        }
    }

    fn give_back(&self, name: &impl Hash) {
        if let Some(cell) = self.cell(name) {
            let back = |arrival| Some(self.rate.give_back(arrival, 1));
            let _outcome = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, back);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use futures_util::future::{join, join_all};
    use tokio::time::Instant;
    use tollgate_core::id::UserId;

    use super::{Door, SECOND_NS, SLOWED, Throttle};

    const NOW: u64 = 1000 * SECOND_NS;

    fn from(network: u8, host: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, network, host))
    }

    #[tokio::test]
    async fn an_account_has_ten_attempts_from_a_network_and_gets_one_back_in_half_a_minute() {
        let throttle = Throttle::default();
        let take = async |name: &str, address, now| throttle.take((Door::Password, name), address, now).await;
        let mut now = NOW;
        for host in 0..10 {
            assert_eq!(take("A@example.com", from(0, host), now).await, Ok(()), "from the whole network");
        }
        assert!(take(" a@example.com", from(0, 11), now).await.is_err(), "however it is written");
        assert!(take("\u{ff41}@example.com ", from(0, 11), now).await.is_err(), "full width");
        assert_eq!(take("b@example.com", from(0, 11), now).await, Ok(()));
        assert_eq!(take("a@example.com", from(1, 11), now).await, Ok(()), "elsewhere the person comes in");
        let directory = throttle.take((Door::Directory, "a@example.com"), from(0, 11), now);
        assert_eq!(directory.await, Ok(()), "another door");
        now += 30 * SECOND_NS;
        assert_eq!(take("a@example.com", from(0, 12), now).await, Ok(()));
        assert!(take("a@example.com", from(0, 12), now).await.is_err());
        throttle.give_back((Door::Password, "a@example.com"), from(0, 12));
        assert_eq!(take("a@example.com", from(0, 12), now).await, Ok(()), "the person themselves");
    }

    #[tokio::test]
    async fn guesses_from_everywhere_slow_an_account_and_lock_nobody_out() {
        let throttle = Throttle::default();
        for attempt in 0..300_u16 {
            let address = IpAddr::V4(Ipv4Addr::new(11, (attempt >> 8) as u8, attempt as u8, 1));
            assert_eq!(throttle.take((Door::Password, "owner"), address, NOW).await, Ok(()));
        }
        let start = Instant::now();
        let guesses = (0..100).map(|host| throttle.take((Door::Password, "owner"), from(host, 2), NOW));
        let person = throttle.take((Door::Password, "owner"), from(200, 1), NOW);
        let (guesses, person) = join(join_all(guesses), person).await;
        assert_eq!(person, Ok(()), "it comes in, however many wait");
        assert!(guesses.iter().all(Result::is_ok), "and so does everybody else");
        assert!(start.elapsed() >= SLOWED, "after a while");
        assert_eq!(throttle.take_own(UserId(1), from(0, 1), NOW), Ok(()), "who is in is not touched");
        assert_eq!(throttle.take_mail("owner", from(0, 1), NOW), Ok(true));
    }

    #[test]
    fn who_is_signed_in_has_ten_attempts_at_what_is_their_own() {
        let throttle = Throttle::default();
        let good = |user| (0..20).filter(|host| throttle.take_own(user, from(*host, 1), NOW).is_ok()).count();
        assert_eq!((good(UserId(1)), good(UserId(2))), (10, 10));
        throttle.give_back_own(UserId(1), from(0, 1));
        assert_eq!(good(UserId(1)), 1);
    }

    #[test]
    fn nobody_is_flooded_with_links() {
        let throttle = Throttle::default();
        let sent = (0..50).filter(|host| throttle.take_mail("a@b", from(*host, 1), NOW) == Ok(true)).count();
        assert_eq!(sent, 10, "and each was answered alike");
        let sent = (0..50).filter(|_| throttle.take_invitation("A@b ", NOW)).count();
        assert_eq!(sent, 10, "nor with invitations");
    }

    #[tokio::test]
    async fn an_address_has_its_attempts_over_all_accounts() {
        let throttle = Throttle::default();
        let good = async |address: &str, count: u32| {
            let address = address.parse().unwrap();
            let mut good = 0;
            for index in 0..count {
                let name = format!("{address}{index}");
                good += u32::from(throttle.take((Door::Password, &name), address, NOW).await.is_ok());
            }
            good
        };
        assert_eq!(good("10.0.0.1", 100).await, 60);
        assert_eq!(good("10.0.0.2", 1).await, 1, "another address of the network");
        assert_eq!(good("2001:db8::1", 100).await, 60);
        assert_eq!(good("2001:db8::2", 100).await, 0, "the same network");
        assert_eq!(good("2001:db8:0:1::2", 100).await, 60);
    }
}
