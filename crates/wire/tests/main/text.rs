//! Written by hand for speed, so compared with what is written by others.

use proptest::prelude::{any, proptest};
use tollgate_core::id::{DecisionId, KeyId};
use tollgate_wire::text::{DecisionText, DecisionTexts, push_id, push_number, rfc3339};

proptest! {
    #[test]
    fn a_decision_id_is_written_as_core_writes_it(boot in any::<u64>(), lane in any::<u16>(), number in any::<u64>()) {
        let id = DecisionId { boot, lane, number };
        assert_eq!(std::str::from_utf8(DecisionText::of(id).as_bytes()).unwrap(), id.to_string());
    }

    #[test]
    fn ids_of_one_lane_are_written_as_each_by_itself(
        boot in any::<u64>(),
        numbers in proptest::collection::vec((0_u16..2, any::<u64>()), 1..20),
    ) {
        let mut texts = DecisionTexts::new(DecisionId { boot, lane: 0, number: 0 });
        for (lane, number) in numbers {
            for number in [number, number.wrapping_add(1), number >> 40] {
                let id = DecisionId { boot, lane, number };
                assert_eq!(texts.text(id), DecisionText::of(id));
                assert_eq!(std::str::from_utf8(texts.text(id).as_bytes()).unwrap(), id.to_string());
            }
        }
    }

    #[test]
    fn a_key_id_is_written_as_core_writes_it(id in 0..=i64::MAX as u64) {
        let mut out = Vec::new();
        push_id(&mut out, "key", id);
        assert_eq!(String::from_utf8(out).unwrap(), KeyId(id).to_string());
    }

    #[test]
    fn a_number_is_written_as_std_writes_it(number in any::<u64>()) {
        let mut out = b"x".to_vec();
        push_number(&mut out, number);
        assert_eq!(String::from_utf8(out).unwrap(), format!("x{number}"));
    }

    #[test]
    fn a_moment_is_written_as_jiff_writes_it(wall_us in -62_167_219_200_000_000_i64..253_402_207_200_000_000) {
        let second = jiff::Timestamp::from_second(wall_us.div_euclid(1_000_000)).unwrap();
        assert_eq!(rfc3339(wall_us), second.to_string());
    }
}

#[test]
fn the_ends_of_the_ranges_are_written() {
    let mut out = Vec::new();
    push_number(&mut out, 0);
    out.push(b' ');
    push_number(&mut out, u64::MAX);
    assert_eq!(out, b"0 18446744073709551615");
    assert_eq!(rfc3339(i64::MAX), "9999-12-31T23:59:59Z");
    assert_eq!(rfc3339(i64::MIN), "0000-01-01T00:00:00Z");
    assert_eq!(rfc3339(951_782_400_000_000), "2000-02-29T00:00:00Z");
}
