//! Proxies: whose word on where a request comes from is taken.
//!
//! Owns: the networks that the operator trusts, and how far their word is followed. Must not know: sockets, limits.
//! Invariant: what a peer says that is not trusted is never looked at, and of what a trusted one says, nothing beyond the
//! first hop that is not.

use std::net::IpAddr;

use roomcast_protocol::upgrade::{Forwarded, HopField, Refusal};

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// An IPv4 address is mapped.
    first: u128,
    /// How much of it counts; not nothing, which would be everybody.
    bits: u32,
}

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32`, or one address. Not everybody (`/0`).
    pub fn of(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (own, before) = if address.is_ipv4() {
            (32, 96)
        } else {
            (128, 0)
        };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
            None => own,
        };
        let bits = (1..=own).contains(&bits).then_some(before + bits)?;
        let first = number(address) & mask(bits);
        Some(Self { first, bits })
    }

    fn covers(&self, address: IpAddr) -> bool {
        number(address) & mask(self.bits) == self.first
    }
}

fn mask(bits: u32) -> u128 {
    u128::MAX << (128 - bits)
}

fn number(address: IpAddr) -> u128 {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    u128::from(address)
}

/// The proxies that are trusted; none, if nothing else is said.
#[derive(Debug, Default)]
pub struct Proxies(Vec<Network>);

impl Proxies {
    /// Those in these networks.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether there are any.
    pub(super) fn are_named(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether what comes from there is a proxy's.
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.covers(address))
    }

    /// Whether this is the word of a program of this machine that nobody trusts: most likely a proxy, whose players then all
    /// have its address, which is bounded by nothing.
    pub(super) fn overlook(&self, peer: IpAddr, forwarded: &Forwarded<'_>) -> bool {
        let mut fields = [HopField::Customary, HopField::Standard].into_iter();
        peer.to_canonical().is_loopback()
            && !self.trust(peer)
            && fields.any(|field| forwarded.hops(field).next().is_some())
    }

    /// Who a request is from that came from `peer`, if that is a proxy and says so.
    pub(super) fn client(
        &self,
        peer: IpAddr,
        forwarded: &Forwarded<'_>,
    ) -> Result<Option<IpAddr>, Refusal> {
        if !self.trust(peer) {
            return Ok(None);
        }
        let fields = [HopField::Customary, HopField::Standard];
        match fields.map(|field| self.follow(peer, forwarded.hops(field))) {
            // A proxy writes one of them and lets the other pass, in which then anybody may say anything.
            [Some(one), Some(other)] if one != other => Err(Refusal::ForwardedTwice),
            [one, other] => Ok(one.or(other)),
        }
    }

    /// From hop to hop, as long as it is a trusted proxy that names the next. One that names none (`unknown`) is as far as
    /// one can see.
    fn follow(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let mut hops = hops.peekable();
        hops.peek()?;
        let mut from = peer;
        for hop in hops {
            let Some(hop) = hop else { break };
            from = hop;
            if !self.trust(hop) {
                break;
            }
        }
        Some(from)
    }
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::upgrade::parse_request;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies(networks: &[&str]) -> Proxies {
        let networks = networks.iter().map(|text| Network::of(text).unwrap());
        Proxies::new(networks.collect())
    }

    #[test]
    fn networks_cover_what_begins_alike() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.0.0.1", "9.0.0.1"),
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("192.0.2.0/31", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/1", "127.0.0.1", "128.0.0.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("::ffff:0:0/96", "10.0.0.1", "::1"),
        ] {
            let network = proxies(&[network]);
            assert!(network.trust(ip(inside)) && !network.trust(ip(outside)));
        }
        for slip in [
            "",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/0",
            "::/0",
            "::/129",
            "::/+8",
            "a/8",
            "10.0.0.0/8/8",
            " 10.0.0.1",
        ] {
            assert_eq!(Network::of(slip), None, "{slip}");
        }
    }

    #[test]
    fn a_program_of_this_machine_that_forwards_is_noticed() {
        let overlooks = |trusted: &[&str], peer: &str, fields: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            let request = parse_request(head.as_bytes()).unwrap();
            proxies(trusted).overlook(ip(peer), &request.forwarded)
        };
        let field = "X-Forwarded-For: 192.0.2.1";
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(overlooks(&[], peer, field));
        }
        assert!(overlooks(&["10.0.0.1"], "127.0.0.1", "Forwarded: for=_a"));
        assert!(!overlooks(&["127.0.0.1"], "127.0.0.1", field));
        assert!(!overlooks(&[], "127.0.0.1", "Accept: */*"));
        // Anybody on the network may say anything.
        assert!(!overlooks(&[], "192.0.2.9", field));
    }

    #[test]
    fn the_word_of_trusted_hops_is_followed_from_the_right() {
        let proxies = proxies(&["10.0.0.0/8", "fd00::/8"]);
        let client = |peer: &str, fields: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            let request = parse_request(head.as_bytes()).unwrap();
            let client = proxies.client(ip(peer), &request.forwarded);
            client.map(|client| client.map(|client| client.to_string()))
        };
        let named = |address: &str| Ok(Some(address.to_owned()));
        for (peer, fields, expected) in [
            // Nobody else is believed.
            ("192.0.2.9", "X-Forwarded-For: 192.0.2.1", Ok(None)),
            (
                "192.0.2.9",
                "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.2",
                Ok(None),
            ),
            ("10.0.0.1", "Accept: */*", Ok(None)),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.1", named("192.0.2.1")),
            (
                "::ffff:10.0.0.1",
                "Forwarded: for=192.0.2.1",
                named("192.0.2.1"),
            ),
            // What the client wrote itself stands left of what was seen.
            (
                "10.0.0.1",
                "X-Forwarded-For: 8.8.8.8, 192.0.2.1",
                named("192.0.2.1"),
            ),
            (
                "10.0.0.1",
                "X-Forwarded-For: 8.8.8.8\r\nX-Forwarded-For: 192.0.2.1",
                named("192.0.2.1"),
            ),
            (
                "10.0.0.1",
                "X-Forwarded-For: 8.8.8.8, 192.0.2.1, fd00::1, 10.9.9.9",
                named("192.0.2.1"),
            ),
            // A client within the trusted networks.
            (
                "10.0.0.1",
                "X-Forwarded-For: 10.0.0.3, 10.0.0.2",
                named("10.0.0.3"),
            ),
            // Who is not named counts as the proxy that does not name it.
            (
                "10.0.0.1",
                "X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2",
                named("10.0.0.2"),
            ),
            (
                "10.0.0.1",
                "Forwarded: for=192.0.2.1, for=_a",
                named("10.0.0.1"),
            ),
            // Both, and they agree; or one of them is forged.
            (
                "10.0.0.1",
                "X-Forwarded-For: 8.8.8.8, 192.0.2.1\r\nForwarded: for=192.0.2.1",
                named("192.0.2.1"),
            ),
            (
                "10.0.0.1",
                "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=8.8.8.8",
                Err(Refusal::ForwardedTwice),
            ),
            (
                "10.0.0.1",
                "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=10.0.0.1",
                Err(Refusal::ForwardedTwice),
            ),
        ] {
            assert_eq!(client(peer, fields), expected, "{peer}: {fields}");
        }
    }
}
