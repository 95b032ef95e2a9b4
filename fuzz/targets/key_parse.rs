//! Any bytes as a credential. What passes must be a key by the published grammar, judged here a second time; every
//! minted key passes, and no key with one changed character does (I1).

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::key::{Environment, check_shape, mint};
use tollgate_core::secret::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fuzz_target!(|data: &[u8]| {
    assert_eq!(check_shape(data).is_ok(), is_key(data), "{:?}", String::from_utf8_lossy(data));
    if let Some((random, rest)) = data.split_first_chunk::<32>() {
        minted_keys_pass_and_typing_errors_do_not(*random, rest);
    }
});

/// The grammar of a key, written down apart from the product:
/// `prefix _ live|test _ 26 base62, 6 base62 of the CRC-32 of everything before`.
fn is_key(data: &[u8]) -> bool {
    let parts: Vec<&[u8]> = data.split(|byte| *byte == b'_').collect();
    let [prefix, environment, tail] = parts[..] else { return false };
    let lower = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (2..=12).contains(&prefix.len())
        && prefix.iter().all(lower)
        && (environment == b"live" || environment == b"test")
        && tail.len() == 32
        && tail.iter().all(u8::is_ascii_alphanumeric)
        && tail[26..] == checksum(&data[..data.len() - 6])
}

fn checksum(text: &[u8]) -> [u8; 6] {
    let mut value = crc32fast::hash(text) as usize;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[value % 62];
        value /= 62;
    }
    digits
}

fn minted_keys_pass_and_typing_errors_do_not(random: [u8; 32], rest: &[u8]) {
    let minted = mint("tg", Environment::Live, &Secret::new(random)).expect("`tg` is a prefix");
    let key = minted.expose().as_bytes();
    assert_eq!(check_shape(key), Ok(Environment::Live));
    if let [position, letter, ..] = rest {
        let mut typo = key.to_vec();
        let position = usize::from(*position) % typo.len();
        let letter = ALPHABET[usize::from(*letter) % ALPHABET.len()];
        if typo[position] != letter {
            typo[position] = letter;
            assert!(check_shape(&typo).is_err(), "{:?}", String::from_utf8_lossy(&typo));
        }
    }
}
