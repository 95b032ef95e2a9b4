//! Every check of the decision: what passes, what fails, what is open, and that the unknown refuses.

use std::net::{IpAddr, Ipv4Addr};

use tollgate_core::{
    admit::{Case, Check, Decision, admit},
    blocks::Blocks,
    code::Code,
    facts::Facts,
    key::Environment,
    keyring::{KeyRecord, KeyState, Narrowing},
    policy::Policy,
    service::Service,
    signature::SignatureFact,
};

use crate::fixture::{Memory, NOON_US, NOW, OTHER_PROJECT, PROJECT, policy, record, service, service_of};

/// What a check says: its code when it fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Open,
    Pass,
    Fail(Code),
}

struct Table {
    check: Check,
    lines: Vec<String>,
}

/// One situation: a policy, a key, and the facts; [`Table::row`] says what becomes of it.
struct Situation<'a> {
    policy: Option<&'a Policy>,
    record: KeyRecord,
    facts: Facts<'a>,
}

impl Table {
    fn new(check: Check) -> Self {
        Self { check, lines: Vec::new() }
    }

    fn row(&mut self, name: &str, situation: &Situation<'_>, says: Says) {
        let Situation { policy, record, facts } = situation;
        let decision = admit(
            Case { facts, record, policy: *policy, blocks: Blocks::NONE, now: NOW },
            &Memory::default(),
        );
        assert_eq!(said(&decision, self.check), says, "{name}: {decision:?}");
        let words = match says {
            Says::Open => "open".to_owned(),
            Says::Pass => "pass".to_owned(),
            Says::Fail(code) => format!("{code}: {}", decision.detail.as_deref().unwrap()),
        };
        self.lines.push(format!("{:<11} {name:<44} {words}", self.check.name()));
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }
}

fn said(decision: &Decision, check: Check) -> Says {
    if decision.failed == Some(check) {
        assert!(decision.configured.contains(check) && !decision.passed.contains(check));
        return Says::Fail(decision.code);
    }
    assert_eq!(decision.code, Code::Valid, "another check decided: {decision:?}");
    assert!(decision.detail.is_none() && decision.failed.is_none());
    match (decision.configured.contains(check), decision.passed.contains(check)) {
        (true, true) => Says::Pass,
        (false, false) => Says::Open,
        other => panic!("{other:?}"),
    }
}

/// A request that everything allows.
fn facts(service: &Service) -> Facts<'_> {
    Facts {
        service: Some(service),
        method: Some("GET"),
        path: Some("/tiles/1"),
        address: Some(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3))),
        cost: 1,
        ..Facts::default()
    }
}

fn narrowed(narrowing: Narrowing) -> KeyRecord {
    KeyRecord { narrowing: Some(Box::new(narrowing)), ..record() }
}

#[test]
fn state() {
    let (tiles, open) = (service(""), policy(""));
    let mut table = Table::new(Check::State);
    for (state, says) in [
        (KeyState::Active, Says::Pass),
        (KeyState::Disabled, Says::Fail(Code::KeyDisabled)),
        (KeyState::Blocked, Says::Fail(Code::KeyBlocked)),
        (KeyState::Revoked, Says::Fail(Code::KeyRevoked)),
    ] {
        let record = KeyRecord { state, ..record() };
        table.row(state.name(), &Situation { policy: Some(&open), record, facts: facts(&tiles) }, says);
    }
    insta::assert_snapshot!(table.text());
}

#[test]
fn expiry() {
    let (tiles, open) = (service(""), policy(""));
    let mut table = Table::new(Check::Expiry);
    let expired = Says::Fail(Code::KeyExpired);
    for (name, expires_us, secret_until_us, says) in [
        ("never", i64::MAX, i64::MAX, Says::Open),
        ("in a microsecond", NOON_US + 1, i64::MAX, Says::Pass),
        ("this very microsecond", NOON_US, i64::MAX, expired),
        ("long ago", 0, i64::MAX, expired),
        ("before the calendar", i64::MIN, i64::MAX, expired),
        ("secret in its overlap", i64::MAX, NOON_US + 1, Says::Pass),
        ("secret after its overlap", i64::MAX, NOON_US, expired),
        ("both over", NOON_US, NOON_US, expired),
    ] {
        let record = KeyRecord { expires_us, secret_until_us, ..record() };
        table.row(name, &Situation { policy: Some(&open), record, facts: facts(&tiles) }, says);
    }
    insta::assert_snapshot!(table.text());
}

#[test]
fn environment() {
    let (open, any) = (policy(""), service(""));
    let (live, test) = (service("environment = 'live'"), service("environment = 'test'"));
    let mut table = Table::new(Check::Environment);
    let mismatch = Says::Fail(Code::EnvironmentMismatch);
    for (name, tiles, environment, says) in [
        ("live key, either", Some(&any), Environment::Live, Says::Open),
        ("live key, live service", Some(&live), Environment::Live, Says::Pass),
        ("test key, live service", Some(&live), Environment::Test, mismatch),
        ("live key, test service", Some(&test), Environment::Live, mismatch),
        ("no service asked", None, Environment::Test, Says::Open),
    ] {
        let record = KeyRecord { environment, ..record() };
        let facts = Facts { service: tiles.map(|own| &**own), ..facts(&any) };
        table.row(name, &Situation { policy: Some(&open), record, facts }, says);
    }
    insta::assert_snapshot!(table.text());
}

#[test]
fn service_grant() {
    let (tiles, foreign) = (service(""), service_of(OTHER_PROJECT, 1, "name = 'theirs'"));
    let other = service_of(PROJECT, 2, "name = 'search'");
    let (all, one, none) =
        (policy("services = ['*']"), policy("services = ['tiles']"), policy("services = []"));
    let mut of_another_project = policy("services = ['*']");
    of_another_project.project = OTHER_PROJECT;
    let without = KeyRecord { policy: None, ..record() };
    let mut table = Table::new(Check::Service);
    let refused = Says::Fail(Code::ServiceNotGranted);
    for (name, own, record, asked, says) in [
        ("all, own service", Some(&all), record(), Some(&tiles), Says::Pass),
        ("all, another of the project", Some(&all), record(), Some(&other), Says::Pass),
        ("all, another project's service (I21)", Some(&all), record(), Some(&foreign), refused),
        ("named", Some(&one), record(), Some(&tiles), Says::Pass),
        ("not named", Some(&one), record(), Some(&other), refused),
        ("none", Some(&none), record(), Some(&tiles), refused),
        ("key without policy", None, without.clone(), Some(&tiles), refused),
        ("key without policy, no service asked", None, without, None, Says::Open),
        ("no service asked", Some(&none), record(), None, Says::Open),
        ("policy not known", None, record(), Some(&tiles), refused),
        ("policy not known, no service asked", None, record(), None, refused),
        ("another project's policy", Some(&of_another_project), record(), Some(&tiles), refused),
        ("another project's policy, no service asked", Some(&of_another_project), record(), None, refused),
    ] {
        let facts = Facts { service: asked.map(|own| &**own), ..facts(&tiles) };
        table.row(name, &Situation { policy: own, record, facts }, says);
    }
    insta::assert_snapshot!(table.text());
}

#[test]
fn scopes() {
    let plain = service("");
    let asking = service(
        "endpoint_scopes = { 'POST /tiles/refunds/**' = ['refund', 'write'], 'GET /tiles/x' = ['x'] }",
    );
    let (read, none, admin) =
        (policy("scopes = ['read']"), policy("scopes = []"), policy("scopes = ['admin']"));
    let (all, refund) = (policy(""), policy("scopes = ['write', 'refund']"));
    let mut table = Table::new(Check::Scope);
    let missing = Says::Fail(Code::ScopeMissing);
    let ask = |name: &str, own: &Policy, change: Facts<'_>, says: Says, table: &mut Table| {
        table.row(name, &Situation { policy: Some(own), record: record(), facts: change }, says);
    };
    let base = facts(&plain);
    for method in ["GET", "HEAD", "OPTIONS"] {
        ask(
            &format!("read, {method}"),
            &read,
            Facts { method: Some(method), ..base },
            Says::Pass,
            &mut table,
        );
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "PURGE"] {
        ask(&format!("read, {method}"), &read, Facts { method: Some(method), ..base }, missing, &mut table);
        ask(
            &format!("admin, {method}"),
            &admin,
            Facts { method: Some(method), ..base },
            Says::Pass,
            &mut table,
        );
    }
    ask("any scope", &all, Facts { method: Some("DELETE"), ..base }, Says::Open, &mut table);
    ask("no scope at all", &none, base, missing, &mut table);
    ask("free word, not granted", &read, Facts { scopes: &["report"], ..base }, missing, &mut table);
    ask("free word, granted by admin", &admin, Facts { scopes: &["report"], ..base }, Says::Pass, &mut table);
    ask("method unknown", &read, Facts { method: None, ..base }, missing, &mut table);
    ask("method unknown, admin", &admin, Facts { method: None, ..base }, Says::Pass, &mut table);
    ask(
        "method unknown, scope said",
        &read,
        Facts { method: None, scopes: &["read"], ..base },
        Says::Pass,
        &mut table,
    );
    ask(
        "no service asked, method unknown",
        &read,
        Facts { service: None, method: None, ..base },
        Says::Pass,
        &mut table,
    );
    let base = Facts { method: Some("POST"), path: Some("/tiles/refunds/1"), ..facts(&asking) };
    let write = policy("scopes = ['write']");
    ask("endpoint asks, granted", &refund, base, Says::Pass, &mut table);
    ask("endpoint asks, not granted", &write, base, missing, &mut table);
    ask("another endpoint", &write, Facts { path: Some("/tiles/1"), ..base }, Says::Pass, &mut table);
    ask("endpoint not told apart, granted", &refund, Facts { path: None, ..base }, Says::Pass, &mut table);
    ask("endpoint not told apart, not granted", &write, Facts { path: None, ..base }, missing, &mut table);
    insta::assert_snapshot!(table.text());
}

#[test]
fn endpoints() {
    let tiles = service("");
    let (all, some, none) =
        (policy(""), policy("endpoints = ['GET /tiles/**', '* /tiles/*/meta']"), policy("endpoints = []"));
    let mut table = Table::new(Check::Endpoint);
    let refused = Says::Fail(Code::EndpointNotAllowed);
    let long = format!("/tiles-{}", "x".repeat(300));
    for (name, own, service, method, path, says) in [
        ("any", &all, Some(&tiles), Some("POST"), Some("/x"), Says::Open),
        ("matches", &some, Some(&tiles), Some("GET"), Some("/tiles/1"), Says::Pass),
        ("another method", &some, Some(&tiles), Some("POST"), Some("/tiles/1"), refused),
        ("second pattern", &some, Some(&tiles), Some("POST"), Some("/tiles/1/meta"), Says::Pass),
        ("another path", &some, Some(&tiles), Some("GET"), Some("/admin"), refused),
        ("a path too long to repeat", &some, Some(&tiles), Some("GET"), Some(long.as_str()), refused),
        ("empty list", &none, Some(&tiles), Some("GET"), Some("/tiles/1"), refused),
        ("method unknown", &some, Some(&tiles), None, Some("/tiles/1"), refused),
        ("path unknown", &some, Some(&tiles), Some("GET"), None, refused),
        ("no service asked, path unknown", &some, None, Some("GET"), None, Says::Open),
        ("no service asked, path known", &some, None, Some("GET"), Some("/admin"), refused),
    ] {
        let facts = Facts { service: service.map(|own| &**own), method, path, ..facts(&tiles) };
        table.row(name, &Situation { policy: Some(own), record: record(), facts }, says);
    }
    insta::assert_snapshot!(table.text());
}

#[test]
fn signatures() {
    let (plain, open) = (service(""), policy(""));
    let signed = service("signature = { scheme = 'stripe', secret = { secret = 's' } }");
    let mut table = Table::new(Check::Signature);
    let (missing, expired) = (Says::Fail(Code::SignatureMissing), Says::Fail(Code::SignatureExpired));
    for (name, service, signature, says) in [
        ("not asked for", &plain, SignatureFact::Invalid, Says::Open),
        ("right", &signed, SignatureFact::Valid, Says::Pass),
        ("the body is not read yet", &signed, SignatureFact::Unread, Says::Open),
        ("nobody has looked", &signed, SignatureFact::Unknown, missing),
        ("not there", &signed, SignatureFact::Missing, missing),
        ("wrong", &signed, SignatureFact::Invalid, Says::Fail(Code::SignatureInvalid)),
        ("too old", &signed, SignatureFact::Expired, expired),
        ("was here before", &signed, SignatureFact::Repeated, expired),
    ] {
        let facts = Facts { signature, ..facts(service) };
        table.row(name, &Situation { policy: Some(&open), record: record(), facts }, says);
    }
    insta::assert_snapshot!(table.text());
}

#[test]
fn models() {
    let tiles = service("");
    let (all, some, none) = (policy(""), policy("models = ['gemini-*']"), policy("models = []"));
    let mut table = Table::new(Check::Model);
    let refused = Says::Fail(Code::ModelNotAllowed);
    for (name, own, model, says) in [
        ("any", &all, Some("gpt-5"), Says::Open),
        ("no model call", &some, None, Says::Open),
        ("matches", &some, Some("Gemini-2.5-pro"), Says::Pass),
        ("another", &some, Some("gpt-5"), refused),
        ("empty list", &none, Some("gemini-2"), refused),
    ] {
        let facts = Facts { model, ..facts(&tiles) };
        table.row(name, &Situation { policy: Some(own), record: record(), facts }, says);
    }
    insta::assert_snapshot!(table.text());
}

#[test]
fn networks_of_policy_and_key() {
    let tiles = service("");
    let (all, some, none) =
        (policy(""), policy("allow_ips = ['10.0.0.0/8', '2001:db8::/32']"), policy("allow_ips = []"));
    let refused = Says::Fail(Code::IpNotAllowed);
    let rows = [
        ("any", &all, Some("1.2.3.4"), Says::Open),
        ("IPv4 inside", &some, Some("10.1.2.3"), Says::Pass),
        ("IPv4 written as IPv6", &some, Some("::ffff:10.1.2.3"), Says::Pass),
        ("IPv6 inside", &some, Some("2001:db8::7"), Says::Pass),
        ("outside", &some, Some("11.0.0.1"), refused),
        ("address unknown", &some, None, refused),
        ("empty list", &none, Some("10.1.2.3"), refused),
    ];
    let mut of_policy = Table::new(Check::Network);
    let mut of_key = Table::new(Check::KeyNetwork);
    for (name, own, address, says) in rows {
        let address = address.map(|text| text.parse().unwrap());
        let facts = Facts { address, ..facts(&tiles) };
        of_policy.row(name, &Situation { policy: Some(own), record: record(), facts }, says);
        let record = narrowed(Narrowing { networks: own.networks.clone(), ..Narrowing::default() });
        of_key.row(name, &Situation { policy: Some(&all), record, facts }, says);
    }
    insta::assert_snapshot!([of_policy.text(), of_key.text()].join("\n"));
}

#[test]
fn bound_host() {
    let (tiles, open) = (service(""), policy(""));
    let mut table = Table::new(Check::Host);
    let mismatch = Says::Fail(Code::HostMismatch);
    let own: [IpAddr; 2] = ["10.1.2.3".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    let mapped: [IpAddr; 1] = ["::ffff:10.1.2.3".parse().unwrap()];
    for (name, bound, address, known, says) in [
        ("not bound", None, Some("1.2.3.4"), None, Says::Open),
        ("its address", Some("h.example"), Some("10.1.2.3"), Some(&own[..]), Says::Pass),
        ("its IPv6 address", Some("h.example"), Some("2001:db8::7"), Some(&own[..]), Says::Pass),
        ("its address written as IPv6", Some("h.example"), Some("10.1.2.3"), Some(&mapped[..]), Says::Pass),
        ("another address", Some("h.example"), Some("10.9.9.9"), Some(&own[..]), mismatch),
        ("host has no address", Some("h.example"), Some("10.1.2.3"), Some(&[][..]), mismatch),
        ("host could not be resolved", Some("h.example"), Some("10.1.2.3"), None, mismatch),
        ("address unknown", Some("h.example"), None, Some(&own[..]), mismatch),
    ] {
        let record = narrowed(Narrowing { bind_host: bound.map(Into::into), ..Narrowing::default() });
        let address = address.map(|text| text.parse().unwrap());
        let facts = Facts { address, bound_host_addresses: known, ..facts(&tiles) };
        table.row(name, &Situation { policy: Some(&open), record, facts }, says);
    }
    insta::assert_snapshot!(table.text());
}

#[test]
fn headers_of_browsers_and_programs() {
    let tiles = service("");
    let all = policy("");
    let (referers, origins) = (
        policy("allow_referers = ['https://*.example.com/*']"),
        policy("allow_origins = ['https://app.example.com']"),
    );
    let agents = policy("allow_user_agents = ['MyApp/*']");
    let no_agents = policy("allow_user_agents = []");
    let mut lines = Vec::new();
    let refused =
        [Code::RefererNotAllowed, Code::OriginNotAllowed, Code::UserAgentNotAllowed].map(Says::Fail);
    let base = facts(&tiles);
    for (check, name, own, facts, says) in [
        (Check::Referer, "any", &all, base, Says::Open),
        (
            Check::Referer,
            "matches",
            &referers,
            Facts { referer: Some("https://a.example.com/x"), ..base },
            Says::Pass,
        ),
        (
            Check::Referer,
            "another",
            &referers,
            Facts { referer: Some("https://evil/.example.com/"), ..base },
            refused[0],
        ),
        (Check::Referer, "missing", &referers, base, refused[0]),
        (Check::Origin, "any", &all, base, Says::Open),
        (
            Check::Origin,
            "matches",
            &origins,
            Facts { origin: Some("https://app.example.com"), ..base },
            Says::Pass,
        ),
        (Check::Origin, "null", &origins, Facts { origin: Some("null"), ..base }, refused[1]),
        (Check::Origin, "missing", &origins, base, refused[1]),
        (Check::UserAgent, "any", &all, base, Says::Open),
        (
            Check::UserAgent,
            "matches",
            &agents,
            Facts { user_agent: Some("MyApp/2.1 (Linux)"), ..base },
            Says::Pass,
        ),
        (
            Check::UserAgent,
            "another",
            &agents,
            Facts { user_agent: Some("curl/8.1\u{7}"), ..base },
            refused[2],
        ),
        (Check::UserAgent, "missing", &agents, base, refused[2]),
        (Check::UserAgent, "empty list", &no_agents, Facts { user_agent: Some("x"), ..base }, refused[2]),
    ] {
        let mut table = Table::new(check);
        table.row(name, &Situation { policy: Some(own), record: record(), facts }, says);
        lines.push(table.text());
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn apps() {
    const CERTIFICATE: &str = "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709";
    const WITH_COLONS: &str = "da:39:a3:ee:5e:6b:4b:0d:32:55:bf:ef:95:60:18:90:af:d8:07:09";
    const OTHER: &str = "0000000000000000000000000000000000000000";
    let tiles = service("");
    let all = policy("");
    let some =
        policy(&format!("allow_apps = ['android:com.example.app:{CERTIFICATE}', 'ios:com.example.app']"));
    let none = policy("allow_apps = []");
    let mut table = Table::new(Check::App);
    let refused = Says::Fail(Code::AppNotAllowed);
    for (name, own, package, certificate, bundle, says) in [
        ("any", &all, None, None, None, Says::Open),
        ("Android", &some, Some("com.example.app"), Some(CERTIFICATE), None, Says::Pass),
        ("Android, with colons", &some, Some("com.example.app"), Some(WITH_COLONS), None, Says::Pass),
        ("Android, another certificate", &some, Some("com.example.app"), Some(OTHER), None, refused),
        ("Android, certificate missing", &some, Some("com.example.app"), None, None, refused),
        ("Android, certificate nonsense", &some, Some("com.example.app"), Some("xyz"), None, refused),
        ("Android, another package", &some, Some("com.evil"), Some(CERTIFICATE), None, refused),
        ("iOS", &some, None, None, Some("com.example.app"), Says::Pass),
        ("iOS, another bundle", &some, None, None, Some("com.example.App"), refused),
        ("no app named", &some, None, None, None, refused),
        ("empty list", &none, None, None, Some("com.example.app"), refused),
    ] {
        let facts = Facts {
            android_package: package,
            android_certificate: certificate,
            ios_bundle: bundle,
            ..facts(&tiles)
        };
        table.row(name, &Situation { policy: Some(own), record: record(), facts }, says);
    }
    insta::assert_snapshot!(table.text());
}
