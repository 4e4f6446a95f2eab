//! A stage for a few players: the production loop, wires without chance, a clock that moves when told to.

use std::cell::{RefCell, RefMut};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use roomcast::limits::{Limits, RECEIVE_BUFFER};
use roomcast::reactor::{Published, Running, Setting};
use roomcast::shard::{Common, DisconnectReason, Ends};
use roomcast::transport::Port;
use roomcast_protocol::frame::{Decoder, Item, MessageKind, Opcode, Role, Rules, encode_masked};
use roomcast_protocol::upgrade::{
    ClientError, ClientKey, parse_client_response, write_client_request,
};

use crate::net::{Events, Network, Side, Weather, WireId};
use crate::wire::{Edges, Wire};

/// Space that is never short.
pub(crate) const WIDE: usize = 1 << 30;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What a client has read.
#[derive(Debug)]
enum Stream {
    Answer(Vec<u8>),
    Frames(Decoder),
    Body,
}

pub(crate) struct Stage {
    pub(crate) common: Arc<Common>,
    pub(crate) reactors: Vec<Running<Side>>,
    /// What each of them publishes.
    pub(crate) published: Vec<Published>,
    pub(crate) now: u64,
    /// Where connections come from, if the server is told.
    pub(crate) caller: Option<IpAddr>,
    network: Rc<RefCell<Network>>,
    events: Events,
    streams: Vec<Stream>,
    key: ClientKey,
}

/// A frame as a client sends it.
pub(crate) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_masked(&mut bytes, opcode, payload, KEY);
    bytes
}

pub(crate) fn text(payload: &str) -> Vec<u8> {
    frame(Opcode::Text, payload.as_bytes())
}

impl Stage {
    /// One reactor.
    pub(crate) fn new(limits: Limits) -> Self {
        Self::with_reactors(limits, 1)
    }

    pub(crate) fn with_reactors(limits: Limits, count: usize) -> Self {
        Self::of(Common::new(limits, count))
    }

    pub(crate) fn of(common: Common) -> Self {
        Self::made(common, false)
    }

    /// One whose first reactor accepts for all.
    pub(crate) fn dealing(common: Common) -> Self {
        Self::made(common, true)
    }

    fn made(common: Common, deals: bool) -> Self {
        let common = Arc::new(common);
        let count = common.reactors;
        let weather = Weather {
            poll: usize::MAX,
            full: false,
            call_us: 0,
            mailbox: usize::MAX,
        };
        let network = Rc::new(RefCell::new(Network::new(count, weather)));
        let published: Vec<Published> = (0..count).map(|_| Published::default()).collect();
        let reactor = |index: usize| {
            let setting = Setting {
                common: Arc::clone(&common),
                index,
                ports: vec![Port::Plain],
                deals: deals && index == 0,
                buffer: RECEIVE_BUFFER,
                seed: 7,
                published: Published::clone(&published[index]),
            };
            Running::new(Side::new(index, &network), setting)
        };
        Self {
            reactors: (0..count).map(reactor).collect(),
            published,
            streams: Vec::new(),
            now: 0,
            caller: None,
            key: ClientKey::from_bytes(*b"the sample nonce"),
            events: Events::default(),
            network,
            common,
        }
    }

    pub(crate) fn net(&self) -> RefMut<'_, Network> {
        self.network.borrow_mut()
    }

    /// A connection to the first reactor.
    pub(crate) fn connect(&mut self) -> WireId {
        self.connect_to(0, WIDE)
    }

    /// A connection that waits to be accepted, its request sent.
    pub(crate) fn begin(&mut self, path: &str) -> WireId {
        self.streams.push(Stream::Answer(Vec::new()));
        let wire = self.net().connect(0, false, Wire::new(Edges::Each, WIDE));
        let request = self.request(path);
        self.arrive(wire, &request);
        wire
    }

    /// A connection whose kernel buffer holds so many bytes.
    pub(crate) fn connect_to(&mut self, reactor: usize, capacity: usize) -> WireId {
        self.streams.push(Stream::Answer(Vec::new()));
        let mut wire = Wire::new(Edges::Each, capacity);
        wire.peer = self.caller;
        let wire = self.net().connect(reactor, false, wire);
        self.settle();
        wire
    }

    /// The request for a seat.
    pub(crate) fn request(&self, path: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_client_request(&mut bytes, "relay", path, &self.key, None, &[]);
        bytes
    }

    /// A connection that has its seat.
    pub(crate) fn join(&mut self, path: &str) -> WireId {
        self.join_through(path, WIDE)
    }

    pub(crate) fn join_through(&mut self, path: &str, capacity: usize) -> WireId {
        let wire = self.connect_to(0, capacity);
        let request = self.request(path);
        self.send(wire, &request);
        assert_eq!(self.heard(wire), "101");
        wire
    }

    /// Bytes from a client arrive, and the reactors run.
    pub(crate) fn send(&mut self, wire: WireId, bytes: &[u8]) {
        self.arrive(wire, bytes);
        self.settle();
    }

    /// Bytes from a client arrive.
    pub(crate) fn arrive(&mut self, wire: WireId, bytes: &[u8]) {
        self.net().wires[wire].send(bytes);
        self.net().wires[wire].deliver(usize::MAX);
    }

    /// A client ends its side.
    pub(crate) fn hang_up(&mut self, wire: WireId) {
        self.net().wires[wire].send_fin();
        self.net().wires[wire].deliver(usize::MAX);
        self.settle();
    }

    /// One iteration of every reactor that wakes. False if none does.
    pub(crate) fn turn(&mut self) -> bool {
        let count = self.reactors.len();
        let mut woken = false;
        self.net().advance(self.now);
        for path in 0..count * count {
            while self.net().deliver_mail(path) {
                woken = true;
            }
        }
        for (index, reactor) in self.reactors.iter_mut().enumerate() {
            let due = reactor.wakes_at() <= self.now;
            if reactor.is_over() || !(due || self.network.borrow().wakes(index)) {
                continue;
            }
            woken = true;
            reactor.turn(&mut self.events).expect("the poll works");
        }
        self.now = self.network.borrow().now().max(self.now);
        woken
    }

    /// Lets the reactors run until they sleep.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            if !self.turn() {
                return;
            }
        }
        panic!("a reactor spins");
    }

    /// Lets time pass, from deadline to deadline.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        self.settle();
        while self.now < until {
            let next = self.reactors.iter().map(Running::wakes_at).min();
            self.now = until.min(next.unwrap_or(until).max(self.now + 1));
            self.settle();
        }
    }

    pub(crate) fn drain(&mut self, spread_ms: u32) {
        self.common.order_drain(spread_ms);
        self.net().wake_all();
        self.settle();
    }

    /// Everything that a client can read, in words: `101`, `404`, `text hi`, `binary 3`, `ping`, `pong x`,
    /// `close 1000`, and `end` once the server has ended its side.
    pub(crate) fn heard(&mut self, wire: WireId) -> String {
        self.read(wire, usize::MAX).join(", ")
    }

    /// The same of at most so many bytes.
    pub(crate) fn read(&mut self, wire: WireId, most: usize) -> Vec<String> {
        let mut bytes = self.net().wires[wire].take(most);
        let mut words = Vec::new();
        let stream = &mut self.streams[wire];
        if let Stream::Answer(answer) = stream {
            answer.append(&mut bytes);
            match parse_client_response(answer, &self.key, None) {
                Ok(None) => {}
                Ok(Some(len)) => {
                    words.push("101".to_owned());
                    bytes = answer.split_off(len);
                    *stream = Stream::Frames(Decoder::default());
                }
                Err(ClientError::Status(status)) => {
                    words.push(status.to_string());
                    *stream = Stream::Body;
                }
                Err(error) => panic!("{error}"),
            }
        }
        if let Stream::Frames(decoder) = stream {
            let mut input = &mut bytes[..];
            let rules = Rules {
                role: Role::Client,
                max_message: 1 << 20,
            };
            while let Some(item) = decoder.next(&rules, &mut input).expect("frames are sound") {
                words.push(match item {
                    Item::Message {
                        kind: MessageKind::Text,
                        payload,
                    } => format!("text {}", String::from_utf8_lossy(payload)),
                    Item::Message { payload, .. } => format!("binary {}", payload.len()),
                    Item::Ping(_) => "ping".to_owned(),
                    Item::Pong(payload) => format!("pong {}", String::from_utf8_lossy(payload)),
                    Item::Close { code: None, .. } => "close".to_owned(),
                    Item::Close {
                        code: Some(code), ..
                    } => format!("close {code}"),
                });
            }
        }
        if self.net().wires[wire].is_at_end() {
            words.push("end".to_owned());
        }
        words
    }

    /// Whether a reactor still has the connection.
    pub(crate) fn is_there(&self, wire: WireId) -> bool {
        self.place(wire).is_some()
    }

    /// The reactor and the slot of a connection.
    pub(crate) fn place(&self, wire: WireId) -> Option<(usize, u32)> {
        let found = |(index, reactor): (usize, &Running<Side>)| {
            let slot = reactor.sockets().iter().find(|at| *at.1 == wire)?.0;
            Some((index, slot))
        };
        self.reactors.iter().enumerate().find_map(found)
    }

    /// Bytes charged to the outbox of a connection.
    pub(crate) fn charged(&self, wire: WireId) -> usize {
        let (index, slot) = self.place(wire).expect("it is there");
        self.reactors[index].shard().held(slot).0
    }

    /// Why a connection ends, if it does.
    pub(crate) fn reason(&self, wire: WireId) -> Option<DisconnectReason> {
        let (index, slot) = self.place(wire)?;
        self.reactors[index].shard().reason(slot)
    }

    /// Whether a connection is a player.
    pub(crate) fn is_seated(&self, wire: WireId) -> bool {
        self.place(wire)
            .is_some_and(|(index, slot)| self.reactors[index].shard().is_seated(slot))
    }

    /// All ends so far, as counted: `violation`, or `2 peer_gone, violation`.
    pub(crate) fn ends(&self) -> String {
        let mut ends = Vec::new();
        for (label, count) in self.counted().iter() {
            match count {
                0 => {}
                1 => ends.push(label.to_owned()),
                count => ends.push(format!("{count} {label}")),
            }
        }
        ends.join(", ")
    }

    /// All ends so far.
    fn counted(&self) -> Ends {
        let mut ends = Ends::default();
        for reactor in &self.reactors {
            ends.add(&reactor.shard().counters().ends);
        }
        ends
    }

    /// Everyone leaves: each connection has ended once, and nothing is left of it.
    pub(crate) fn close(mut self) {
        for wire in 0..self.streams.len() {
            self.net().wires[wire].send_reset();
        }
        self.settle();
        for reactor in &self.reactors {
            let shard = reactor.shard();
            assert_eq!(shard.connections(), 0, "a slot is reaped");
            assert_eq!(shard.rooms(), 0, "an empty room goes");
            assert!(!shard.has_work());
        }
        assert_eq!(self.common.seated(), 0, "a seat is returned");
        let count = |of: fn(&Running<Side>) -> u64| self.reactors.iter().map(of).sum::<u64>();
        let accepted = count(|reactor| reactor.shard().counters().accepted);
        let ended = self.counted().iter().map(|(_, count)| count).sum::<u64>();
        assert_eq!((accepted, ended), (self.streams.len() as u64, accepted));
        self.pass(1_000);
        for reactor in &self.reactors {
            assert_eq!(
                reactor.shard().next_deadline(),
                None,
                "no timer stays armed"
            );
        }
    }
}
