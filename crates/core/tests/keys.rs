//! The grammar of keys: what is minted is recognised, what is damaged never is (I1).

use proptest::prelude::*;
use tollgate_core::{
    key::{Digest, Environment, ShapeError, check_prefix, check_shape, face, has_outline, mint},
    secret::Secret,
};

use crate::fixture::{Dice, key};

proptest! {
    #[test]
    fn what_is_minted_has_the_shape(
        prefix in "[a-z0-9]{2,12}",
        live: bool,
        random: [u8; 32],
    ) {
        let environment = if live { Environment::Live } else { Environment::Test };
        let key = mint(&prefix, environment, &Secret::new(random)).unwrap();
        prop_assert_eq!(check_shape(key.expose().as_bytes()), Ok(environment));
        prop_assert!(has_outline(key.expose().as_bytes()));
        prop_assert_eq!(key.expose().len(), prefix.len() + 6 + 32);
        let head = format!("{prefix}_{environment}_");
        prop_assert!(key.expose().starts_with(&head));
    }

    #[test]
    fn bytes_that_nobody_minted_have_no_shape(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(check_shape(&bytes).is_err());
    }

    #[test]
    fn texts_of_the_right_length_and_alphabet_fail_the_checksum(text in "[a-z]{2}_live_[0-9A-Za-z]{32}") {
        prop_assert_eq!(check_shape(text.as_bytes()), Err(ShapeError::Checksum));
    }

    #[test]
    fn what_has_not_the_outline_has_not_the_shape(
        text in "[a-z0-9]{0,14}_(live|test|liv|tests)_[0-9A-Za-z]{31,33}",
    ) {
        let is_shaped = check_shape(text.as_bytes()) != Err(ShapeError::Shape);
        prop_assert!(has_outline(text.as_bytes()) || !is_shaped, "{}", text);
    }

    #[test]
    fn prefixes_are_two_to_twelve_of_a_small_alphabet(prefix in "\\PC{0,16}") {
        let good = (2..=12).contains(&prefix.len())
            && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        prop_assert_eq!(check_prefix(&prefix).is_ok(), good);
        prop_assert_eq!(mint(&prefix, Environment::Live, &Secret::new([7; 32])).is_ok(), good);
    }
}

/// The bytes that a hand, a line break or a bad copy may put into a key.
const STRAY: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-. \n";

#[test]
fn of_a_million_damaged_keys_none_is_accepted() {
    const ROUNDS: u64 = 1_000_000;
    let mut dice = Dice(0x0701_1947);
    let mut good = Vec::new();
    let (mut refused, mut unchanged) = (0u64, 0u64);
    for round in 0..ROUNDS {
        if round % 1000 == 0 {
            good = key(["tg", "mbk", "abcdefghijkl"][dice.below(3)], round).into_bytes();
        }
        let mut damaged = good.clone();
        let at = dice.below(damaged.len());
        match dice.below(8) {
            0..=3 => damaged[at] = STRAY[dice.below(STRAY.len())],
            4 => damaged.truncate(at),
            5 => drop(damaged.drain(..=at)),
            6 => damaged.insert(at, STRAY[dice.below(STRAY.len())]),
            _ => damaged.swap(at, (at + 1) % good.len()),
        }
        if damaged == good {
            unchanged += 1;
        } else if check_shape(&damaged).is_err() {
            refused += 1;
        }
    }
    println!("{ROUNDS} damaged keys: {refused} refused, {unchanged} not damaged after all");
    assert_eq!(refused + unchanged, ROUNDS);
    assert!(unchanged < ROUNDS / 20);
}

#[test]
fn every_single_wrong_character_is_found() {
    let good = key("tg", 1).into_bytes();
    for at in 0..good.len() {
        for byte in 0..=u8::MAX {
            let mut damaged = good.clone();
            damaged[at] = byte;
            assert_eq!(check_shape(&damaged).is_ok(), damaged == good, "byte {byte} at {at}");
        }
    }
}

#[test]
fn the_format_is_frozen() {
    let key = mint("mbk", Environment::Test, &Secret::new([0xA5; 32])).unwrap();
    assert_eq!(key.expose(), "mbk_test_uCeo6GcvXrvOfuCeo6GcvXrvOf3Og5NA");
    let zero = mint("tg", Environment::Live, &Secret::new([0; 32])).unwrap();
    assert_eq!(zero.expose(), "tg_live_000000000000000000000000004DVcid");
}

#[test]
fn a_face_shows_the_last_four_characters_and_no_more() {
    let key = key("tg", 3);
    let face = face("tg", Environment::Live, &key);
    assert!(key.ends_with(&face.last4) && face.last4.len() == 4);
    let shown = serde_json::to_string(&face).unwrap();
    assert!(!shown.contains(key.split_at(key.len() - 5).1));
}

#[test]
fn secrets_and_digests_do_not_print_themselves() {
    let key = key("tg", 4);
    assert_eq!(format!("{:?}", Secret::new(key.clone())), "Secret(…)");
    assert_eq!(format!("{:?}", Digest::of(key.as_bytes())), "Digest(…)");
}

#[test]
fn digests_are_equal_when_every_byte_is() {
    let digest = Digest::of(b"x");
    assert_eq!(digest, Digest(digest.0));
    for at in 0..32 {
        for bit in 0..8 {
            let mut other = digest;
            other.0[at] ^= 1 << bit;
            assert_ne!(digest, other, "bit {bit} of byte {at}");
        }
    }
}
