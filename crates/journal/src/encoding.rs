//! How a record lies in a frame: little-endian fields in a fixed order, then the texts.
//!
//! Explicit, not a cast of memory: the layout is the same on every machine and compiler, and old
//! segments stay readable. A change of the layout takes a new [`VERSION`]. What a frame is and how
//! it is checked is the business of `frame`.

use crate::charge::{CHARGE_BYTES, Charge};
use crate::record::{
    CHARGES_MAX, DETAIL_BYTES_MAX, Entry, Flags, LentCharges, LentRecord, PATH_BYTES_MAX, Record,
    StoredRecord, USER_AGENT_BYTES_MAX,
};

/// The version of this layout, the first byte of every record.
const VERSION: u8 = 1;
/// Version, counts of the tail, decision and entry, rounded up to 8.
const FIXED_BYTES: usize = 136;
/// The largest record.
pub(crate) const RECORD_BYTES_MAX: usize =
    FIXED_BYTES + CHARGES_MAX * CHARGE_BYTES + PATH_BYTES_MAX + DETAIL_BYTES_MAX + USER_AGENT_BYTES_MAX;

/// The texts of a record, cut to their bounds.
struct Tail<'a> {
    path: &'a str,
    detail: &'a str,
    user_agent: &'a str,
}

impl<'a> Tail<'a> {
    fn of(record: &Record<'a>) -> Self {
        Self {
            path: cut(record.path, PATH_BYTES_MAX),
            detail: cut(record.detail, DETAIL_BYTES_MAX),
            user_agent: cut(record.user_agent, USER_AGENT_BYTES_MAX),
        }
    }
}

/// How many bytes [`encode`] will write: a multiple of 8, at most [`RECORD_BYTES_MAX`].
#[inline]
pub(crate) fn encoded_bytes(record: &Record<'_>) -> usize {
    let tail = Tail::of(record);
    let texts = tail.path.len() + tail.detail.len() + tail.user_agent.len();
    (FIXED_BYTES + record.charges.as_slice().len() * CHARGE_BYTES + texts).next_multiple_of(8)
}

/// Writes the record into `target`, which has [`encoded_bytes`] bytes that may hold anything.
/// `None`, and nothing of use in `target`, when it has not.
#[inline]
pub(crate) fn encode(decision: u64, record: &Record<'_>, target: &mut [u8]) -> Option<()> {
    let tail = Tail::of(record);
    let charges = record.charges.as_slice();
    let (fixed, mut rest) = target.split_first_chunk_mut::<FIXED_BYTES>()?;
    let mut put = Put { bytes: fixed, at: 0 };
    put.bytes::<1>([VERSION]);
    put.bytes::<1>([charges.len() as u8]);
    put.bytes((tail.path.len() as u16).to_le_bytes());
    put.bytes((tail.detail.len() as u16).to_le_bytes());
    put.bytes((tail.user_agent.len() as u16).to_le_bytes());
    put.bytes(decision.to_le_bytes());
    put.entry(&record.entry);
    for charge in charges {
        let (chunk, after) = rest.split_first_chunk_mut::<CHARGE_BYTES>()?;
        *chunk = charge.to_bytes();
        rest = after;
    }
    for text in [tail.path, tail.detail, tail.user_agent] {
        let (part, after) = rest.split_at_mut_checked(text.len())?;
        part.copy_from_slice(text.as_bytes());
        rest = after;
    }
    rest.fill(0);
    (rest.len() < 8).then_some(())
}

/// Reads a record; `None` when these bytes are not one that [`encode`] writes.
pub(crate) fn decode(position: u64, bytes: &[u8]) -> Option<StoredRecord> {
    let layout = Layout::of(bytes)?;
    let mut take = Take { bytes: layout.parts.fixed, at: 8 };
    Some(StoredRecord {
        position,
        decision: u64::from_le_bytes(take.bytes()),
        entry: take.entry(),
        charges: layout.parts.charges.iter().map(Charge::of_bytes).collect(),
        path: layout.path.to_owned(),
        detail: layout.detail.to_owned(),
        user_agent: layout.user_agent.to_owned(),
    })
}

/// Reads a record without copying its texts. Only for bytes of which [`is_record`] holds: the texts
/// are not checked again.
#[inline]
pub(crate) fn lend(position: u64, bytes: &[u8]) -> Option<LentRecord<'_>> {
    let parts = Parts::of(bytes)?;
    let mut take = Take { bytes: parts.fixed, at: 8 };
    Some(LentRecord {
        position,
        decision: u64::from_le_bytes(take.bytes()),
        entry: take.entry(),
        charges: LentCharges::Encoded(parts.charges),
        path: parts.path,
        detail: parts.detail,
        user_agent: parts.user_agent,
    })
}

/// Whether [`decode`] would succeed, without allocating.
pub(crate) fn is_record(bytes: &[u8]) -> bool {
    Layout::of(bytes).is_some()
}

/// Where the parts of an encoded record lie, its texts not looked at yet.
struct Parts<'a> {
    fixed: &'a [u8; FIXED_BYTES],
    charges: &'a [[u8; CHARGE_BYTES]],
    path: &'a [u8],
    detail: &'a [u8],
    user_agent: &'a [u8],
}

impl<'a> Parts<'a> {
    #[inline]
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
        let mut take = Take { bytes: fixed, at: 0 };
        let [version] = take.bytes();
        let [charges] = take.bytes();
        let lengths: [usize; 3] = std::array::from_fn(|_| usize::from(u16::from_le_bytes(take.bytes())));
        let [path, detail, user_agent] = lengths;
        let bounded = usize::from(charges) <= CHARGES_MAX
            && path <= PATH_BYTES_MAX
            && detail <= DETAIL_BYTES_MAX
            && user_agent <= USER_AGENT_BYTES_MAX;
        if version != VERSION || !bounded {
            return None;
        }
        let (charges, rest) = rest.split_at_checked(usize::from(charges) * CHARGE_BYTES)?;
        let (path, rest) = rest.split_at_checked(path)?;
        let (detail, rest) = rest.split_at_checked(detail)?;
        let (user_agent, padding) = rest.split_at_checked(user_agent)?;
        if padding.len() >= 8 {
            return None;
        }
        Some(Self { fixed, charges: charges.as_chunks().0, path, detail, user_agent })
    }
}

/// An encoded record whose texts are texts.
struct Layout<'a> {
    parts: Parts<'a>,
    path: &'a str,
    detail: &'a str,
    user_agent: &'a str,
}

impl<'a> Layout<'a> {
    #[inline]
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let parts = Parts::of(bytes)?;
        Some(Self {
            path: str::from_utf8(parts.path).ok()?,
            detail: str::from_utf8(parts.detail).ok()?,
            user_agent: str::from_utf8(parts.user_agent).ok()?,
            parts,
        })
    }
}

/// Writes fields one behind the other; all offsets are known when this is compiled.
struct Put<'a, const SIZE: usize> {
    bytes: &'a mut [u8; SIZE],
    at: usize,
}

impl<const SIZE: usize> Put<'_, SIZE> {
    #[inline(always)]
    fn bytes<const N: usize>(&mut self, value: [u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(&value);
        self.at += N;
    }

    #[inline(always)]
    fn entry(&mut self, entry: &Entry) {
        self.bytes(entry.at_us.to_le_bytes());
        self.bytes(entry.key.to_le_bytes());
        self.bytes(entry.consumer.to_le_bytes());
        self.bytes(entry.project.to_le_bytes());
        self.bytes(entry.tenant.to_le_bytes());
        self.bytes(entry.service.to_le_bytes());
        self.bytes(entry.policy.to_le_bytes());
        self.bytes(entry.bytes_in.to_le_bytes());
        self.bytes(entry.bytes_out.to_le_bytes());
        self.bytes(entry.address);
        self.bytes(entry.latency_us.to_le_bytes());
        self.bytes(entry.upstream_us.to_le_bytes());
        self.bytes(entry.units.to_le_bytes());
        self.bytes(entry.checks_passed.to_le_bytes());
        self.bytes(entry.checks_configured.to_le_bytes());
        self.bytes(entry.status.to_le_bytes());
        self.bytes(entry.generation.to_le_bytes());
        self.bytes(entry.flags.0.to_le_bytes());
        self.bytes([entry.code]);
        self.bytes([entry.method]);
        self.bytes([0; 4]);
    }
}

/// Reads fields one behind the other, in the order of [`Put`].
struct Take<'a, const SIZE: usize> {
    bytes: &'a [u8; SIZE],
    at: usize,
}

impl<const SIZE: usize> Take<'_, SIZE> {
    #[inline(always)]
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut value = [0; N];
        value.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        value
    }

    #[inline(always)]
    fn entry(&mut self) -> Entry {
        Entry {
            at_us: i64::from_le_bytes(self.bytes()),
            key: u64::from_le_bytes(self.bytes()),
            consumer: u64::from_le_bytes(self.bytes()),
            project: u64::from_le_bytes(self.bytes()),
            tenant: u64::from_le_bytes(self.bytes()),
            service: u64::from_le_bytes(self.bytes()),
            policy: u64::from_le_bytes(self.bytes()),
            bytes_in: u64::from_le_bytes(self.bytes()),
            bytes_out: u64::from_le_bytes(self.bytes()),
            address: self.bytes(),
            latency_us: u32::from_le_bytes(self.bytes()),
            upstream_us: u32::from_le_bytes(self.bytes()),
            units: u32::from_le_bytes(self.bytes()),
            checks_passed: u32::from_le_bytes(self.bytes()),
            checks_configured: u32::from_le_bytes(self.bytes()),
            status: u16::from_le_bytes(self.bytes()),
            generation: u16::from_le_bytes(self.bytes()),
            flags: Flags(u16::from_le_bytes(self.bytes())),
            code: u8::from_le_bytes(self.bytes()),
            method: u8::from_le_bytes(self.bytes()),
        }
    }
}

/// The longest prefix of whole characters within `bytes_max`.
#[inline]
fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    text.split_at_checked(text.floor_char_boundary(bytes_max)).map_or("", |(kept, _)| kept)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::record::Charges;

    fn entries() -> impl Strategy<Value = Entry> {
        let ids = any::<[u64; 8]>();
        let sizes = (any::<[u32; 5]>(), any::<[u16; 3]>(), any::<[u8; 2]>(), any::<i64>(), any::<[u8; 16]>());
        (ids, sizes).prop_map(|(ids, (words, halves, bytes, at_us, address))| Entry {
            at_us,
            key: ids[0],
            consumer: ids[1],
            project: ids[2],
            tenant: ids[3],
            service: ids[4],
            policy: ids[5],
            bytes_in: ids[6],
            bytes_out: ids[7],
            address,
            latency_us: words[0],
            upstream_us: words[1],
            units: words[2],
            checks_passed: words[3],
            checks_configured: words[4],
            status: halves[0],
            generation: halves[1],
            flags: Flags(halves[2]),
            code: bytes[0],
            method: bytes[1],
        })
    }

    fn charges() -> impl Strategy<Value = Vec<Charge>> {
        let charge = (any::<[u64; 3]>(), any::<[i64; 2]>()).prop_map(|(numbers, times)| Charge {
            rule: numbers[0],
            subject: numbers[1],
            amount: numbers[2],
            period_start_us: times[0],
            period_end_us: times[1],
        });
        vec(charge, 0..=CHARGES_MAX)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            entry in entries(),
            charges in charges(),
            decision: u64,
            path in ".{0,700}",
            detail in "\\PC{0,200}",
            user_agent in "[a-zA-Zä€]{0,140}",
        ) {
            let record = Record {
                entry,
                charges: Charges::new(&charges).unwrap(),
                path: &path,
                detail: &detail,
                user_agent: &user_agent,
            };
            let mut bytes = vec![0xA5; encoded_bytes(&record)];
            prop_assert!(bytes.len() <= RECORD_BYTES_MAX);
            prop_assert!(bytes.len().is_multiple_of(8));
            prop_assert_eq!(encode(decision, &record, &mut bytes), Some(()));
            let stored = decode(7, &bytes).unwrap();
            prop_assert_eq!(stored.position, 7);
            prop_assert_eq!(stored.decision, decision);
            prop_assert_eq!(stored.entry, entry);
            prop_assert_eq!(&stored.charges, &charges);
            prop_assert!(path.starts_with(&stored.path) && stored.path.len() + 4 > path.len().min(PATH_BYTES_MAX));
            prop_assert!(detail.starts_with(&stored.detail));
            prop_assert!(stored.detail.len() + 4 > detail.len().min(DETAIL_BYTES_MAX));
            prop_assert!(user_agent.starts_with(&stored.user_agent));
            prop_assert!(stored.user_agent.len() + 4 > user_agent.len().min(USER_AGENT_BYTES_MAX));
            prop_assert!(is_record(&bytes));
            let lent = lend(7, &bytes).unwrap();
            prop_assert_eq!((lent.decision, lent.entry), (decision, entry));
            prop_assert_eq!(lent.charges().collect::<Vec<_>>(), charges);
            prop_assert_eq!((lent.path, lent.detail), (stored.path.as_bytes(), stored.detail.as_bytes()));
            prop_assert_eq!(lent.user_agent, stored.user_agent.as_bytes());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(decode(0, &bytes).is_some(), is_record(&bytes));
        }
    }

    #[test]
    fn the_largest_record_fits_and_a_short_target_is_refused() {
        let charges = [Charge::default(); CHARGES_MAX];
        let long = "x".repeat(5_000);
        let record = Record {
            charges: Charges::new(&charges).unwrap(),
            path: &long,
            detail: &long,
            user_agent: &long,
            ..Record::default()
        };
        assert_eq!(encoded_bytes(&record), RECORD_BYTES_MAX);
        assert_eq!(encode(1, &record, &mut [0; RECORD_BYTES_MAX]), Some(()));
        assert_eq!(encode(1, &record, &mut [0; RECORD_BYTES_MAX - 8]), None);
        assert!(Charges::new(&[Charge::default(); CHARGES_MAX + 1]).is_err());
    }
}
