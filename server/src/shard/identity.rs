//! Who a connection is, for an operator who looks for who causes trouble.
//!
//! Owns: an id that is never used twice, where it comes from, since when it is here and how much went through; and how much
//! of that is said. Must not know: phases, rooms. Invariant: a line names a person's address or a room only as far as the
//! operator asked for that.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};

/// What log lines say of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addresses {
    /// The network: the first 24 bits of IPv4, 48 of IPv6.
    #[default]
    Cut,
    /// All of it.
    Whole,
}

/// What log lines say of rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RoomNames {
    /// A number made of the name, the same for as long as the process lives, and another in the next one.
    #[default]
    Hashed,
    /// The name.
    Plain,
}

/// How lines name connections.
#[derive(Debug, Default)]
pub struct Naming {
    addresses: Addresses,
    rooms: RoomNames,
    hasher: RandomState,
}

impl Naming {
    /// As the operator asked.
    pub fn new(addresses: Addresses, rooms: RoomNames) -> Self {
        Self {
            addresses,
            rooms,
            hasher: RandomState::new(),
        }
    }

    pub(super) fn room(&self, name: &str) -> String {
        match self.rooms {
            RoomNames::Plain => name.to_owned(),
            RoomNames::Hashed => format!("#{:08x}", self.hasher.hash_one(name) as u32),
        }
    }

    /// The network or the address, `unknown` where the system did not say.
    pub(super) fn peer(&self, identity: &Identity) -> Network {
        let address = identity.peer().map(|peer| peer.to_canonical());
        Network(address, self.addresses)
    }
}

/// An address as far as it is said.
pub(super) struct Network(Option<IpAddr>, Addresses);

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (None, _) => f.write_str("unknown"),
            (Some(address), Addresses::Whole) => address.fmt(f),
            (Some(IpAddr::V4(address)), Addresses::Cut) => {
                let [a, b, c, _] = address.octets();
                write!(f, "{a}.{b}.{c}.0/24")
            }
            (Some(IpAddr::V6(address)), Addresses::Cut) => {
                let [a, b, c, ..] = address.segments();
                write!(f, "{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        }
    }
}

/// What is known of a connection from its first moment to its last, whichever reactor it is on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    pub(super) id: u64,
    /// Bytes that came from its socket.
    pub(super) received: u64,
    /// Bytes that its socket took.
    pub(super) sent: u64,
    /// An IPv4 address is mapped; unspecified if it is not known.
    peer: [u8; 16],
    /// Seconds of its process's clock.
    began: u32,
}

impl Identity {
    pub(super) fn new(id: u64, peer: Option<IpAddr>, now_ms: u64) -> Self {
        let peer = match peer {
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped(),
            Some(IpAddr::V6(address)) => address,
            None => Ipv6Addr::UNSPECIFIED,
        };
        Self {
            id,
            received: 0,
            sent: 0,
            peer: peer.octets(),
            began: (now_ms / 1_000) as u32,
        }
    }

    fn peer(&self) -> Option<IpAddr> {
        let address = Ipv6Addr::from(self.peer);
        (!address.is_unspecified()).then_some(IpAddr::V6(address))
    }

    /// Seconds that it has been here.
    pub(super) fn seconds(&self, now_ms: u64) -> u64 {
        (now_ms / 1_000).saturating_sub(self.began.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(addresses: Addresses, peer: &str) -> String {
        let identity = Identity::new(1, peer.parse().ok(), 0);
        let naming = Naming::new(addresses, RoomNames::Hashed);
        naming.peer(&identity).to_string()
    }

    #[test]
    fn addresses_are_cut_unless_asked_for() {
        for (peer, cut, whole) in [
            ("203.0.113.77", "203.0.113.0/24", "203.0.113.77"),
            ("::ffff:203.0.113.77", "203.0.113.0/24", "203.0.113.77"),
            (
                "2001:db8:1:2:3:4:5:6",
                "2001:db8:1::/48",
                "2001:db8:1:2:3:4:5:6",
            ),
            ("::1", "::/48", "::1"),
            ("nowhere", "unknown", "unknown"),
        ] {
            assert_eq!(said(Addresses::Cut, peer), cut);
            assert_eq!(said(Addresses::Whole, peer), whole);
        }
    }

    #[test]
    fn rooms_are_hashed_unless_asked_for() {
        let hashed = Naming::default();
        let [one, same, other] = ["secret", "secret", "other"].map(|name| hashed.room(name));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert!(!one.contains("secret"));
        assert_ne!(
            one,
            Naming::default().room("secret"),
            "another process, another number"
        );
        let plain = Naming::new(Addresses::Cut, RoomNames::Plain);
        assert_eq!(plain.room("secret"), "secret");
    }
}
