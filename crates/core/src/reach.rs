//! How far upstreams reach (decision 0025). What a tenant wrote reaches the public internet and what the operator
//! allows, where an installation has several tenants: what is on the operator's own network is otherwise reached
//! through the gateway by whoever may write a service. What the operator wrote, and the only tenant, reaches that
//! network too, but no link-local address and no metadata service unless the operator allows it.
//!
//! Here is what can be said of an origin as it is written. Names mean addresses only when they are connected to,
//! and are judged there, by the same [`Hold`] and [`Egress`].

use std::net::IpAddr;

use crate::{
    field_error::FieldError,
    predict_spec::RemoteSpec,
    resource::ServiceSpec,
    service_spec::Upstream,
    webhook::{Egress, Host, read_host},
};

/// How far an upstream reaches, from the farthest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// What the operator wrote: anywhere but to link-local addresses and metadata.
    Operator,
    /// What the only tenant wrote: besides, not to what the operator refuses.
    SoleTenant,
    /// To the public internet, and to what the operator allows.
    Internet,
}

/// What of an upstream says how far it reaches, as it is written or stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// It is held to the public internet.
    pub internet_only: bool,
    /// A tenant wrote where it goes.
    pub by_tenant: bool,
}

impl Marks {
    /// How far it reaches in an installation of so many tenants, now: what the only tenant wrote is held when another
    /// comes, and not before.
    #[must_use]
    pub const fn hold(self, tenants: usize) -> Hold {
        match self {
            Self { internet_only: true, .. } => Hold::Internet,
            Self { by_tenant: true, .. } if tenants > 1 => Hold::Internet,
            Self { by_tenant: true, .. } => Hold::SoleTenant,
            Self { .. } => Hold::Operator,
        }
    }

    /// As a tenant writes it in an installation of so many tenants. Only the operator takes a mark away; what the
    /// operator wrote stays as it was while it goes where it went.
    #[must_use]
    pub fn written(self, tenants: usize, present: Option<Reach>) -> Self {
        let was = present.map(|present| present.marks).unwrap_or_default();
        let is_moved = present.is_none_or(|present| !present.is_unmoved);
        Self {
            internet_only: self.internet_only || was.internet_only || (is_moved && tenants > 1),
            by_tenant: self.by_tenant || was.by_tenant || is_moved,
        }
    }
}

impl Hold {
    /// Why nothing is sent to an address; `None` when it may be.
    #[must_use]
    pub fn refusal(self, egress: &Egress, address: IpAddr) -> Option<&'static str> {
        match self {
            Self::Operator => egress.inside_refusal(address),
            Self::SoleTenant => egress.denial(address).or_else(|| egress.inside_refusal(address)),
            Self::Internet => egress.refusal(address),
        }
    }
}

/// How a resource that is there reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Its marks.
    pub marks: Marks,
    /// Whether it goes where it went before.
    pub is_unmoved: bool,
}

impl ServiceSpec {
    /// What of it says how far it reaches.
    #[must_use]
    pub const fn marks(&self) -> Marks {
        Marks { internet_only: self.internet_only, by_tenant: self.by_tenant }
    }
}

impl RemoteSpec {
    /// What of it says how far it reaches.
    #[must_use]
    pub const fn marks(&self) -> Marks {
        Marks { internet_only: self.internet_only, by_tenant: self.by_tenant }
    }
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

/// What is wrong with the origins of a service that reaches so far.
#[must_use]
pub fn check_reach(spec: &ServiceSpec, hold: Hold, egress: &Egress) -> Vec<FieldError> {
    let refused =
        |(field, url): (String, &String)| Some(FieldError::new(field, origin_refusal(url, hold, egress)?));
    origins(spec).filter_map(refused).collect()
}

/// Why an origin is refused by its text; `None` for one that is allowed, or cannot be judged before its name is
/// resolved, or is no origin, which others say.
#[must_use]
pub fn origin_refusal(url: &str, hold: Hold, egress: &Egress) -> Option<String> {
    let upstream = Upstream::parse(url).ok()?;
    let why = match upstream.host.parse::<IpAddr>() {
        Ok(address) => hold.refusal(egress, address)?,
        Err(_) => match read_host(&upstream.host) {
            Ok(Host::Address(address)) => hold.refusal(egress, address)?,
            Ok(Host::Name(name)) if is_local(&name) => hold.refusal(egress, IpAddr::from([127, 0, 0, 1]))?,
            Ok(Host::Name(_)) => return None,
            // Some resolvers read `127.1` or `0x7f000001` as an address.
            Err(_) if hold == Hold::Internet => "it could be read as an address in disguise",
            Err(_) => return None,
        },
    };
    Some(match hold {
        Hold::Internet => format!(
            "its host is not on the public internet, {why}; write a public one, or have the operator allow it with \
             `upstreams.allow_private` or write it with `tollgate apply` on the host"
        ),
        Hold::SoleTenant | Hold::Operator => format!(
            "nothing is sent to its host, {why}; write another one, or have the operator allow it with \
             `upstreams.allow_private`"
        ),
    })
}

/// RFC 6761 §6.3.
fn is_local(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::{Hold, Marks, Reach, origin_refusal};
    use crate::webhook::Egress;

    const NONE: Marks = Marks { internet_only: false, by_tenant: false };
    const OF_TENANT: Marks = Marks { by_tenant: true, ..NONE };
    const HELD: Marks = Marks { internet_only: true, ..NONE };
    const BOTH: Marks = Marks { internet_only: true, by_tenant: true };

    #[test]
    fn what_a_tenant_writes_is_marked_and_stays_marked() {
        let was = |marks, is_unmoved| Some(Reach { marks, is_unmoved });
        for (wished, tenants, present, written) in [
            (NONE, 1, None, OF_TENANT),
            (HELD, 1, None, BOTH),
            (NONE, 2, None, BOTH),
            (NONE, 2, was(NONE, true), NONE),
            (NONE, 2, was(NONE, false), BOTH),
            (NONE, 2, was(OF_TENANT, true), OF_TENANT),
            (NONE, 2, was(HELD, true), HELD),
            (NONE, 1, was(HELD, false), BOTH),
            (NONE, 1, was(NONE, true), NONE),
            (NONE, 1, was(NONE, false), OF_TENANT),
            (NONE, 1, was(OF_TENANT, true), OF_TENANT),
        ] {
            assert_eq!(wished.written(tenants, present), written, "{wished:?} {tenants} {present:?}");
        }
    }

    #[test]
    fn what_the_only_tenant_wrote_is_held_once_there_are_several() {
        for (marks, alone, among_others) in [
            (NONE, Hold::Operator, Hold::Operator),
            (OF_TENANT, Hold::SoleTenant, Hold::Internet),
            (HELD, Hold::Internet, Hold::Internet),
            (BOTH, Hold::Internet, Hold::Internet),
        ] {
            assert_eq!((marks.hold(1), marks.hold(2)), (alone, among_others), "{marks:?}");
        }
    }

    #[test]
    fn nobody_writes_metadata_and_the_only_tenant_nothing_that_the_operator_refuses() {
        let deny = vec!["10.9.0.0/16".parse().unwrap()];
        let egress = Egress { deny, allow_http: true, ..Egress::default() };
        let refused = |url: &str, hold| origin_refusal(url, hold, &egress).is_some();
        for hold in [Hold::Operator, Hold::SoleTenant] {
            assert!(refused("http://169.254.169.254", hold) && refused("http://[fd00:ec2::254]", hold));
            for url in ["http://127.0.0.1:1", "http://10.0.0.1", "http://localhost", "http://127.1"] {
                assert!(!refused(url, hold), "{url}");
            }
        }
        assert!(!refused("http://10.9.0.1", Hold::Operator) && refused("http://10.9.0.1", Hold::SoleTenant));
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
            assert!(origin_refusal(url, Hold::Internet, &egress).is_some(), "{url}");
        }
        for url in ["https://api.example.com", "http://8.8.8.8", "https://[2001:4860:4860::8888]"] {
            assert_eq!(origin_refusal(url, Hold::Internet, &egress), None, "{url}");
        }
        let allowed = vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.0/8".parse().unwrap()];
        let egress = Egress { allow_private: allowed, ..egress };
        let refusal = |url| origin_refusal(url, Hold::Internet, &egress);
        assert_eq!((refusal("http://10.0.0.1"), refusal("http://localhost")), (None, None));
        assert!(refusal("http://192.168.0.1").is_some());
    }
}
