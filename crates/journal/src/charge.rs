//! What a request took from a quota, and how it lies in a record: five little-endian numbers.

/// Bytes of one charge in a record.
pub(crate) const CHARGE_BYTES: usize = 40;

/// An amount that the request took from a quota, so that shipping makes the durable count exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// The quota's rule.
    pub rule: u64,
    /// Whose count: key, consumer, project or address.
    pub subject: u64,
    /// The start of the period that was charged, microseconds since 1970 UTC.
    pub period_start_us: i64,
    /// Its end.
    pub period_end_us: i64,
    /// How much.
    pub amount: u64,
}

impl Charge {
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; CHARGE_BYTES] {
        let Self { rule, subject, period_start_us, period_end_us, amount } = self;
        let numbers = [rule, subject, period_start_us.cast_unsigned(), period_end_us.cast_unsigned(), amount];
        let mut bytes = [0; CHARGE_BYTES];
        for (place, number) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        bytes
    }

    #[inline]
    pub(crate) fn of_bytes(bytes: &[u8; CHARGE_BYTES]) -> Self {
        let mut numbers = [0; CHARGE_BYTES / 8];
        for (number, place) in numbers.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *number = u64::from_le_bytes(*place);
        }
        let [rule, subject, start, end, amount] = numbers;
        Self { rule, subject, period_start_us: start.cast_signed(), period_end_us: end.cast_signed(), amount }
    }
}
