//! Resources as people write them: read, written, refused with field and remedy.

use proptest::prelude::*;
use tollgate_core::{
    counters::RuleId,
    id::PolicyId,
    name::check_name,
    policy::{LIST_MAX, Policy, RULES_MAX},
    resource::Resources,
};

use crate::fixture::{compile, policy};

const EXAMPLE: &str = r#"
[[tenant]]
name = "acme"

[[project]]
tenant = "acme"
name = "maps"
key_prefix = "mbk"

[[service]]
project = "maps"
name = "tiles"
kind = "proxy"
match = { path_prefix = "/tiles", methods = ["GET"], host = "maps.example.com" }
upstreams = ["http://127.0.0.1:9000"]
strip_prefix = true

[[policy]]
project = "maps"
name = "standard"
services = ["tiles"]
scopes = ["read"]
endpoints = ["GET /tiles/**"]
allow_ips = ["10.0.0.0/8"]
allow_referers = ["https://*.example.com/*"]
allow_origins = ["https://app.example.com"]
allow_user_agents = ["MyApp/*"]
allow_apps = ["android:com.example.app:DA39A3EE5E6B4B0D3255BFEF95601890AFD80709", "ios:com.example.app"]
models = ["gemini-*"]
max_concurrency = 50
  [[policy.limit]]
  name = "burst"
  unit = "requests"
  amount = 100
  window = "1m"
  per = "key"
  mode = "local"
  [[policy.quota]]
  name = "monthly"
  unit = "requests"
  amount = 1000000
  period = "month"
  per = "consumer"

[[consumer]]
project = "maps"
name = "android-team"
kind = "partner"
external_id = "p-17"
"#;

#[test]
fn the_example_of_the_contract_is_read_written_and_read_again() {
    let resources: Resources = toml::from_str(EXAMPLE).unwrap();
    let written = toml::to_string(&resources).unwrap();
    assert_eq!(toml::from_str::<Resources>(&written).unwrap(), resources);
    let spec = &resources.policies[0];
    let row = tollgate_core::policy::PolicyRow {
        id: PolicyId(1),
        project: tollgate_core::id::ProjectId(1),
        version: 1,
    };
    let own = Policy::compile(spec, row, |_| Some(tollgate_core::id::ServiceId(1))).unwrap();
    let names: Vec<_> = own.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["concurrency", "burst", "monthly"]);
    assert!(tollgate_core::service_spec::check_service(&resources.services[0]).is_empty());
}

#[test]
fn unknown_fields_and_kinds_are_errors() {
    for text in [
        "[[tenant]]\nname = 'a'\nnmae = 'b'",
        "[[tenants]]\nname = 'a'",
        "[[service]]\nproject = 'p'\nname = 's'\nkind = 'carrier-pigeon'",
        "[[service]]\nproject = 'p'\nname = 's'\nkind = 'proxy'\nmatch = { prefix = '/x' }",
        "[[policy]]\nproject = 'p'\nname = 's'\nlimit = [{ name = 'x', amount = 1, window = '1m', period = 'day' }]",
        "[[policy]]\nproject = 'p'\nname = 's'\nlimit = [{ name = 'x', amount = -1, window = '1m' }]",
        "[[consumer]]\nproject = 'p'\nname = 's'\nkind = 'alien'",
    ] {
        assert!(toml::from_str::<Resources>(text).is_err(), "{text}");
    }
}

#[test]
fn a_policy_that_means_nothing_is_refused_everything_at_once() {
    let errors = compile(
        "services = ['tiles', 'gone', '*']\nscopes = ['', 'a b']\nendpoints = ['/tiles']\nallow_ips = ['10.0.0.0/99']\n\
         allow_referers = ['https://']\nallow_origins = ['ä']\nallow_apps = ['android:x', 'web:x']\nmax_concurrency = 0\n\
         limit = [{ name = 'a', amount = 0, window = '1m' }, { name = 'a', amount = 1, window = '0s', burst = 0 }, \
         { name = '!', amount = 1, window = '40d', mode = 'shared' }, \
         { name = 'huge', amount = 1, window = '30d', burst = 9000000000000000000 }]\n\
         quota = [{ name = 'a', amount = 1, period = 'day', time_zone = 'Mars/Olympus' }]",
    )
    .unwrap_err();
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn lists_and_rules_are_bounded() {
    let many = vec!["'1.2.3.4'"; LIST_MAX + 1].join(",");
    assert!(compile(&format!("allow_ips = [{many}]")).is_err());
    let limits: Vec<String> = (0..=RULES_MAX)
        .map(|number| format!("{{ name = 'l{number}', amount = 1, window = '1s' }}"))
        .collect();
    assert!(compile(&format!("limit = [{}]", limits.join(","))).is_err());
    assert!(compile(&format!("limit = [{}]", limits[1..].join(","))).is_ok());
}

#[test]
fn a_rule_keeps_its_count_when_its_amount_changes() {
    let id = |lines: &str| policy(lines).rules[0].id;
    let limit = |name: &str, amount: u64| {
        id(&format!("limit = [{{ name = '{name}', amount = {amount}, window = '1m' }}]"))
    };
    assert_eq!(limit("a", 1), limit("a", 2));
    assert_ne!(limit("a", 1), limit("b", 1));
    assert_ne!(limit("a", 1), id("quota = [{ name = 'a', amount = 1, period = 'day' }]"));
    // Stored with every charge: frozen for ever.
    assert_eq!(limit("a", 1), RuleId(6_671_889_174_854_418_302));
}

proptest! {
    #[test]
    fn names_are_short_and_plain(name in "\\PC{0,70}") {
        let good = (1..=64).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.chars().all(|sign| sign.is_ascii_alphanumeric() || "-_.".contains(sign));
        prop_assert_eq!(check_name(&name).is_ok(), good);
    }
}
