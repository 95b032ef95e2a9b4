//! Keys for the load: valid by the grammar, the same in every run, so that maps of peers and the import of Tollgate
//! hold the same ones.

use std::fmt::Write;

/// How many different keys the load sends.
pub(super) const IN_USE: usize = 20_000;
/// How many keys the maps of the peers hold.
pub(super) const IN_MAPS: usize = 100_000;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The key with this number: prefix, environment, 26 letters from a fixed sequence, checksum.
pub(super) fn key(number: usize) -> String {
    let mut text = String::from("tg_live_");
    let mut state = number as u64;
    for _ in 0..26 {
        text.push(letter(split_mix(&mut state)));
    }
    let mut value = u64::from(crc32fast::hash(text.as_bytes()));
    let mut digits = ['0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = letter(value);
        value /= 62;
    }
    text.extend(digits);
    text
}

/// The keys that the load sends: spread over all, so that they are no run of neighbours in a map.
pub(super) fn in_use(all: usize) -> impl Iterator<Item = String> {
    let step = (all / IN_USE).max(1);
    (0..all.min(IN_USE)).map(move |index| key(index * step))
}

/// A file for `tollgate keys import --scheme sha256`: the digests of the first `all` keys.
pub(super) fn import_csv(all: usize) -> String {
    let mut text = String::with_capacity(all * 90 + 64);
    text.push_str("hash,consumer,policy\n");
    for number in 0..all {
        let digest = sha256_hex(key(number).as_bytes());
        let _ = writeln!(text, "{digest},load,standard");
    }
    text
}

fn letter(value: u64) -> char {
    let index = usize::try_from(value % 62).unwrap_or(0);
    char::from(ALPHABET.get(index).copied().unwrap_or(b'0'))
}

/// SplitMix64 (Steele, Lea, Flood 2014): a fixed, well mixed sequence. Nothing here is a secret.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut value = *state;
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_shape_and_differ() {
        let keys: std::collections::BTreeSet<String> = (0..1000).map(key).collect();
        assert_eq!(keys.len(), 1000);
        assert!(keys.iter().all(|key| key.len() == 40 && key.starts_with("tg_live_")));
    }
}
