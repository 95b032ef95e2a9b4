//! Numbers in few bytes: small ones take one (LEB128), differences of either sign are folded so that
//! small ones stay small (zigzag).

/// Appends a number, seven bits a byte, the lowest first.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number; `None` at the end, or when it is none.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0u64, 0u32);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

/// Appends the step from `before` to `now`.
#[inline]
pub(super) fn put_step(out: &mut Vec<u8>, before: i64, now: i64) {
    let step = now.wrapping_sub(before);
    put(out, ((step << 1) ^ (step >> 63)) as u64);
}

/// Takes a step from `before`.
#[inline]
pub(super) fn take_step(bytes: &mut &[u8], before: i64) -> Option<i64> {
    let folded = take(bytes)?;
    let step = (folded >> 1) as i64 ^ -((folded & 1) as i64);
    Some(before.wrapping_add(step))
}

/// Takes this many bytes.
#[inline]
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(head)
}

/// Takes an array.
#[inline]
pub(super) fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::{put, put_step, take, take_step};

    #[test]
    fn numbers_and_steps_come_back() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put(&mut out, number);
            let mut rest = out.as_slice();
            assert_eq!((take(&mut rest), rest), (Some(number), [].as_slice()));
            assert_eq!(take(&mut out.split_last().unwrap().1), None);
        }
        for (before, now) in [(0, 0), (5, 4), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (-3, 900)] {
            let mut out = Vec::new();
            put_step(&mut out, before, now);
            assert_eq!(take_step(&mut out.as_slice(), before), Some(now));
        }
        assert_eq!(take(&mut [0xFF; 12].as_slice()), None, "more bits than a number has");
    }
}
