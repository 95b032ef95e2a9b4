//! The catalogue against the contract, and the page of the docs that is written from it.

use std::fmt::Write as _;

use tollgate_core::code::Code;
use tollgate_wire::codes::{API_ENTRIES, Entry, entry};

/// CONTRACT §3, word for word.
const CONTRACT: &[(&str, &str)] = &[
    ("400", "malformed_request, credential_ambiguous"),
    ("401", "key_missing, key_malformed, key_unknown, key_revoked, key_expired"),
    ("402", "budget_exhausted"),
    (
        "403",
        "key_disabled, key_blocked, service_not_granted, scope_missing, endpoint_not_allowed, \
         model_not_allowed, ip_not_allowed, host_mismatch, referer_not_allowed, origin_not_allowed, \
         user_agent_not_allowed, app_not_allowed, environment_mismatch, unpriceable",
    ),
    ("404", "no_service"),
    ("413 / 415 / 431", "body_too_large, unsupported_content, head_too_large"),
    ("429", "rate_limited, quota_exhausted, concurrency_exceeded, too_many_bad_keys"),
    ("502 / 503 / 504", "upstream_unreachable, auth_stale, overloaded, upstream_timeout"),
    // CONTRACT §4, kind ingest; it names the first and the last by their status alone.
    ("422 / 422 / 409", "record_invalid, idempotency_conflict, idempotency_in_progress"),
    // Added for kind predict.
    ("422 / 404 / 503", "inputs_invalid, no_model, model_unavailable"),
    // Added for signed requests.
    ("401", "signature_missing, signature_invalid, signature_expired"),
];

#[test]
fn every_code_has_the_status_of_the_contract() {
    let mut seen = 0;
    for (statuses, names) in CONTRACT {
        let statuses: Vec<u16> = statuses.split(" / ").map(|status| status.parse().unwrap()).collect();
        let names: Vec<&str> = names.split(", ").map(str::trim).collect();
        for (index, name) in names.iter().enumerate() {
            // Where a row has several statuses they go with the names in order; 503 has two names.
            let wanted = match (statuses.as_slice(), *name) {
                ([only], _) => *only,
                ([_, middle, _], "auth_stale" | "overloaded") => *middle,
                ([.., last], "upstream_timeout") => *last,
                (several, _) => several[index],
            };
            let code: Code = name.parse().unwrap();
            assert_eq!(entry(code).status.number(), wanted, "{name}");
            assert_eq!(entry(code).name, *name);
            seen += 1;
        }
    }
    assert_eq!(seen + 1, Code::ALL.len(), "the contract names every code but `valid`");
}

#[test]
fn asking_for_the_refusal_of_an_allowed_request_refuses() {
    assert_eq!(entry(Code::Valid).status.number(), 500);
    assert_eq!(entry(Code::Valid).name, "internal_error");
}

#[test]
fn every_refusal_by_a_limit_says_when_to_come_back() {
    for code in Code::ALL.iter().filter(|code| entry(**code).status.number() == 429) {
        assert!(matches!(entry(*code).retry, tollgate_wire::codes::Retry::Wait(1..)), "{code}");
    }
}

#[test]
fn the_page_of_codes_is_up_to_date() {
    let page = render();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/generated/codes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, &page).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/generated/codes.md is not what the catalogue says; run `UPDATE_DOCS=1 cargo test -p tollgate-wire codes`"
    );
}

fn render() -> String {
    let mut page = String::from(
        "<!-- Written by `UPDATE_DOCS=1 cargo test -p tollgate-wire codes`; do not edit. -->\n\n\
         # Codes\n\n\
         Every refusal is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`,\n\
         `code`, `decision_id` and, for limits, `violated-policies`. `code` is API: names never change.\n\
         `detail` says what was compared with what; its words may change.\n\n\
         The `type` is a registered one for limits and capacity and `urn:tollgate:code:<code>` otherwise.\n\
         `tollgate explain DECISION_ID` shows every check of a decision.\n\n\
         ## Decisions\n\n",
    );
    let decisions: Vec<&Entry> =
        Code::ALL.iter().filter(|code| **code != Code::Valid).map(|code| entry(*code)).collect();
    table(&mut page, &decisions);
    page.push_str(
        "\n`valid` is the code of an allowed request; it is seen in events and in answers of `verify`.\n\n\
         ## Answers of the service API that are no decisions\n\n",
    );
    table(&mut page, &API_ENTRIES);
    page.push_str("\n## Types\n\n| type | title | codes |\n| --- | --- | --- |\n");
    let mut types: Vec<(String, &str, Vec<&str>)> = Vec::new();
    for entry in decisions.iter().filter(|entry| entry.type_uri().starts_with("https:")) {
        match types.iter_mut().find(|(uri, ..)| *uri == entry.type_uri()) {
            Some((.., names)) => names.push(entry.name),
            None => types.push((entry.type_uri().into_owned(), entry.title, vec![entry.name])),
        }
    }
    for (uri, title, names) in types {
        let _ = writeln!(page, "| `{uri}` | {title} | `{}` |", names.join("`, `"));
    }
    page
}

fn table(page: &mut String, entries: &[&Entry]) {
    page.push_str("| code | status | title | what to do | try again? |\n| --- | --- | --- | --- | --- |\n");
    for entry in entries {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            entry.name,
            entry.status.number(),
            entry.title,
            entry.remedy,
            entry.retry.words(),
        );
    }
}
