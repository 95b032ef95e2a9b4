//! How far upstreams reach that a tenant wrote: to the public internet and to what the operator allows, where an
//! installation has several tenants (decision 0025). What is on the operator's own network is otherwise reached
//! through the gateway by whoever may write a service.
//!
//! Here is what can be said of an origin as it is written. Names mean addresses only when they are connected to,
//! and are judged there, by the same [`Egress`].

use std::net::IpAddr;

use crate::{
    field_error::FieldError,
    resource::ServiceSpec,
    service_spec::Upstream,
    webhook::{Egress, Host, read_host},
};

/// How an upstream reaches, as it is written or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Whether it is held to the public internet.
    pub internet_only: bool,
    /// Whether it goes where it went before.
    pub is_unmoved: bool,
}

/// Whether what a tenant writes is held to the public internet. Once it is, only the operator takes that away; what
/// the operator wrote stays as it was while it goes where it went.
#[must_use]
pub fn is_held(wished: bool, is_sole_tenant: bool, present: Option<Reach>) -> bool {
    let was_held = present.is_some_and(|present| present.internet_only);
    let is_unmoved = present.is_some_and(|present| present.is_unmoved);
    wished || was_held || (!is_sole_tenant && !is_unmoved)
}

/// Every origin that requests of a service may go to, with its field.
pub fn origins(spec: &ServiceSpec) -> impl Iterator<Item = (String, &String)> {
    let own = spec.upstreams.iter().enumerate().map(|(at, url)| (format!("upstreams[{at}]"), url));
    let others = spec.fallbacks.iter().enumerate().flat_map(|(which, fallback)| {
        let named = move |(at, url)| (format!("fallback[{which}].upstreams[{at}]"), url);
        fallback.upstreams.iter().enumerate().map(named)
    });
    own.chain(others)
}

/// What is wrong with the origins of a service that is held to the public internet.
#[must_use]
pub fn check_reach(spec: &ServiceSpec, egress: &Egress) -> Vec<FieldError> {
    let refused =
        |(field, url): (String, &String)| Some(FieldError::new(field, origin_refusal(url, egress)?));
    origins(spec).filter_map(refused).collect()
}

/// Why an origin is refused by its text; `None` for one that is allowed, or cannot be judged before its name is
/// resolved, or is no origin, which others say.
#[must_use]
pub fn origin_refusal(url: &str, egress: &Egress) -> Option<String> {
    let upstream = Upstream::parse(url).ok()?;
    let why = match upstream.host.parse::<IpAddr>() {
        Ok(address) => egress.refusal(address)?,
        Err(_) => match read_host(&upstream.host) {
            Ok(Host::Address(address)) => egress.refusal(address)?,
            Ok(Host::Name(name)) if is_local(&name) => egress.refusal(IpAddr::from([127, 0, 0, 1]))?,
            Ok(Host::Name(_)) => return None,
            // Some resolvers read `127.1` or `0x7f000001` as an address.
            Err(_) => "it could be read as an address in disguise",
        },
    };
    Some(format!(
        "its host is not on the public internet, {why}; write a public one, or have the operator allow it with \
         `upstreams.allow_private` or write it with `tollgate apply` on the host"
    ))
}

/// RFC 6761 §6.3.
fn is_local(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::{Reach, is_held, origin_refusal};
    use crate::webhook::Egress;

    #[test]
    fn what_one_tenant_of_several_writes_is_held_and_stays_held() {
        let was = |internet_only, is_unmoved| Some(Reach { internet_only, is_unmoved });
        for (wished, sole, present, held) in [
            (false, true, None, false),
            (true, true, None, true),
            (false, false, None, true),
            (false, false, was(false, true), false),
            (false, false, was(false, false), true),
            (false, false, was(true, true), true),
            (false, true, was(true, false), true),
            (false, true, was(false, false), false),
        ] {
            assert_eq!(is_held(wished, sole, present), held, "{wished} {sole} {present:?}");
        }
    }

    #[test]
    fn addresses_inside_are_refused_as_they_are_written() {
        let egress = Egress::default();
        for url in [
            "http://127.0.0.1:9000",
            "http://10.0.0.1",
            "https://[::1]",
            "https://[::ffff:10.0.0.1]:8443",
            "https://[fd00:ec2::254]",
            "http://169.254.169.254",
            "http://localhost:8081",
            "http://api.localhost",
            "http://127.1",
            "http://2130706433",
            "http://0x7f000001",
            "h2c://192.168.1.1:50051",
        ] {
            assert!(origin_refusal(url, &egress).is_some(), "{url}");
        }
        for url in ["https://api.example.com", "http://8.8.8.8", "https://[2001:4860:4860::8888]"] {
            assert_eq!(origin_refusal(url, &egress), None, "{url}");
        }
        let allowed = vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.0/8".parse().unwrap()];
        let egress = Egress { allow_private: allowed, allow_http: true };
        assert_eq!(origin_refusal("http://10.0.0.1", &egress), None);
        assert_eq!(origin_refusal("http://localhost", &egress), None);
        assert!(origin_refusal("http://192.168.0.1", &egress).is_some());
    }
}
