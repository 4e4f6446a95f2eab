//! A shard with its players seated, without sockets: the only part of this program that knows the shard's interface.
//!
//! Keep it small: whoever changes that interface changes this file, and `scripts/count-instructions --against` builds
//! an older commit with the file that commit has.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;

use roomcast::limits::{CALLS_PER_LOOK, Limits};
use roomcast::shard::{Common, Shard, Written};
use roomcast::transport::Port;
use roomcast_benches::{bytes, masked_frames};
use roomcast_protocol::frame::Opcode;
use roomcast_protocol::tls::Acceptor;
use roomcast_protocol::upgrade::{self, ClientKey};
use roomcast_protocol::v1::{self, List, Name, Pairs, Payload, up};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

/// Bytes of each message, as in the scenarios of `scripts/bench`.
const PAYLOAD: usize = 64;

/// What the sockets do with what they are offered.
#[derive(Clone, Copy)]
pub(crate) enum Sockets {
    TakeAll,
    TakeNothing,
}

/// How the players' bytes are carried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    Tls,
}

/// What the players speak.
#[derive(Clone, Copy)]
pub(crate) enum Dialect {
    Raw,
    /// roomcast.v1: each message is an event for all others.
    V1,
    /// roomcast.v1: each message is an event for a group that the player named first of its own.
    Groups(fn(usize) -> Vec<u32>),
}

impl Dialect {
    fn subprotocol(self) -> Option<&'static str> {
        (!matches!(self, Self::Raw)).then_some(v1::SUBPROTOCOL)
    }

    /// What a client says first, as it comes off the wire.
    fn greeting(self) -> Vec<u8> {
        match self {
            Self::Raw => Vec::new(),
            Self::V1 | Self::Groups(_) => masked_packet(up::Packet::Join(up::Join {
                minor: 0,
                mode: up::Mode::Any,
                back: None,
                name: Name::new("Ada").expect("a name"),
                properties: List::EMPTY,
                wishes: Pairs::EMPTY,
            })),
        }
    }

    /// What this client says once it is welcome, as it comes off the wire.
    fn thanks(self, client: usize) -> Option<Vec<u8>> {
        let Self::Groups(groups) = self else {
            return None;
        };
        let mut buffer = Vec::new();
        let groups = BTreeSet::from_iter(groups(client));
        let groups = groups.into_iter().map(|group| (group, true));
        let groups = v1::Groups::encode(groups, &mut buffer).expect("few groups");
        Some(masked_packet(up::Packet::Groups { only: true, groups }))
    }

    /// A message of this client, as it comes off the wire.
    fn message(self, client: usize) -> Vec<u8> {
        let payload = bytes(PAYLOAD);
        let to = match self {
            Self::Raw => return masked_frames(1, Opcode::Binary, &payload),
            Self::V1 => up::Audience::Others,
            Self::Groups(groups) => up::Audience::Group(groups(client)[0]),
        };
        masked_packet(up::Packet::Event {
            term: None,
            to,
            droppable: false,
            payload: Payload::Bytes(&payload),
        })
    }
}

fn masked_packet(packet: up::Packet<'_>) -> Vec<u8> {
    let mut message = Vec::new();
    packet.encode(&mut message);
    masked_frames(1, Opcode::Binary, &message)
}

pub(crate) struct Relay {
    shard: Shard,
    slots: Vec<u32>,
    /// The other ends of TLS, one a slot.
    peers: Vec<ClientConnection>,
    dialect: Dialect,
    received: Vec<u8>,
    now: u64,
}

impl Relay {
    /// `clients` players in rooms of `members`, who have nothing to do with the others.
    pub(crate) fn new(security: Security, clients: usize, members: usize) -> Self {
        Self::seat(security, Dialect::Raw, clients, members)
    }

    /// The same of players who speak this, and whatever carries them.
    pub(crate) fn seat(
        security: Security,
        dialect: Dialect,
        clients: usize,
        members: usize,
    ) -> Self {
        let tls = (security == Security::Tls).then(tls);
        let mut common = Common::new(Limits::default(), 1);
        if let Some((server, _)) = &tls {
            common = common.with_tls(Acceptor::new(Arc::clone(server)).into());
        }
        let mut relay = Self {
            shard: Shard::new(Arc::new(common), 0, 0, 1),
            slots: Vec::new(),
            peers: Vec::new(),
            dialect,
            received: Vec::new(),
            now: 0,
        };
        let key = ClientKey::from_bytes([7; 16]);
        for client in 0..clients {
            let mut head = Vec::new();
            let path = format!("/rooms/{}", client / members);
            let protocol = dialect.subprotocol();
            upgrade::write_client_request(&mut head, "localhost", &path, &key, protocol, &[]);
            head.extend_from_slice(&dialect.greeting());
            let port = tls.as_ref().map_or(Port::Plain, |_| Port::Tls);
            let slot = relay.shard.accept(port, None);
            relay.shard.writable(slot);
            if let Some((_, config)) = &tls {
                let peer = relay.shake_hands(slot, config);
                relay.peers.push(peer);
                head = sealed(&mut relay.peers[client], &head);
            }
            relay.shard.receive(slot, &mut head);
            relay.slots.push(slot);
            relay.flush(Sockets::TakeAll);
            if let Some(mut thanks) = dialect.thanks(client) {
                relay.shard.receive(slot, &mut thanks);
                relay.flush(Sockets::TakeAll);
            }
        }
        relay.finish();
        assert!(relay.slots.iter().all(|&slot| relay.shard.is_seated(slot)));
        relay
    }

    fn shake_hands(&mut self, slot: u32, config: &Arc<ClientConfig>) -> ClientConnection {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut peer = ClientConnection::new(Arc::clone(config), name).expect("a client");
        while peer.is_handshaking() {
            let mut flight = sealed(&mut peer, &[]);
            self.shard.receive(slot, &mut flight);
            self.shard.freeze();
            while self.shard.next_write().is_some() {
                let mut answer = Vec::new();
                self.shard.pending().with_slices(|slices| {
                    for slice in slices {
                        answer.extend_from_slice(slice);
                    }
                });
                self.shard.wrote(Written::Bytes(answer.len()));
                let mut records = &answer[..];
                while !records.is_empty() {
                    peer.read_tls(&mut records).expect("memory gives all");
                    peer.process_new_packets().expect("a valid flight");
                }
            }
        }
        let mut last = sealed(&mut peer, &[]);
        self.shard.receive(slot, &mut last);
        peer
    }

    /// Time passes: `ms` milliseconds, and a new iteration begins.
    pub(crate) fn advance(&mut self, ms: u64) {
        self.now += ms;
        self.shard.advance(self.now, self.now);
        self.shard.heard_since(1_000 * self.now);
    }

    /// What each of these players says next: one message, as it comes off the wire.
    pub(crate) fn say(&mut self, senders: impl IntoIterator<Item = usize>) -> Vec<(u32, Vec<u8>)> {
        let said = senders.into_iter().map(|sender| {
            let message = self.dialect.message(sender);
            let wire = match self.peers.get_mut(sender) {
                Some(peer) => sealed(peer, &message),
                None => message,
            };
            (self.slots[sender], wire)
        });
        said.collect()
    }

    /// One read for each message.
    pub(crate) fn receive(&mut self, said: &[(u32, Vec<u8>)]) {
        for (slot, wire) in said {
            self.received.clone_from(wire);
            let most = self.shard.may_read(*slot);
            assert!(most > 0, "nobody floods here");
            assert_eq!(self.shard.receive_unread(*slot, most), 0);
            self.shard.receive(*slot, black_box(&mut self.received));
        }
    }

    /// Batches are frozen and every socket that is due is written. Returns the bytes that were taken.
    pub(crate) fn flush(&mut self, sockets: Sockets) -> usize {
        // The reactor counts its writes anyway, so that is no cost of the shard's.
        let (mut taken, mut calls) = (0, 0);
        self.shard.freeze();
        while let Some(slot) = self.shard.next_write() {
            black_box(slot);
            let offered = self
                .shard
                .pending()
                .with_slices(|slices| black_box(slices).iter().map(|slice| slice.len()).sum());
            self.shard.wrote(match sockets {
                Sockets::TakeAll => Written::Bytes(offered),
                Sockets::TakeNothing => Written::Blocked,
            });
            if let Sockets::TakeAll = sockets {
                taken += offered;
            }
            calls += 1;
            if calls == CALLS_PER_LOOK {
                calls = 0;
                self.shard.written_by(1_000 * self.now + 100);
            }
        }
        if self.shard.has_written() {
            self.shard.written_by(1_000 * self.now + 200);
        }
        taken
    }

    /// The rest of an iteration.
    pub(crate) fn finish(&mut self) {
        self.shard.expire();
        self.shard.take_actions(&mut Vec::new());
        self.shard.take_unpaused(&mut Vec::new());
        self.shard
            .reap(|slot| panic!("connection {slot} has ended"));
    }

    /// A fan-out goes on in the next iteration.
    pub(crate) fn has_work(&self) -> bool {
        self.shard.has_work()
    }

    /// All sockets take bytes again.
    pub(crate) fn writable(&mut self) {
        for &slot in &self.slots {
            self.shard.writable(slot);
        }
    }
}

/// These bytes, and whatever else the peer has to send.
fn sealed(peer: &mut ClientConnection, plain: &[u8]) -> Vec<u8> {
    peer.writer().write_all(plain).expect("memory takes all");
    let mut records = Vec::new();
    while peer.wants_write() {
        peer.write_tls(&mut records).expect("memory takes all");
    }
    records
}

/// Settings of both sides, which trust each other.
fn tls() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let identity = identity.expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = identity.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        identity.signing_key.serialize_der(),
    ));
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a matching key");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}
