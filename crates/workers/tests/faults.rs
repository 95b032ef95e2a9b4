//! What fails says so, and not too often.

use tollgate_core::time::Now;
use tollgate_workers::Faults;

const SECOND_NS: u64 = 1_000_000_000;

fn at(seconds: u64) -> Now {
    Now { wall_us: 0, mono_ns: seconds * SECOND_NS }
}

#[test]
fn a_row_of_failures_speaks_once_in_ten_seconds() {
    let mut faults = Faults::of("test");
    let spoke: Vec<u64> = (0..25).filter(|second| faults.failed(at(*second), &"it broke", None)).collect();
    assert_eq!(spoke, [0, 10, 20]);
    assert_eq!(faults.in_a_row(), 25);
    assert!(faults.worked(), "the end of what was told is told");
    assert!(!faults.worked());
    assert_eq!(faults.in_a_row(), 0);
}

#[test]
fn what_fails_now_and_then_is_as_quiet_as_what_fails_always() {
    let mut faults = Faults::of("test");
    let mut lines = 0;
    for tenth in 0..1000 {
        let now = Now { wall_us: 0, mono_ns: tenth * SECOND_NS / 10 };
        lines += u32::from(faults.failed(now, &"it broke", None));
        lines += u32::from(faults.worked());
    }
    assert_eq!(lines, 20, "one failure and one end of it in ten seconds");
}
