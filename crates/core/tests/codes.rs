//! The catalogue of outcomes is API: names and numbers never change (CONTRACT §3).

use tollgate_core::code::Code;

#[test]
fn names_and_numbers_are_frozen() {
    let lines: Vec<String> = Code::ALL.iter().map(|code| format!("{:>3} {code}", code.number())).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_code_is_found_by_its_number_and_name() {
    for code in Code::ALL {
        assert_eq!(Code::from_number(code.number()), Some(*code));
        assert_eq!(code.name().parse(), Ok(*code));
        let json = serde_json::to_string(code).unwrap();
        assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), *code);
    }
    let known = Code::ALL.len();
    assert_eq!((0..=u8::MAX).filter_map(Code::from_number).count(), known);
    assert!("nonsense".parse::<Code>().is_err());
}
