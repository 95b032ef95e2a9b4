//! When a delivery is tried again: the schedule that Standard Webhooks recommends, three days in all.

/// How often a delivery is tried at most.
pub const ATTEMPTS_MAX: u32 = PAUSES_S.len() as u32 + 1;

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3_600;
/// Pauses after the first, second… attempt.
const PAUSES_S: [i64; 9] = [
    5,
    5 * MINUTE_S,
    30 * MINUTE_S,
    2 * HOUR_S,
    5 * HOUR_S,
    10 * HOUR_S,
    14 * HOUR_S,
    20 * HOUR_S,
    24 * HOUR_S,
];
/// What a receiver asks for is kept to, up to this.
const RETRY_AFTER_MAX_S: i64 = 24 * HOUR_S;

/// The pause after so many attempts, microseconds; `None` when it was the last. `random` spreads it by up to a fifth
/// more, so that what failed together does not come again together. Never sooner than the receiver asks for.
#[must_use]
pub fn next_attempt_after(attempts: u32, retry_after_s: Option<u32>, random: u32) -> Option<i64> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let pause_us = PAUSES_S.get(index)? * 1_000_000;
    let spread_us = (i128::from(pause_us / 5) * i128::from(random) / i128::from(u32::MAX)) as i64;
    let asked_us = i64::from(retry_after_s.unwrap_or(0)).min(RETRY_AFTER_MAX_S) * 1_000_000;
    Some((pause_us + spread_us).max(asked_us))
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS_MAX, next_attempt_after};

    #[test]
    fn ten_attempts_are_made_over_three_days() {
        let pauses: Vec<i64> =
            (1..=ATTEMPTS_MAX).map_while(|attempts| next_attempt_after(attempts, None, 0)).collect();
        assert_eq!((ATTEMPTS_MAX, pauses.len()), (10, 9));
        assert_eq!(pauses.first(), Some(&5_000_000));
        let hours = pauses.iter().sum::<i64>() / 3_600_000_000;
        assert_eq!(hours, 75);
        assert_eq!(next_attempt_after(0, None, 0), None);
    }

    #[test]
    fn a_pause_is_spread_and_never_shorter_than_the_receiver_asks() {
        assert_eq!(next_attempt_after(1, None, u32::MAX), Some(6_000_000));
        assert_eq!(next_attempt_after(1, Some(120), 0), Some(120_000_000));
        assert_eq!(next_attempt_after(3, Some(1), 0), Some(1_800_000_000));
        assert_eq!(next_attempt_after(1, Some(u32::MAX), 0), Some(86_400_000_000));
    }
}
