//! How many attempts an account and an address have. Both are counted in tables of a fixed size, so
//! that nobody fills memory: two names that share a cell share its attempts.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use tollgate_core::limits::{Gcra, Verdict};

use crate::problem::Refused;

/// Cells of each table.
const CELLS: usize = 1 << 16;
const SECOND_NS: u64 = 1_000_000_000;

/// What is counted of attempts.
#[derive(Debug)]
pub(crate) struct Throttle {
    accounts: Table,
    addresses: Table,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            // Ten wrong passwords at once, then one every half minute: some three thousand a day.
            accounts: Table::new(Gcra { interval_ns: 30 * SECOND_NS, burst: 10 }),
            // People behind one address share it.
            addresses: Table::new(Gcra { interval_ns: 6 * SECOND_NS, burst: 60 }),
        }
    }
}

impl Throttle {
    /// Takes an attempt from an account, named as the caller named it, and from an address. It is
    /// taken before anything is looked at, so that many attempts at once are counted one by one.
    pub(crate) fn take(&self, account: &str, address: IpAddr, now_ns: u64) -> Result<(), Refused> {
        self.addresses.take(&network(address), now_ns)?;
        self.accounts.take(&account.trim().to_lowercase(), now_ns)
    }

    /// Takes an attempt from an address alone, for links.
    pub(crate) fn take_address(&self, address: IpAddr, now_ns: u64) -> Result<(), Refused> {
        self.addresses.take(&network(address), now_ns)
    }

    /// Gives the attempt back: it was the person.
    pub(crate) fn give_back(&self, account: &str, address: IpAddr) {
        self.addresses.give_back(&network(address));
        self.accounts.give_back(&account.trim().to_lowercase());
    }
}

/// What counts as one address: an IPv4 address, or the network of an IPv6 one.
fn network(address: IpAddr) -> [u8; 9] {
    let mut bytes = [0; 9];
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&v4.octets());
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

    fn take(&self, name: &impl Hash, now_ns: u64) -> Result<(), Refused> {
        let refused = |after_ns: Option<u64>| Refused::TooManyAttempts {
            retry_after_s: after_ns.unwrap_or(self.rate.interval_ns).div_ceil(SECOND_NS).max(1),
        };
        let cell = self.cell(name).ok_or(refused(None))?;
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
            Verdict::Refuse { retry_after_ns } => Err(refused(retry_after_ns)),
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

    use super::{SECOND_NS, Throttle};

    #[test]
    fn an_account_has_ten_attempts_and_gets_one_back_in_half_a_minute() {
        let throttle = Throttle::default();
        let mut now = 1000 * SECOND_NS;
        let from = |index: u8| IpAddr::V4(Ipv4Addr::new(10, 0, 0, index));
        for index in 0..10 {
            assert_eq!(throttle.take("A@example.com", from(index), now), Ok(()), "from wherever it comes");
        }
        assert!(throttle.take(" a@example.com", from(11), now).is_err(), "however it is written");
        assert_eq!(throttle.take("b@example.com", from(11), now), Ok(()));
        now += 30 * SECOND_NS;
        assert_eq!(throttle.take("a@example.com", from(12), now), Ok(()));
        assert!(throttle.take("a@example.com", from(12), now).is_err());
        throttle.give_back("a@example.com", from(12));
        assert_eq!(throttle.take("a@example.com", from(12), now), Ok(()), "the person themselves");
    }

    #[test]
    fn an_address_has_its_attempts_over_all_accounts() {
        let throttle = Throttle::default();
        let now = 1000 * SECOND_NS;
        let good = |address: &str, count: u32| {
            let address = address.parse().unwrap();
            (0..count)
                .filter(|index| throttle.take(&format!("{address}{index}"), address, now).is_ok())
                .count()
        };
        assert_eq!(good("10.0.0.1", 100), 60);
        assert_eq!(good("2001:db8::1", 100), 60);
        assert_eq!(good("2001:db8::2", 100), 0, "the same network");
        assert_eq!(good("2001:db8:0:1::2", 100), 60);
    }
}
