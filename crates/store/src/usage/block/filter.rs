//! Which ids occur in a block: a Bloom filter over its keys, consumers, projects, tenants and
//! services, so that a question about one of them passes over the blocks that cannot answer.
//!
//! It never denies what is there; it says "perhaps" of one id in a hundred that is not. Ten bits an
//! id, seven of them set, chosen by one 64-bit hash of kind and id (Kirsch and Mitzenmacher, 2006).
//! The hash is kept in databases: it must not change without a new version of the block.

/// What an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::usage) enum Kind {
    Key = 1,
    Consumer = 2,
    Project = 3,
    Tenant = 4,
    Service = 5,
}

const BITS_AN_ID: usize = 10;
const PROBES: u64 = 7;

/// The hash of an id of some kind (the finaliser of SplitMix64).
#[inline]
pub(in crate::usage) fn mark(kind: Kind, id: u64) -> u64 {
    let mut mixed = id ^ (kind as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The filter of these ids.
pub(super) fn build(marks: &[u64]) -> Vec<u8> {
    let mut filter = vec![0u8; (marks.len() * BITS_AN_ID).div_ceil(8).max(8)];
    let bits = filter.len() as u64 * 8;
    for mark in marks {
        for bit in places(*mark, bits) {
            if let Some(byte) = filter.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    filter
}

/// Whether an id may be among those of the filter.
pub(in crate::usage) fn may_hold(filter: &[u8], mark: u64) -> bool {
    let bits = filter.len() as u64 * 8;
    places(mark, bits).all(|bit| filter.get(bit / 8).is_none_or(|byte| byte & (1 << (bit % 8)) != 0))
}

#[inline]
fn places(mark: u64, bits: u64) -> impl Iterator<Item = usize> {
    let step = mark.rotate_left(32) | 1;
    (0..PROBES).map(move |probe| {
        let hash = mark.wrapping_add(step.wrapping_mul(probe)) >> 32;
        ((hash * bits) >> 32) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::{Kind, build, mark, may_hold};

    #[test]
    fn what_is_there_is_never_denied_and_little_else_is_believed() {
        let marks: Vec<u64> = (0..5_000).map(|id| mark(Kind::Key, id * 7_919)).collect();
        let filter = build(&marks);
        assert!(marks.iter().all(|mark| may_hold(&filter, *mark)));
        let wrong = (0..10_000).filter(|id| may_hold(&filter, mark(Kind::Consumer, id * 7_919))).count();
        assert!(wrong < 200, "{wrong} of 10,000 were believed to be there");
        assert!(!may_hold(&build(&[]), mark(Kind::Key, 1)));
    }

    #[test]
    fn the_hash_stays_what_it_is() {
        assert_eq!(mark(Kind::Key, 0), 0xE220_A839_7B1D_CDAF);
        assert_ne!(mark(Kind::Key, 5), mark(Kind::Tenant, 5));
    }
}
