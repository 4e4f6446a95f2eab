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

    /// The same of an address.
    pub(super) fn address(&self, address: IpAddr) -> Network {
        Network(Some(address.to_canonical()), self.addresses)
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

/// What is known of a connection from its first moment to its last, whichever reactor it is on. There is one for each idle
/// player, so numbers have 40 bits (a terabyte), of which the upper ones stand together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    /// An IPv4 address is mapped; unspecified if it is not known.
    peer: [u8; 16],
    id: u32,
    received: u32,
    sent: u32,
    /// Seconds of its process's clock, whichever reactor it came to.
    began: u32,
    id_upper: u8,
    received_upper: u8,
    sent_upper: u8,
    /// The number of the door by which it came.
    pub(super) door: u8,
}

impl Identity {
    /// `now`: ms, real.
    pub(super) fn new(id: u64, peer: Option<IpAddr>, now: u64) -> Self {
        Self {
            peer: mapped(peer),
            id: id as u32,
            received: 0,
            sent: 0,
            began: (now / 1_000) as u32,
            id_upper: (id >> 32) as u8,
            received_upper: 0,
            sent_upper: 0,
            door: 0,
        }
    }

    /// Never used twice by this process.
    pub(super) fn id(&self) -> u64 {
        whole(self.id, self.id_upper)
    }

    /// Bytes that came from its socket.
    pub(super) fn received(&self) -> u64 {
        whole(self.received, self.received_upper)
    }

    /// Bytes that its socket took.
    pub(super) fn sent(&self) -> u64 {
        whole(self.sent, self.sent_upper)
    }

    /// So many bytes came from its socket.
    pub(super) fn note_received(&mut self, bytes: usize) {
        add(&mut self.received, &mut self.received_upper, bytes);
    }

    /// Its socket took so many bytes.
    pub(super) fn note_sent(&mut self, bytes: usize) {
        add(&mut self.sent, &mut self.sent_upper, bytes);
    }

    /// Where it comes from, if that is known.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        let address = Ipv6Addr::from(self.peer);
        (!address.is_unspecified()).then_some(IpAddr::V6(address))
    }

    /// A proxy says that it comes from there.
    pub(super) fn comes_from(&mut self, client: IpAddr) {
        self.peer = mapped(Some(client));
    }

    /// Seconds that it has been here, now (ms, real).
    pub(super) fn seconds(&self, now: u64) -> u64 {
        (now / 1_000).saturating_sub(self.began.into())
    }

    /// Whether it certainly came before `other`, to one of so many reactors: to the same one, which numbers them in order, or a
    /// second earlier.
    pub(super) fn came_before(&self, other: &Self, reactors: u64) -> bool {
        if self.id() % reactors == other.id() % reactors {
            self.id() < other.id()
        } else {
            self.began + 1 < other.began
        }
    }
}

fn mapped(peer: Option<IpAddr>) -> [u8; 16] {
    let peer = match peer {
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped(),
        Some(IpAddr::V6(address)) => address,
        None => Ipv6Addr::UNSPECIFIED,
    };
    peer.octets()
}

fn whole(low: u32, upper: u8) -> u64 {
    (u64::from(upper) << 32) | u64::from(low)
}

/// Adds what one read or write moved, which is far below 4 GiB.
fn add(low: &mut u32, upper: &mut u8, bytes: usize) {
    let (sum, carry) = low.overflowing_add(bytes as u32);
    *low = sum;
    if carry {
        *upper = upper.saturating_add(1);
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
    fn who_came_first_is_known_in_one_reactor_or_after_a_second() {
        let came_before = |one: (u64, u64), other: (u64, u64)| {
            let [one, other] = [one, other].map(|(id, at)| Identity::new(id, None, at));
            one.came_before(&other, 2)
        };
        assert!(came_before((2, 500), (4, 500)));
        assert!(!came_before((4, 500), (2, 500)));
        assert!(!came_before((2, 500), (5, 1_900)));
        assert!(came_before((5, 500), (4, 2_000)));
        assert!(!came_before((4, 2_000), (5, 500)));
    }

    #[test]
    fn an_identity_is_small_and_counts_beyond_32_bits() {
        assert_eq!(size_of::<Identity>(), 36);
        let id = 0x12_3456_789a;
        let mut identity = Identity::new(id, None, 0);
        assert_eq!(identity.id(), id);
        for _ in 0..5 {
            identity.note_received(1 << 30);
            identity.note_sent((1 << 30) + 1);
        }
        assert_eq!(
            (identity.received(), identity.sent()),
            (5 << 30, (5 << 30) + 5)
        );
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
