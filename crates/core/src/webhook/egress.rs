//! Which network addresses a request on somebody's behalf may be sent to: only those of the public internet,
//! unless the operator allows more or refuses some of them. And those that nobody is sent to, wherever else
//! their requests may go: link-local ones and the metadata services of clouds. Judged is the address that is
//! connected to, never the name: a name may mean another address the next time it is asked for.
//!
//! Sources: the IANA special-purpose registries of IPv4 and IPv6 (RFC 6890 and what came after), and the metadata
//! services of clouds that live on public addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::address::in_networks;

/// What the operator allows beside the public internet over https.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Networks that are sent to although they are not public.
    pub allow_private: Vec<IpNet>,
    /// Networks that are not sent to, whatever else is said of them: what is only reached from here, though its
    /// number is public (an address of the machine outside of a NAT, a prefix of NAT64).
    pub deny: Vec<IpNet>,
    /// Whether requests may go in the clear.
    pub allow_http: bool,
}

impl Egress {
    /// Why nothing is sent to an address; `None` when it may be.
    #[must_use]
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        self.denial(address).or_else(|| if self.allows(address) { None } else { refusal(address) })
    }

    /// Why nothing is sent to an address even by those who may reach the operator's own network; `None` when they
    /// may.
    #[must_use]
    pub fn inside_refusal(&self, address: IpAddr) -> Option<&'static str> {
        if self.allows(address) { None } else { metadata_refusal(address) }
    }

    /// That the operator refuses an address.
    #[must_use]
    pub fn denial(&self, address: IpAddr) -> Option<&'static str> {
        in_networks(&self.deny, address).then_some("the operator refuses its address")
    }

    /// Whether the operator allows an address although it is not public.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        in_networks(&self.allow_private, address)
    }
}

/// Why an address is one of this link alone, or the metadata service of a cloud, which hands out the credentials of
/// the machine; `None` for others.
#[must_use]
pub fn metadata_refusal(address: IpAddr) -> Option<&'static str> {
    const METADATA: &str = "it is the metadata service of a cloud";
    match address.to_canonical() {
        IpAddr::V4(address) => match address.octets() {
            [169, 254, ..] => Some("it is a link-local address, where clouds have their metadata"),
            // Azure; Alibaba; Oracle.
            [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => Some(METADATA),
            _ => None,
        },
        IpAddr::V6(address) => match address.segments() {
            [0xfe80..=0xfebf, ..] => Some("it is a link-local address"),
            // AWS; Google; Oracle.
            [0xfd00, 0xec2, ..] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Some(METADATA),
            [0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe] => Some(METADATA),
            // IPv4 in disguise: NAT64, compatible, 6to4.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            | [0, 0, 0, 0, 0, 0, high, low]
            | [0x2002, high, low, ..] => metadata_refusal(IpAddr::V4(v4(high, low))),
            _ => None,
        },
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

/// Why an address is none of the public internet; `None` for one that is.
#[must_use]
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => refusal_v4(address),
        IpAddr::V6(address) => refusal_v6(address),
    }
}

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, d] = address.octets();
    Some(match (a, b, c, d) {
        (0, ..) => "it is an address of this network",
        (10, ..) | (172, 16..=31, ..) | (192, 168, ..) => "it is a private address",
        (100, 64..=127, ..) => "it is an address shared behind a provider's NAT",
        (127, ..) => "it is this machine itself",
        (169, 254, ..) => "it is a link-local address, where clouds have their metadata",
        // Azure's wire server: public by its number, reached from inside only.
        (168, 63, 129, 16) => "it is the metadata service of a cloud",
        (192, 0, 0, _) => "it is an address for protocols",
        (192, 0, 2, _) | (198, 51, 100, _) | (203, 0, 113, _) => "it is an address for documentation",
        (192, 88, 99, _) => "it is a relay to IPv6",
        (198, 18..=19, ..) => "it is an address for benchmarks",
        (224..=239, ..) => "it is a multicast address",
        (240..=255, ..) => "it is a reserved or broadcast address",
        _ => return None,
    })
}

fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [a, b, c, ..] = address.segments();
    Some(match (a, b, c) {
        (0, 0, 0) if address.is_loopback() => "it is this machine itself",
        (0, ..) => "it is a reserved address, or one of IPv4 in disguise",
        (0x64, 0xff9b, _) => "it is an address of IPv4 in disguise (NAT64)",
        (0xfc00..=0xfdff, ..) => "it is a private address",
        (0xfe80..=0xfebf, ..) => "it is a link-local address",
        (0xfec0..=0xfeff, ..) => "it is a site-local address",
        (0xff00..=0xffff, ..) => "it is a multicast address",
        (0x2001, 0, _) => "it is an address of IPv4 in disguise (Teredo)",
        (0x2001, 0xdb8, _) | (0x3fff, 0..=0x0fff, _) => "it is an address for documentation",
        (0x2001, 0..=0x01ff, _) => "it is an address for protocols",
        (0x2002, ..) => "it is an address of IPv4 in disguise (6to4)",
        (0x2000..=0x3fff, ..) => {
            // ISATAP (RFC 5214): an interface identifier of `0000:5efe` or `0200:5efe` and an address of IPv4.
            let [.., e, f, _, _] = address.segments();
            if f == 0x5efe && matches!(e, 0 | 0x0200) {
                "it is an address of IPv4 in disguise (ISATAP)"
            } else {
                return None;
            }
        }
        _ => "it is no global address",
    })
}

#[cfg(test)]
mod tests {
    use super::{Egress, metadata_refusal, refusal};

    #[test]
    fn nothing_but_the_public_internet_is_sent_to() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.1.2.3",
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::7f00:1",
            "100::1",
            "2001::1",
            "2001:0:a9fe:a9fe::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "2600::5efe:7f00:1",
            "2600::200:5efe:a9fe:a9fe",
        ] {
            assert!(refusal(address.parse().unwrap()).is_some(), "{address}");
        }
    }

    #[test]
    fn the_public_internet_is_sent_to() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.255.255",
            "192.169.0.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
            "3ffe::1",
        ] {
            assert_eq!(refusal(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn what_the_operator_allows_is_sent_to_in_every_spelling() {
        let egress = Egress { allow_private: vec!["10.1.0.0/16".parse().unwrap()], ..Egress::default() };
        assert_eq!(egress.refusal("10.1.2.3".parse().unwrap()), None);
        assert_eq!(egress.refusal("::ffff:10.1.2.3".parse().unwrap()), None);
        assert!(egress.refusal("10.2.0.1".parse().unwrap()).is_some());
        assert!(egress.refusal("64:ff9b::a01:203".parse().unwrap()).is_some());
    }

    #[test]
    fn what_the_operator_refuses_is_not_sent_to_even_where_it_is_public_or_allowed() {
        let networks = |list: &[&str]| list.iter().map(|network| network.parse().unwrap()).collect();
        let egress = Egress {
            allow_private: networks(&["10.0.0.0/8"]),
            deny: networks(&["1.2.3.4/32", "2001:4860:64::/96", "10.1.0.0/16"]),
            allow_http: true,
        };
        for address in ["1.2.3.4", "::ffff:1.2.3.4", "2001:4860:64::a9fe:a9fe", "10.1.2.3"] {
            assert!(egress.refusal(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in ["1.2.3.5", "2001:4860:65::1", "10.2.0.1"] {
            assert_eq!(egress.refusal(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn nobody_is_sent_to_metadata_but_where_the_operator_allows_it() {
        let egress = Egress::default();
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fe80::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            let address = address.parse().unwrap();
            assert!(egress.inside_refusal(address).is_some() && refusal(address).is_some(), "{address}");
        }
        for address in ["127.0.0.1", "::1", "10.0.0.1", "fd00::1", "fd00:ec3::254", "100.64.0.1", "8.8.8.8"] {
            assert_eq!(metadata_refusal(address.parse().unwrap()), None, "{address}");
        }
        let egress = Egress { allow_private: vec!["169.254.7.0/24".parse().unwrap()], ..Egress::default() };
        assert_eq!(egress.inside_refusal("169.254.7.1".parse().unwrap()), None);
        assert!(egress.inside_refusal("169.254.169.254".parse().unwrap()).is_some());
    }
}
