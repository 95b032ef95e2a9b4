//! Which service takes a request: host exact before wildcard before none, then the longest path
//! prefix, then the method. Two services that could tie are refused when they are written.

use std::cmp::Ordering;
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use crate::{
    id::ServiceId, predict_service::second_match, resource::MatchSpec, service::Service,
    service_spec::prefix_of,
};

/// The compiled table of all services of the installation.
#[derive(Debug, Default)]
pub struct Router {
    exact: HashMap<Box<str>, Vec<Entry>>,
    /// Longest suffix first.
    wildcard: Vec<(Box<str>, Vec<Entry>)>,
    any_host: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Without a trailing slash; empty matches every path.
    prefix: Box<str>,
    methods: Option<Box<[Box<str>]>>,
    service: Arc<Service>,
}

impl Router {
    /// Builds the table. Order does not matter.
    #[must_use]
    pub fn new(services: impl IntoIterator<Item = Arc<Service>>) -> Self {
        let mut router = Self::default();
        for service in services {
            let second = second_match(&service.spec);
            for matches in std::iter::once(service.spec.matches.clone()).chain(second) {
                router.add(matches, service.clone());
            }
        }
        router.wildcard.sort_by_key(|(suffix, _)| Reverse(suffix.len()));
        let lists = router.exact.values_mut().chain(router.wildcard.iter_mut().map(|(_, list)| list));
        for entries in lists.chain(std::iter::once(&mut router.any_host)) {
            entries.sort_by_key(|entry| (Reverse(entry.prefix.len()), entry.methods.is_none()));
        }
        router
    }

    fn add(&mut self, matches: MatchSpec, service: Arc<Service>) {
        let entry = Entry {
            prefix: prefix_of(&matches).into(),
            methods: matches.methods.map(|methods| methods.into_iter().map(Into::into).collect()),
            service,
        };
        match matches.host.map(|host| host.to_ascii_lowercase()) {
            None => self.any_host.push(entry),
            Some(host) => match host.strip_prefix('*') {
                Some(suffix) => match self.wildcard.iter_mut().find(|(own, _)| **own == *suffix) {
                    Some((_, entries)) => entries.push(entry),
                    None => self.wildcard.push((suffix.into(), vec![entry])),
                },
                None => self.exact.entry(host.into()).or_default().push(entry),
            },
        }
    }

    /// The service that takes a request. `host` is without port; `path` is normalised.
    #[must_use]
    pub fn find(&self, host: Option<&str>, path: &str, method: &str) -> Option<&Arc<Service>> {
        if let Some(host) = host {
            // `example.com.` is the same name, written as absolute (RFC 1034 §3.1).
            let host = host.strip_suffix('.').unwrap_or(host);
            let lower;
            let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
                lower = host.to_ascii_lowercase();
                lower.as_str()
            } else {
                host
            };
            if !self.exact.is_empty() {
                let found = self.exact.get(host).and_then(|entries| choose(entries, path, method));
                if found.is_some() {
                    return found;
                }
            }
            for (suffix, entries) in &self.wildcard {
                if host.len() > suffix.len() && host.ends_with(&**suffix) {
                    let found = choose(entries, path, method);
                    if found.is_some() {
                        return found;
                    }
                }
            }
        }
        choose(&self.any_host, path, method)
    }
}

fn choose<'r>(entries: &'r [Entry], path: &str, method: &str) -> Option<&'r Arc<Service>> {
    entries
        .iter()
        .find(|entry| {
            under(path, &entry.prefix)
                && entry.methods.as_ref().is_none_or(|own| own.iter().any(|name| **name == *method))
        })
        .map(|entry| &entry.service)
}

/// Whether the path is the prefix itself or below it: `/tiles` holds `/tiles/1` and not `/tilesets`.
fn under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether two services could take the same request with equal right.
#[must_use]
pub fn could_tie(a: &MatchSpec, b: &MatchSpec) -> bool {
    let host = |spec: &MatchSpec| spec.host.as_deref().map(str::to_ascii_lowercase);
    let overlap = match (&a.methods, &b.methods) {
        (None, None) => true,
        (Some(a), Some(b)) => a.iter().any(|method| b.contains(method)),
        _ => false,
    };
    host(a) == host(b) && prefix_of(a) == prefix_of(b) && overlap
}

/// Whether a service would take requests away from another one that is not its owner's: its host is as
/// close as the other's or closer, and what it matches overlaps.
#[must_use]
pub fn takes_from(own: &MatchSpec, other: &MatchSpec) -> bool {
    let methods_overlap = match (&own.methods, &other.methods) {
        (Some(own), Some(other)) => own.iter().any(|method| other.contains(method)),
        _ => true,
    };
    let (own_host, other_host) = (Host::of(own), Host::of(other));
    if !methods_overlap || !own_host.overlaps(&other_host) {
        return false;
    }
    let (own_prefix, other_prefix) = (prefix_of(own), prefix_of(other));
    match own_host.closeness().cmp(&other_host.closeness()) {
        Ordering::Greater => under(own_prefix, other_prefix) || under(other_prefix, own_prefix),
        Ordering::Equal => under(own_prefix, other_prefix),
        Ordering::Less => false,
    }
}

/// The host of a match, in lower case.
enum Host {
    Any,
    /// What it ends with, the dot included.
    Wildcard(String),
    Exact(String),
}

impl Host {
    fn of(spec: &MatchSpec) -> Self {
        match spec.host.as_deref().map(str::to_ascii_lowercase) {
            None => Self::Any,
            Some(host) => match host.strip_prefix('*') {
                Some(suffix) => Self::Wildcard(suffix.to_owned()),
                None => Self::Exact(host),
            },
        }
    }

    /// A longer wildcard is asked before a shorter one.
    fn closeness(&self) -> (u8, usize) {
        match self {
            Self::Any => (0, 0),
            Self::Wildcard(suffix) => (1, suffix.len()),
            Self::Exact(_) => (2, 0),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Wildcard(a), Self::Wildcard(b)) => a.ends_with(b) || b.ends_with(a),
            (Self::Exact(name), Self::Wildcard(suffix)) | (Self::Wildcard(suffix), Self::Exact(name)) => {
                name.len() > suffix.len() && name.ends_with(suffix)
            }
        }
    }
}

/// All pairs of services that could tie, for the error message of `apply`.
#[must_use]
pub fn ties(services: &[(ServiceId, &MatchSpec)]) -> Vec<(ServiceId, ServiceId)> {
    let mut pairs = Vec::new();
    for (index, (a, match_a)) in services.iter().enumerate() {
        for (b, match_b) in services.iter().skip(index + 1) {
            if could_tie(match_a, match_b) {
                pairs.push((*a, *b));
            }
        }
    }
    pairs
}
