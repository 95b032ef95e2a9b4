//! Which service takes a request, against the definition in words.

use std::{cmp::Reverse, sync::Arc};

use proptest::prelude::*;
use tollgate_core::{
    id::ServiceId,
    resource::MatchSpec,
    route::{Router, could_tie, takes_from, ties},
    service::Service,
    service_spec::{Scheme, Upstream, check_service},
};

use crate::fixture::{PROJECT, service_of};

fn with_match(number: u64, matches: &MatchSpec) -> Arc<Service> {
    let service = service_of(PROJECT, number, "");
    let mut spec = (*service.spec).clone();
    spec.matches = matches.clone();
    let row = tollgate_core::service::ServiceRow {
        id: ServiceId(number),
        project: PROJECT,
        tenant: service.tenant,
        version: 1,
    };
    Arc::new(Service::compile(Arc::new(spec), row).unwrap())
}

fn matching(host: Option<&str>, prefix: Option<&str>, methods: Option<&[&str]>) -> MatchSpec {
    MatchSpec {
        host: host.map(str::to_owned),
        path_prefix: prefix.map(str::to_owned),
        methods: methods.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
    }
}

/// How well a match fits a request by the words of the contract: smaller is better; `None` not.
fn rank(
    spec: &MatchSpec,
    host: Option<&str>,
    path: &str,
    method: &str,
) -> Option<(u8, Reverse<usize>, Reverse<usize>, u8)> {
    let (class, suffix) = match (&spec.host, host) {
        (None, _) => (2, 0),
        (Some(_), None) => return None,
        (Some(own), Some(host)) => match own.strip_prefix('*') {
            Some(suffix) if host.len() > suffix.len() && host.ends_with(suffix) => (1, suffix.len()),
            None if own == host => (0, 0),
            _ => return None,
        },
    };
    let prefix = spec.path_prefix.as_deref().unwrap_or("").trim_end_matches('/');
    let below = path == prefix || path.starts_with(&format!("{prefix}/"));
    let method_class = match &spec.methods {
        Some(own) if own.iter().any(|name| name == method) => 0,
        Some(_) => return None,
        None => 1,
    };
    below.then_some((class, Reverse(suffix), Reverse(prefix.len()), method_class))
}

fn any_match() -> impl Strategy<Value = MatchSpec> {
    let host = prop_oneof![Just(None), Just(Some("a.test")), Just(Some("*.test")), Just(Some("*.a.test"))];
    let prefix = prop_oneof![
        Just(Some("/")),
        Just(Some("/x")),
        Just(Some("/x/")),
        Just(Some("/x/y")),
        Just(Some("/xy"))
    ];
    let methods = prop_oneof![
        Just(None),
        Just(Some(&["GET"][..])),
        Just(Some(&["POST"][..])),
        Just(Some(&["GET", "POST"][..])),
    ];
    (host, prefix, methods).prop_map(|(host, prefix, methods)| matching(host, prefix, methods))
}

/// Requests that tell all matches of [`any_match`] apart.
fn requests() -> impl Iterator<Item = (Option<&'static str>, &'static str, &'static str)> {
    let hosts = [None, Some("a.test"), Some("b.test"), Some("b.a.test"), Some("test"), Some("other")];
    let paths = ["/", "/x", "/x/", "/x/y", "/x/y/z", "/xy", "/xyz", "/z"];
    hosts.into_iter().flat_map(move |host| {
        paths.into_iter().flat_map(move |path| ["GET", "POST", "PUT"].map(move |method| (host, path, method)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn the_best_match_takes_the_request(specs in prop::collection::vec(any_match(), 1..6)) {
        let mut kept: Vec<MatchSpec> = Vec::new();
        for spec in specs {
            if !kept.iter().any(|other| could_tie(other, &spec)) {
                kept.push(spec);
            }
        }
        let services: Vec<_> = (0..).zip(&kept).map(|(number, spec)| with_match(number, spec)).collect();
        let router = Router::new(services.iter().rev().cloned());
        for (host, path, method) in requests() {
            let best = kept
                .iter()
                .enumerate()
                .filter_map(|(index, spec)| Some((rank(spec, host, path, method)?, index)))
                .min()
                .map(|(_, index)| ServiceId(index as u64));
            let found = router.find(host, path, method).map(|service| service.id);
            prop_assert_eq!(found, best, "{:?} {} {} in {:?}", host, path, method, kept);
        }
    }

    #[test]
    fn every_pair_that_could_tie_is_found_and_no_other(a in any_match(), b in any_match()) {
        let ties_somewhere = requests().any(|(host, path, method)| {
            let a = rank(&a, host, path, method);
            a.is_some() && a == rank(&b, host, path, method)
        });
        prop_assert_eq!(could_tie(&a, &b), ties_somewhere);
        prop_assert_eq!(could_tie(&b, &a), ties_somewhere);
        let found = ties(&[(ServiceId(1), &a), (ServiceId(2), &b)]);
        prop_assert_eq!(!found.is_empty(), ties_somewhere);
    }

    #[test]
    fn who_would_take_requests_of_another_is_found(own in any_match(), other in any_match()) {
        let takes_some = requests().any(|(host, path, method)| {
            let ranks = (rank(&own, host, path, method), rank(&other, host, path, method));
            matches!(ranks, (Some(own), Some(other)) if own <= other)
        });
        prop_assert!(!takes_some || takes_from(&own, &other), "{:?} takes from {:?}", own, other);
    }
}

#[test]
fn hosts_are_compared_without_case_and_final_dot() {
    let router = Router::new([
        with_match(1, &matching(Some("Maps.Example.com"), None, None)),
        with_match(2, &matching(Some("*.example.com"), None, None)),
        with_match(3, &matching(None, Some("/"), None)),
    ]);
    let found = |host| router.find(Some(host), "/", "GET").map(|service| service.id.0);
    assert_eq!(found("maps.example.com"), Some(1));
    assert_eq!(found("MAPS.EXAMPLE.COM"), Some(1));
    assert_eq!(found("maps.example.com."), Some(1));
    assert_eq!(found("other.example.com"), Some(2));
    assert_eq!(found("example.com"), Some(3));
    assert_eq!(found(".example.com"), Some(3));
    assert_eq!(found("evilexample.com"), Some(3));
    assert_eq!(router.find(None, "/", "GET").map(|service| service.id.0), Some(3));
}

#[test]
fn a_prefix_ends_at_a_slash() {
    let router = Router::new([with_match(1, &matching(None, Some("/tiles"), None))]);
    for (path, taken) in [
        ("/tiles", true),
        ("/tiles/", true),
        ("/tiles/1", true),
        ("/tilesets", false),
        ("/Tiles", false),
        ("/", false),
    ] {
        assert_eq!(router.find(None, path, "GET").is_some(), taken, "{path}");
    }
}

#[test]
fn services_that_mean_nothing_are_refused_everything_at_once() {
    let spec = toml::from_str(
        "project = 'maps'\nname = '-'\nkind = 'proxy'\nretries = 6\n\
         match = { host = 'maps.example.com:8080', path_prefix = '/v1/me/', methods = ['get'] }\n\
         upstreams = ['http://', 'ftp://x', 'http://x:0', 'http://x:+80', 'http://u@x', 'http://x/y', 'http://a b', 'http://[::1']\n\
         credentials = ['cookie']\n\
         rewrite = { from = '/v1/*', to = '/{2}' }\n\
         timeouts = { connect = '0s' }\n\
         health = { path = 'well', interval = '1ms', unhealthy_after = 0 }\n\
         request_headers = { add = { 'Content-Length' = '3', 'X-Tollgate-Key-Id' = 'x', 'a b' = 'c', 'X-A' = \"b\\nc\" } }\n\
         endpoint_scopes = { 'GET x' = ['y'] }\n\
         cors = { origins = ['*', 'app'], credentials = true }\n",
    )
    .unwrap();
    let mut lines: Vec<String> = check_service(&spec).iter().map(ToString::to_string).collect();
    lines.sort();
    insta::assert_snapshot!(lines.join("\n"));
    let row = tollgate_core::service::ServiceRow {
        id: ServiceId(1),
        project: PROJECT,
        tenant: tollgate_core::id::TenantId(1),
        version: 1,
    };
    assert_eq!(Service::compile(Arc::new(spec), row).unwrap_err().len(), lines.len() + 1);
}

#[test]
fn empty_matches_are_refused() {
    let mut spec = (*service_of(PROJECT, 1, "").spec).clone();
    spec.matches = MatchSpec::default();
    assert!(check_service(&spec).iter().any(|error| error.field == "match"));
    spec.matches = matching(None, Some("/x"), Some(&[]));
    assert!(check_service(&spec).iter().any(|error| error.field == "match.methods"));
    for host in ["", "*", "*.", "a..b:1", "a b", "[::g]", ".a", "a."] {
        spec.matches = matching(Some(host), None, None);
        assert!(check_service(&spec).iter().any(|error| error.field == "match.host"), "{host}");
    }
    for prefix in ["x", "/a//b", "/a/../b", "/a%20b", "/a%2fb"] {
        spec.matches = matching(None, Some(prefix), None);
        assert!(check_service(&spec).iter().any(|error| error.field == "match.path_prefix"), "{prefix}");
    }
}

#[test]
fn upstreams_are_origins() {
    let read = |text: &str| Upstream::parse(text).map(|own| (own.scheme, own.host.to_string(), own.port));
    assert_eq!(read("http://127.0.0.1:9000"), Ok((Scheme::Http, "127.0.0.1".into(), 9000)));
    assert_eq!(read("https://api.example.com"), Ok((Scheme::Https, "api.example.com".into(), 443)));
    assert_eq!(read("h2c://x/"), Ok((Scheme::H2c, "x".into(), 80)));
    assert_eq!(read("http://[::1]:9000"), Ok((Scheme::Http, "::1".into(), 9000)));
    assert_eq!(read("http://[::1]"), Ok((Scheme::Http, "::1".into(), 80)));
}
