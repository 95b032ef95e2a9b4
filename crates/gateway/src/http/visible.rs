//! Whether a text is visible ASCII and spaces: asked of every value of every head, so eight bytes at a time.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;

/// Whether there is nothing in `text` but visible ASCII and spaces.
#[inline]
pub(super) fn is_visible(text: &[u8]) -> bool {
    let (eights, rest) = text.as_chunks::<8>();
    let odd = eights.iter().fold(0, |odd, eight| odd | odd_bytes(u64::from_ne_bytes(*eight)));
    let is_rest_odd = match text.last_chunk::<8>() {
        // The last eight bytes once more are quicker than the rest byte by byte.
        Some(last) => odd_bytes(u64::from_ne_bytes(*last)) != 0,
        None => rest.iter().any(|byte| !(0x20..0x7f).contains(byte)),
    };
    odd == 0 && !is_rest_odd
}

/// How many bytes at the start of `text` are visible ASCII or spaces.
#[inline]
pub(super) fn visible_prefix(text: &[u8]) -> usize {
    let (eights, rest) = text.as_chunks::<8>();
    for (at, eight) in eights.iter().enumerate() {
        // The lowest mark is right; the bytes behind an odd one may be marked without being odd.
        let odd = odd_bytes(u64::from_le_bytes(*eight));
        if odd != 0 {
            return at * 8 + odd.trailing_zeros() as usize / 8;
        }
    }
    let is_visible = |byte: &&u8| (0x20..0x7f).contains(*byte);
    text.len() - rest.len() + rest.iter().take_while(is_visible).count()
}

/// Not 0 if any of the eight bytes is below a space, a delete, or beyond ASCII. ("Bit Twiddling Hacks",
/// S. E. Anderson: a byte less than n, a byte that is zero.)
#[inline]
fn odd_bytes(eight: u64) -> u64 {
    let below_space = eight.wrapping_sub(ONES * 0x20) & !eight;
    let without_delete = eight ^ (ONES * 0x7f);
    let delete = without_delete.wrapping_sub(ONES) & !without_delete;
    (below_space | delete | eight) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::{is_visible, visible_prefix};

    #[test]
    fn each_byte_is_judged_wherever_it_stands() {
        for len in 1..=20 {
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    for around in [b' ', b'a', b'~'] {
                        let mut text = vec![around; len];
                        text[at] = byte;
                        let is_odd = !matches!(byte, b' '..=b'~');
                        assert_eq!(is_visible(&text), !is_odd, "{byte} at {at} of {len}");
                        assert_eq!(visible_prefix(&text), if is_odd { at } else { len });
                    }
                }
            }
        }
        assert!(is_visible(b""));
        assert_eq!(visible_prefix(b""), 0);
    }
}
