//! Which addresses an origin may be connected to. Judged is the address, at the moment of connecting.
//!
//! What the list of special-purpose networks cannot know is judged here as well: which addresses are this machine's
//! own. Something that listens on all of them is meant for others than those who may write an upstream.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::{Arc, LazyLock};

use tollgate_core::reach::Hold;
use tollgate_core::webhook::Egress;

/// How far an origin reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// As what it is judged.
    pub hold: Hold,
    /// What the operator says.
    pub egress: Arc<Egress>,
}

impl Guard {
    /// Why an address is not connected to; `None` when it may be. Asks the operating system, which answers at once.
    pub(super) fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let address = address.to_canonical();
        self.hold.refusal(&self.egress, address).or_else(|| {
            let is_judged = self.hold == Hold::Internet && !self.egress.allows(address);
            (is_judged && is_own(address)).then_some("it is this machine itself")
        })
    }
}

/// Whether an address is one of this machine's.
fn is_own(address: IpAddr) -> bool {
    if *BINDS_ANYTHING { is_own_source(address) } else { is_bindable(address) }
}

/// Only own addresses can be bound to, unless the operating system is told otherwise (`ip_nonlocal_bind`): then those
/// can be, too, that nobody has.
static BINDS_ANYTHING: LazyLock<bool> = LazyLock::new(|| {
    let nobodys: [IpAddr; 2] =
        [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()];
    nobodys.into_iter().any(is_bindable)
});

fn is_bindable(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// What is sent to an own address comes from that address. Sends nothing.
fn is_own_source(address: IpAddr) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = || {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((address, 9)).ok()?;
        socket.local_addr().ok()
    };
    source().is_some_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_this_machine_are_known() {
        let own = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 9, 9, 9])];
        // The one that it would reach others from, where it has any.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let outer = socket.connect("8.8.8.8:9").and_then(|()| socket.local_addr()).map(|from| from.ip());
        for address in own.into_iter().chain(outer.ok()) {
            assert!(is_bindable(address), "{address}");
        }
        assert!(is_own_source(IpAddr::from([127, 0, 0, 1])));
        assert!(outer_of(&socket).is_none_or(is_own_source));
        for address in ["8.8.8.8", "192.0.2.1", "2001:4860:4860::8888"] {
            let address = address.parse().unwrap();
            assert!(!is_own(address) && !is_own_source(address), "{address}");
        }
    }

    fn outer_of(socket: &UdpSocket) -> Option<IpAddr> {
        socket.local_addr().ok().map(|from| from.ip()).filter(|address| !address.is_unspecified())
    }

    #[test]
    fn an_own_address_is_refused_to_those_who_are_held_whatever_its_number() {
        // The machine's own address is private here: without that rule it stands for a public one.
        let guard = |hold| Guard { hold, egress: Arc::default() };
        let own = IpAddr::from([127, 0, 0, 1]);
        assert!(guard(Hold::Internet).refusal(own).is_some());
        assert_eq!(guard(Hold::SoleTenant).refusal(own), None);
        let allow_private = vec!["127.0.0.0/8".parse().unwrap()];
        let egress = Arc::new(Egress { allow_private, ..Egress::default() });
        assert_eq!(Guard { hold: Hold::Internet, egress }.refusal(own), None);
    }
}
