//! Lengths of time as people write them.

use proptest::prelude::*;
use tollgate_core::time::Span;

#[test]
fn spans_are_a_whole_number_and_a_unit() {
    for (text, micros) in [
        ("0s", 0),
        ("250ms", 250_000),
        ("2s", 2_000_000),
        ("1m", 60_000_000),
        ("12h", 43_200_000_000),
        ("90d", 7_776_000_000_000),
        ("4w", 2_419_200_000_000),
    ] {
        assert_eq!(text.parse::<Span>().unwrap().as_micros(), micros, "{text}");
    }
    for text in ["", "s", "1", "1.5s", "-1s", "+1s", "1 s", "1S", "1y", "1m30s", "18446744073709551615w", "é"]
    {
        let error = text.parse::<Span>().unwrap_err().to_string();
        assert!(error.contains("250ms"), "{error}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(millis in 0u64..10_000_000_000) {
        let span = Span::from_millis(millis);
        prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        let json = serde_json::to_string(&span).unwrap();
        prop_assert_eq!(serde_json::from_str::<Span>(&json).unwrap(), span);
    }
}
