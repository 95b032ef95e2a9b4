//! Which of a client's fields do not go upstream: lists of names, and of what names begin with.
//!
//! Nearly all of it is the same for every request of a service, and is made ready once. Names are in lower case.

use smallvec::SmallVec;

use super::field::FieldName;
use super::raw::NameSieve;

/// A list of names.
#[derive(Clone, Debug, Default)]
pub(super) struct NameList {
    /// Each with a line feed behind it. A usual list of one request needs no memory of its own.
    text: SmallVec<[u8; 48]>,
    names: NameSieve,
}

impl NameList {
    pub(super) fn add(&mut self, name: &FieldName) {
        let name = name.as_str().as_bytes();
        self.names.add(name);
        self.text.extend_from_slice(name);
        self.text.push(b'\n');
    }

    /// Whether `name` (lower-case) is in it.
    pub(super) fn holds(&self, name: &[u8]) -> bool {
        self.names.may_hold(name) && self.text.split(|&byte| byte == b'\n').any(|there| there == name)
    }
}

/// What of a client's does not go upstream, for all requests of a service alike.
#[derive(Clone, Debug, Default)]
pub struct StripList {
    names: NameList,
    prefixes: SmallVec<[&'static str; 2]>,
    /// A bit for the third byte of each prefix: few other names have the same one there.
    thirds: u64,
}

impl StripList {
    /// Adds a name.
    pub fn add(&mut self, name: &FieldName) {
        self.names.add(name);
    }

    /// Adds all names that begin with `prefix` (lower-case, at least three bytes).
    pub fn add_prefix(&mut self, prefix: &'static str) {
        debug_assert!(prefix.len() >= 3);
        self.thirds |= third(prefix.as_bytes());
        self.prefixes.push(prefix);
    }

    /// Whether it holds `name` (lower-case).
    pub(super) fn holds(&self, name: &[u8]) -> bool {
        self.names.holds(name)
            || (self.thirds & third(name) != 0
                && self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes())))
    }
}

/// The bit of a name's third byte; none of a shorter one.
fn third(name: &[u8]) -> u64 {
    name.get(2).map_or(0, |byte| 1 << (byte % 64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PREFIXES: [&str; 3] = ["x-forwarded-", "x-tollgate-", "cf-"];

    proptest! {
        /// Whatever is held besides, and however short a name is.
        #[test]
        fn a_list_holds_what_comparing_each_would(
            names in proptest::collection::vec("[a-c-]{1,3}", 0..8),
            prefixes in proptest::sample::subsequence(PREFIXES.to_vec(), 0..=3),
            asked in "[a-c-]{1,3}|(x-forwarded-|x-tollgate-|cf-|x-)[a-c]{0,2}",
        ) {
            let mut list = StripList::default();
            names.iter().for_each(|name| list.add(&FieldName::parse(name).unwrap()));
            prefixes.iter().copied().for_each(|prefix| list.add_prefix(prefix));
            let wanted = names.contains(&asked) || prefixes.iter().any(|prefix| asked.starts_with(prefix));
            prop_assert_eq!(list.holds(asked.as_bytes()), wanted);
        }
    }

    #[test]
    fn a_list_holds_its_names_and_prefixes_and_nothing_else() {
        let mut list = StripList::default();
        list.add(&FieldName::of("x-real-ip"));
        list.add(&FieldName::of("forwarded"));
        list.add_prefix("x-forwarded-");
        for name in ["x-real-ip", "forwarded", "x-forwarded-", "x-forwarded-for"] {
            assert!(list.holds(name.as_bytes()), "{name}");
        }
        for name in ["", "x-real", "real-ip", "x-real-ip2", "xxreal-ip", "forwarded-", "x-forwarded"] {
            assert!(!list.holds(name.as_bytes()), "{name}");
        }
    }
}
