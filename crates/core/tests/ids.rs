//! Ids and base62: what is written is read back, and nothing else is.

use proptest::prelude::*;
use tollgate_core::id::{DecisionId, KeyId, PolicyId, base62, parse_base62};

proptest! {
    #[test]
    fn base62_round_trips(value: u128) {
        let digits = base62::<22>(value);
        prop_assert_eq!(parse_base62(&digits), Some(value));
        prop_assert_eq!(&base62::<11>(value)[..], &digits[11..]);
    }

    #[test]
    fn base62_equals_the_school_method(value: u128) {
        let mut rest = value;
        let mut digits = Vec::new();
        for _ in 0..22 {
            digits.push(tollgate_core::id::BASE62[(rest % 62) as usize]);
            rest /= 62;
        }
        digits.reverse();
        prop_assert_eq!(base62::<22>(value).to_vec(), digits);
    }

    #[test]
    fn reading_base62_never_fails_otherwise_than_by_none(text in prop::collection::vec(any::<u8>(), 0..40)) {
        let alphanumeric = !text.is_empty() && text.iter().all(u8::is_ascii_alphanumeric);
        match parse_base62(&text) {
            Some(_) => prop_assert!(alphanumeric),
            None => prop_assert!(!alphanumeric || text.len() > 21),
        }
    }

    #[test]
    fn ids_round_trip_as_text_sql_and_json(bytes: [u8; 8]) {
        let id = KeyId::from_random(bytes);
        prop_assert!(id.to_sql() >= 0);
        prop_assert_eq!(KeyId::from_sql(id.to_sql()), id);
        prop_assert_eq!(id.to_string().parse::<KeyId>().unwrap(), id);
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<KeyId>(&json).unwrap(), id);
        prop_assert!(id.to_string().parse::<PolicyId>().is_err());
    }

    #[test]
    fn decision_ids_round_trip(boot in 0u64..1 << 48, lane: u16, number: u64) {
        let id = DecisionId { boot, lane, number };
        let text = id.to_string();
        prop_assert_eq!(text.len(), 26);
        prop_assert_eq!(text.parse::<DecisionId>().unwrap(), id);
    }
}

#[test]
fn what_is_no_id_is_refused_with_an_example() {
    for text in [
        "",
        "key_",
        "key_1",
        "key_0000000000!",
        "key_000000000000",
        "KEY_00000000000",
        "key-00000000000",
        "key_zzzzzzzzzzz",
        "pol_00000000001",
        " key_00000000001",
        "key_0000000000é",
    ] {
        let error = text.parse::<KeyId>().unwrap_err().to_string();
        assert!(error.contains("looks like `key_`"), "{text}: {error}");
    }
    for text in ["dec_", "dec_0000000000000000000000000", "dec_zzzzzzzzzzzzzzzzzzzzzz"] {
        assert!(text.parse::<DecisionId>().is_err(), "{text}");
    }
}
