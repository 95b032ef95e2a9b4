//! Networks, and who the client is behind proxies.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;
use tollgate_core::{
    address::{client_address, in_networks, parse_network},
    counters::subject_of_address,
};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn networks(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| parse_network(text).unwrap()).collect()
}

#[test]
fn networks_hold_their_addresses_in_every_spelling() {
    for (network, inside, outside) in [
        (
            "10.0.0.0/8",
            vec!["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            vec!["11.0.0.0", "9.255.255.255"],
        ),
        ("10.1.2.3", vec!["10.1.2.3", "::ffff:10.1.2.3"], vec!["10.1.2.4", "::10.1.2.3"]),
        ("10.1.2.3/8", vec!["10.200.0.1"], vec!["11.1.2.3"]),
        ("::ffff:10.0.0.0/104", vec!["10.9.9.9", "::ffff:10.9.9.9"], vec!["11.0.0.0"]),
        ("0.0.0.0/0", vec!["1.2.3.4", "::ffff:1.2.3.4"], vec!["::1", "2001:db8::1"]),
        ("::/0", vec!["::1", "2001:db8::1"], vec!["1.2.3.4", "::ffff:1.2.3.4"]),
        ("2001:db8::/32", vec!["2001:db8::1", "2001:db8:ffff::"], vec!["2001:db9::", "::1"]),
        ("2001:db8::1", vec!["2001:db8::1"], vec!["2001:db8::2"]),
    ] {
        let network = networks(&[network]);
        for text in inside {
            assert!(in_networks(&network, address(text)), "{network:?} {text}");
        }
        for text in outside {
            assert!(!in_networks(&network, address(text)), "{network:?} {text}");
        }
    }
    assert!(!in_networks(&[], address("1.2.3.4")), "an empty list allows nothing");
}

#[test]
fn what_is_no_network_is_refused_with_the_remedy() {
    for text in
        ["", "10", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "2001:db8::/129", "example.com", "10.0.0.256"]
    {
        let error = parse_network(text).unwrap_err().to_string();
        assert!(error.contains("10.0.0.0/8"), "{error}");
    }
}

#[test]
fn the_client_is_the_right_most_hop_that_is_no_trusted_proxy() {
    let trusted = networks(&["10.0.0.0/8", "2001:db8::/32"]);
    for (peer, lines, client) in [
        ("203.0.113.5", vec![], "203.0.113.5"),
        ("203.0.113.5", vec!["198.51.100.7"], "203.0.113.5"),
        ("10.0.0.1", vec![], "10.0.0.1"),
        ("10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", vec!["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", vec!["1.1.1.1, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
        ("10.0.0.1", vec!["1.1.1.1", "198.51.100.7, 10.9.9.9"], "198.51.100.7"),
        ("10.0.0.1", vec!["10.1.1.1", "10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", vec!["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", vec!["[2001:4860::8]:443"], "2001:4860::8"),
        ("10.0.0.1", vec!["[2001:4860::8]"], "2001:4860::8"),
        ("::ffff:10.0.0.1", vec!["::ffff:198.51.100.7"], "198.51.100.7"),
        ("2001:db8::1", vec!["2001:4860::8"], "2001:4860::8"),
        // What is no address is not passed off as one.
        ("10.0.0.1", vec!["198.51.100.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", vec!["198.51.100.7, , 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", vec!["198.51.100.7, _hidden, 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", vec![""], "10.0.0.1"),
    ] {
        let found = client_address(address(peer), &trusted, lines.iter().copied());
        assert_eq!(found, address(client), "{peer} {lines:?}");
    }
}

#[test]
fn an_ipv6_host_is_counted_as_its_network() {
    let subject = |text: &str| subject_of_address(address(text));
    assert_eq!(subject("2001:db8:0:1::1"), subject("2001:db8:0:1:ffff::2"));
    assert_ne!(subject("2001:db8:0:1::1"), subject("2001:db8:0:2::1"));
    assert_ne!(subject("10.0.0.1"), subject("10.0.0.2"));
    assert_eq!(subject("10.0.0.1"), subject("::ffff:10.0.0.1"));
}

fn any_hop() -> impl Strategy<Value = String> {
    prop_oneof![
        (0u8..4, 0u8..4).prop_map(|(a, b)| format!("10.0.{a}.{b}")),
        (0u8..4, 0u8..4).prop_map(|(a, b)| format!("203.0.{a}.{b}")),
        Just("unknown".to_owned()),
        Just(String::new()),
    ]
}

proptest! {
    /// The model: hops in one list with the peer last; walk from the right while trusted.
    #[test]
    fn no_header_moves_the_client_past_an_untrusted_hop(
        peer in any_hop(),
        hops in prop::collection::vec(any_hop(), 0..6),
    ) {
        let trusted = networks(&["10.0.0.0/8"]);
        let Ok(peer) = peer.parse::<IpAddr>() else { return Ok(()) };
        let mut expected = peer;
        for hop in hops.iter().rev() {
            if !in_networks(&trusted, expected) {
                break;
            }
            let Ok(address) = hop.parse::<IpAddr>() else { break };
            expected = address;
        }
        let header = hops.join(", ");
        let lines = if hops.is_empty() { vec![] } else { vec![header.as_str()] };
        prop_assert_eq!(client_address(peer, &trusted, lines.into_iter()), expected);
    }
}
