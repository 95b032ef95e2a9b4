//! What a request took from a quota, and how it lies in a record: five little-endian numbers, or the rule and
//! the period in seconds where the rest follows from the record.

/// Bytes of one charge in a record.
pub(crate) const CHARGE_BYTES: usize = 40;
/// Bytes of one of which subject and amount follow from the record.
pub(crate) const SHORT_CHARGE_BYTES: usize = 16;

const SECOND_US: i64 = 1_000_000;

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

    /// Whether start and end are whole seconds that [`Self::to_short_bytes`] can write.
    #[inline]
    pub(crate) fn is_in_seconds(&self) -> bool {
        let is_it =
            |us: i64| u32::try_from(us / SECOND_US).is_ok_and(|seconds| i64::from(seconds) * SECOND_US == us);
        is_it(self.period_start_us) && is_it(self.period_end_us)
    }

    /// Without subject and amount; only for one that [is in seconds](Self::is_in_seconds).
    #[inline]
    pub(crate) fn to_short_bytes(self) -> [u8; SHORT_CHARGE_BYTES] {
        let seconds = |us: i64| (us / SECOND_US) as u32 as u64;
        let period = seconds(self.period_start_us) | seconds(self.period_end_us) << 32;
        let mut bytes = [0; SHORT_CHARGE_BYTES];
        for (place, number) in bytes.as_chunks_mut::<8>().0.iter_mut().zip([self.rule, period]) {
            *place = number.to_le_bytes();
        }
        bytes
    }

    #[inline]
    pub(crate) fn of_short_bytes(bytes: &[u8; SHORT_CHARGE_BYTES], subject: u64, amount: u64) -> Self {
        let mut numbers = [0; SHORT_CHARGE_BYTES / 8];
        for (number, place) in numbers.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *number = u64::from_le_bytes(*place);
        }
        let [rule, period] = numbers;
        let micros = |seconds: u64| i64::from(seconds as u32) * SECOND_US;
        let (period_start_us, period_end_us) = (micros(period), micros(period >> 32));
        Self { rule, subject, period_start_us, period_end_us, amount }
    }
}
