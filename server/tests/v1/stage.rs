//! One shard, wires without chance, and clients that write down what they hear.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use roomcast::limits::Limits;
use roomcast::shard::{Action, Common, DisconnectReason, Shard, Written};
use roomcast::transport::Port;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{
    Decoder, Item, MessageKind, Opcode, Role, Rules, encode_close, encode_masked,
};
use roomcast_protocol::upgrade::{ClientKey, parse_client_response, write_client_request};
use roomcast_protocol::v1::client::{Client, Event, KEPT, Link, Next};
use roomcast_protocol::v1::down::{Bundle, Packet};
use roomcast_protocol::v1::up::{Join, Mode};
use roomcast_protocol::v1::{List, Name, Owner, Pairs, Payload, SUBPROTOCOL, setting};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A connection as its client sees it.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    slot: Option<u32>,
    /// On their way to the relay.
    up: Vec<u8>,
    /// What the relay wrote and the client has not looked at.
    down: Vec<u8>,
    /// Bytes that its kernel still takes.
    pub(crate) space: usize,
    was_full: bool,
    /// The relay has ended its side: its kernel takes nothing any more.
    pub(crate) is_shut: bool,
    decoder: Decoder,
    is_open: bool,
    protocol: Option<&'static str>,
    /// The client has ended its side.
    end: Option<End>,
    /// The relay's close frame.
    pub(crate) closed: Option<(u16, String)>,
    /// Every bundle that came: what it covered, and the names of its packets.
    pub(crate) bundles: Vec<(u64, Vec<&'static str>)>,
    /// The pongs that came, with what they said.
    pub(crate) pongs: Vec<Vec<u8>>,
    /// Writes that its kernel was offered.
    pub(crate) writes: usize,
    pub(crate) why: Option<DisconnectReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Fin,
    Reset,
}

pub(crate) type WireId = usize;

pub(crate) struct Stage {
    pub(crate) shard: Shard,
    pub(crate) common: Arc<Common>,
    pub(crate) now: u64,
    /// Where connections come from, if the relay is told.
    pub(crate) caller: Option<IpAddr>,
    pub(crate) wires: Vec<Wire>,
}

/// A client and what it has heard, a line for each event.
pub(crate) struct Actor {
    pub(crate) client: Client,
    pub(crate) wire: WireId,
    link: Link,
    path: String,
    pub(crate) heard: Vec<String>,
    /// The ticks that it was told, with the times that they stood for, and its place among what it heard.
    pub(crate) ticks: Vec<(u64, u64, usize)>,
    /// How long values had waited, ms, as far as it was told, each with the place of those among what it heard.
    pub(crate) ages: Vec<(u64, usize)>,
    /// What the last welcome said the relay can do.
    pub(crate) capabilities: u64,
    /// A snapshot has come, and the end of its tail has not.
    given: bool,
}

/// Wide enough for everything.
pub(crate) const WIDE: usize = 1 << 30;

impl Stage {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::with(Common::new(limits, 1))
    }

    /// One whose shard shares this with nobody.
    pub(crate) fn with(common: Common) -> Self {
        let common = Arc::new(common);
        Self {
            shard: Shard::new(Arc::clone(&common), 0, 0, 7),
            common,
            now: 0,
            caller: None,
            wires: Vec::new(),
        }
    }

    /// A connection that has sent a request, with this subprotocol.
    pub(crate) fn connect(&mut self, path: &str, protocol: Option<&'static str>) -> WireId {
        let slot = self.shard.accept(Port::Plain, self.caller);
        let mut up = Vec::new();
        let key = ClientKey::from_bytes(*b"the sample nonce");
        write_client_request(&mut up, "relay", path, &key, protocol, &[]);
        self.wires.push(Wire {
            slot: Some(slot),
            up,
            space: WIDE,
            protocol,
            ..Wire::default()
        });
        self.settle();
        self.wires.len() - 1
    }

    /// What a page is answered: the status, and the body.
    pub(crate) fn ask(&mut self, path: &str) -> (String, String) {
        let slot = self.shard.accept(Port::Plain, self.caller);
        self.wires.push(Wire {
            slot: Some(slot),
            up: format!("GET {path} HTTP/1.0\r\n\r\n").into_bytes(),
            space: WIDE,
            ..Wire::default()
        });
        self.finish(self.wires.len() - 1);
        let wire = self.wires.last_mut().expect("a wire");
        let answer = String::from_utf8(std::mem::take(&mut wire.down)).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status");
        (status.to_owned(), body.to_owned())
    }

    /// A message from a client arrives.
    pub(crate) fn send(&mut self, wire: WireId, opcode: Opcode, payload: &[u8]) {
        encode_masked(&mut self.wires[wire].up, opcode, payload, KEY);
    }

    /// The client closes.
    pub(crate) fn close(&mut self, wire: WireId, code: CloseCode) {
        encode_close(&mut self.wires[wire].up, code, "", Some(KEY));
        self.settle();
    }

    /// The connection breaks; what was on its way is lost.
    pub(crate) fn cut(&mut self, wire: WireId) {
        self.wires[wire].up.clear();
        self.wires[wire].down.clear();
        self.wires[wire].end = Some(End::Reset);
    }

    /// Nothing comes through any more, and nobody says so.
    pub(crate) fn silence(&mut self, wire: WireId) {
        self.wires[wire].up.clear();
        self.wires[wire].down.clear();
        self.wires[wire].space = 0;
    }

    /// The client ends TCP.
    pub(crate) fn finish(&mut self, wire: WireId) {
        self.wires[wire].end = Some(End::Fin);
        self.settle();
    }

    /// Time passes, and the relay does what is due, in steps of this many milliseconds.
    pub(crate) fn pass(&mut self, ms: u64, step: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.now = (self.now + step).min(until);
            self.settle();
        }
    }

    /// Iterations until there is nothing more to do at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.iterate() {
                return;
            }
        }
        panic!("the shard does not come to rest");
    }

    /// One iteration; answers whether another one is needed.
    pub(crate) fn iterate(&mut self) -> bool {
        let Self {
            shard, wires, now, ..
        } = self;
        shard.advance(*now, *now);
        let mut read = false;
        for wire in &mut *wires {
            let Some(slot) = wire.slot else { continue };
            if wire.was_full && wire.space > 0 {
                wire.was_full = false;
                shard.writable(slot);
            }
            if wire.end == Some(End::Reset) {
                wire.end = None;
                shard.failed(slot);
            } else if !wire.up.is_empty() || shard.unread(slot) > 0 {
                let most = shard.may_read(slot);
                if shard.receive_unread(slot, most) == 0 {
                    let most = wire.up.len().min(most);
                    let mut bytes: Vec<u8> = wire.up.drain(..most).collect();
                    if most > 0 {
                        shard.receive(slot, &mut bytes);
                    }
                }
                read |= most > 0;
            } else if wire.up.is_empty() && wire.end.take() == Some(End::Fin) {
                shard.end_of_input(slot);
            }
        }
        shard.freeze();
        while let Some(slot) = shard.next_write() {
            let wire = wires.iter_mut().find(|wire| wire.slot == Some(slot));
            let wire = wire.expect("a slot has a wire");
            wire.writes += 1;
            let written = shard.pending().with_slices(|slices| {
                let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                assert!(!wire.is_shut, "nothing is written after the end");
                let taken = bytes.len().min(wire.space);
                wire.space -= taken;
                wire.down.extend_from_slice(&bytes[..taken]);
                wire.was_full |= taken < bytes.len();
                if taken == 0 {
                    Written::Blocked
                } else {
                    Written::Bytes(taken)
                }
            });
            shard.wrote(written);
        }
        shard.expire();
        let mut silent = Vec::new();
        shard.take_silent(&mut silent);
        silent
            .into_iter()
            .for_each(|slot| shard.convict(slot, true));
        let mut actions = Vec::new();
        shard.take_actions(&mut actions);
        for action in actions {
            match action {
                Action::ShutdownWrite(slot) => {
                    let wire = wires.iter_mut().find(|wire| wire.slot == Some(slot));
                    wire.expect("a slot has a wire").is_shut = true;
                }
                // Everything arrives.
                Action::Weigh(slot) => shard.weighed(slot, 0),
                Action::HandOff { .. } | Action::Say { .. } => panic!("{action:?}"),
            }
        }
        let mut unpaused = Vec::new();
        shard.take_unpaused(&mut unpaused);
        for wire in &mut *wires {
            if let Some(slot) = wire.slot {
                wire.why = wire.why.or(shard.reason(slot));
            }
        }
        shard.reap(|slot| {
            let wire = wires.iter_mut().find(|wire| wire.slot == Some(slot));
            wire.expect("a slot has a wire").slot = None;
        });
        assert_eq!(shard.accounts(), Ok(()));
        read || !unpaused.is_empty()
            || shard.has_work()
            || shard.next_deadline().is_some_and(|at| at <= *now)
    }

    /// The messages that came over a wire.
    pub(crate) fn messages(&mut self, wire: WireId) -> Vec<Vec<u8>> {
        let wire = &mut self.wires[wire];
        if !wire.is_open && !wire.down.is_empty() {
            let key = ClientKey::from_bytes(*b"the sample nonce");
            let answer = parse_client_response(&wire.down, &key, wire.protocol).expect("an answer");
            let Some(len) = answer else { return Vec::new() };
            let head = String::from_utf8_lossy(&wire.down[..len]).into_owned();
            assert!(head.starts_with("HTTP/1.1 101"), "{head}");
            wire.down.drain(..len);
            wire.is_open = true;
        }
        let rules = Rules {
            role: Role::Client,
            max_message: 1 << 26,
        };
        let mut bytes = std::mem::take(&mut wire.down);
        let mut input = &mut bytes[..];
        let mut messages = Vec::new();
        while let Some(item) = wire.decoder.next(&rules, &mut input).expect("frames") {
            match item {
                Item::Message { kind, payload } => {
                    assert!(kind == MessageKind::Binary || wire.protocol.is_none());
                    // Of a raw message its kind is told too.
                    let kind = wire.protocol.is_none().then(|| format!("{kind:?}: "));
                    let mut message = kind.unwrap_or_default().into_bytes();
                    message.extend_from_slice(payload);
                    messages.push(message);
                }
                Item::Close { code, reason } => {
                    wire.closed = Some((code.map_or(0, |code| code.0), reason.to_owned()));
                }
                Item::Pong(payload) => wire.pongs.push(payload.to_vec()),
                Item::Ping(_) => {}
            }
        }
        for message in &messages {
            if wire.protocol.is_some()
                && let Ok(bundle) = Bundle::decode(message)
            {
                let names = bundle
                    .packets
                    .map(|packet| packet.expect("a packet").name());
                wire.bundles.push((bundle.covered, names.collect()));
            }
        }
        messages
    }

    /// Where a connection is in the shard, as long as it is.
    pub(crate) fn slot(&self, wire: WireId) -> Option<u32> {
        self.wires[wire].slot
    }

    /// Nothing is left of anybody.
    pub(crate) fn assert_empty(&self) {
        let held = (
            self.shard.connections(),
            self.shard.rooms(),
            self.common.seated(),
            self.common.away(),
            self.common.v1_rooms(),
            self.common.listed(),
        );
        assert_eq!(held, (0, 0, 0, 0, 0, 0));
    }
}

/// Somebody new.
pub(crate) fn join(name: &str) -> Join<'_> {
    Join {
        minor: 0,
        mode: Mode::Any,
        back: None,
        name: Name::new(name).expect("a name"),
        properties: List::EMPTY,
        wishes: Pairs::EMPTY,
    }
}

impl Actor {
    /// A client that joins the room.
    pub(crate) fn join(stage: &mut Stage, room: &str, name: &str) -> Self {
        Self::join_as(stage, room, &join(name))
    }

    pub(crate) fn join_as(stage: &mut Stage, room: &str, join: &Join<'_>) -> Self {
        let mut actor = Self::new(stage, room, join);
        actor.play(stage);
        actor
    }

    /// A client whose join has not been sent.
    pub(crate) fn new(stage: &mut Stage, room: &str, join: &Join<'_>) -> Self {
        let mut client = Client::new(join, KEPT);
        let path = format!("/rooms/{room}");
        let wire = stage.connect(&path, Some(SUBPROTOCOL));
        Self {
            link: client.open(stage.now * 1_000),
            client,
            wire,
            path,
            heard: Vec::new(),
            ticks: Vec::new(),
            ages: Vec::new(),
            capabilities: 0,
            given: false,
        }
    }

    /// Another connection, the join on its way.
    pub(crate) fn reopen(&mut self, stage: &mut Stage) {
        self.wire = stage.connect(&self.path, Some(SUBPROTOCOL));
        self.link = self.client.open(stage.now * 1_000);
        self.write(stage);
    }

    /// Its connection breaks, and it knows.
    pub(crate) fn lose(&mut self, stage: &mut Stage) {
        stage.cut(self.wire);
        assert_eq!(self.client.closed(self.link, None), Some(Next::Resume));
    }

    /// It hears, speaks, and the relay runs, until nobody has anything to say.
    pub(crate) fn play(&mut self, stage: &mut Stage) {
        loop {
            stage.settle();
            let heard = self.hear(stage);
            if !self.write(stage) && !heard {
                return;
            }
        }
    }

    /// Whatever it has to say is on its way.
    pub(crate) fn write(&mut self, stage: &mut Stage) -> bool {
        let mut any = false;
        let mut message = Vec::new();
        while self.client.transmit(stage.now * 1_000, &mut message) {
            stage.send(self.wire, Opcode::Binary, &message);
            message.clear();
            any = true;
        }
        any
    }

    /// Deals with what has come.
    pub(crate) fn hear(&mut self, stage: &mut Stage) -> bool {
        let now = stage.now * 1_000;
        let messages = stage.messages(self.wire);
        self.hear_these(now, &messages);
        !messages.is_empty()
    }

    /// Deals with these messages.
    pub(crate) fn hear_these(&mut self, now: u64, messages: &[Vec<u8>]) {
        for message in messages {
            let (heard, capabilities) = (&mut self.heard, &mut self.capabilities);
            let (given, client) = (&mut self.given, &mut self.client);
            let (ticks, ages) = (&mut self.ticks, &mut self.ages);
            let heard = client.receive(self.link, now, message, &mut |event| {
                if let Event::Welcome { welcome, .. } = event {
                    *capabilities = welcome.capabilities;
                }
                *given |= matches!(event, Event::Packet(Packet::Snapshot { .. }));
                // In a welcome that a snapshot is not in, its end says nothing about the game.
                if matches!(event, Event::Packet(Packet::Ready)) && std::mem::take(given) {
                    heard.push("ready".to_owned());
                }
                if let Event::Packet(Packet::Tick { tick, time }) = event {
                    ticks.push((tick, time, heard.len()));
                }
                if let Event::Packet(Packet::Aged { ms }) = event {
                    ages.push((ms, heard.len()));
                }
                heard.extend(line(event));
            });
            heard.expect("the relay keeps to the protocol");
        }
    }

    /// The relay has closed its connection with this code.
    pub(crate) fn closed(&mut self, code: u16) -> Option<Next> {
        self.client.closed(self.link, Some(CloseCode(code)))
    }

    /// What it heard since it was last asked.
    pub(crate) fn news(&mut self, stage: &mut Stage) -> Vec<String> {
        self.play(stage);
        std::mem::take(&mut self.heard)
    }
}

/// A player's id, or 0 for the room.
fn number(owner: Owner) -> u32 {
    owner.map_or(0, std::num::NonZeroU32::get)
}

/// An event as a line; what says nothing about the game is left out.
fn line(event: Event<'_>) -> Option<String> {
    let mut line = String::new();
    let text = |payload: Payload<'_>| match payload {
        Payload::Text(text) => text.to_owned(),
        Payload::Bytes(bytes) => format!("{bytes:?}"),
    };
    let written = match event {
        Event::Resumed => write!(line, "resumed"),
        Event::Reset { reason } => write!(line, "reset {reason}"),
        Event::Welcome { welcome, dropped } => {
            let created = if welcome.created { " created" } else { "" };
            let dropped = if dropped > 0 { " dropped" } else { "" };
            write!(line, "welcome {}{created}{dropped}", welcome.id)
        }
        Event::Tail(packet) => {
            let told = self::line(Event::Packet(packet))?;
            write!(line, "tail {told}")
        }
        Event::Packet(packet) => match packet {
            Packet::Event {
                author,
                payload,
                addressed,
                by_host,
            } => {
                let host = if by_host { " as host" } else { "" };
                let to = if addressed { " to some" } else { "" };
                write!(line, "{author}{host}{to}: {}", text(payload))
            }
            Packet::Player { id, name, away } => {
                let away = if away { ", away" } else { "" };
                write!(line, "player {id} {}{away}", name.as_str())
            }
            Packet::Joined { id, name, .. } => write!(line, "joined {id} {}", name.as_str()),
            Packet::Settings(settings) => {
                let tag = settings.bytes(setting::TAG)?;
                write!(line, "tag {}", String::from_utf8_lossy(tag))
            }
            Packet::Left { id, reason } => write!(line, "left {id} {reason}"),
            Packet::Away(id) => write!(line, "away {id}"),
            Packet::Back(id) => write!(line, "back {id}"),
            Packet::Refused { number, reason, .. } => write!(line, "refused {number} {reason}"),
            Packet::Properties {
                owner,
                author,
                changes,
            } => {
                write!(line, "properties {} by {}", number(owner), number(author)).ok()?;
                changes.iter().try_for_each(|change| {
                    let value = change.value.map_or("gone".to_owned(), text);
                    write!(line, ", {}={value}", change.key.as_str())
                })
            }
            Packet::State {
                author,
                key,
                payload,
                by_host,
            } => {
                let host = if by_host { " as host" } else { "" };
                write!(line, "{}.{key}={}{host}", number(author), text(payload))
            }
            Packet::Removed { author, key } => write!(line, "{}.{key} gone", number(author)),
            Packet::Host { term, id, given } => {
                let given = if given { ", given" } else { "" };
                write!(line, "host {} in term {term}{given}", number(id))
            }
            Packet::Locked(locked) => write!(line, "{}locked", if locked { "" } else { "un" }),
            Packet::Snapshot { state, cut, .. } => {
                let cut = if cut { ", cut" } else { "" };
                write!(line, "snapshot {}{cut}", String::from_utf8_lossy(state))
            }
            Packet::SnapshotWanted { term } => write!(line, "snapshot wanted in term {term}"),
            Packet::Trips(trips) => {
                write!(line, "trips").ok()?;
                let mut trips = trips.iter();
                trips.try_for_each(|(id, trip)| write!(line, " {id}={trip}"))
            }
            Packet::RemovedAll => write!(line, "all gone"),
            Packet::RefusedState { key, reason, .. } => {
                write!(line, "refused state {key} {reason}")
            }
            _ => return None,
        },
        _ => return None,
    };
    written.ok()?;
    Some(line)
}
