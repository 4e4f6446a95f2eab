//! HTTP/2: requests in streams of one connection, by frames as a client writes them (RFC 9113).

use std::collections::{BTreeMap, BTreeSet};

use roomcast::limits::{HTTP2_IDLE_MS, HTTP2_PING_MS, Limits, SESSION_CONNECTIONS};
use roomcast::shard::{Common, Http2};
use roomcast_protocol::frame::Opcode;
use roomcast_protocol::http2::PREFACE;

use crate::homes::room_of;
use crate::net::WireId;
use crate::sessions::agree;
use crate::stage::{Stage, frame, text};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
/// Of SETTINGS and PING; of DATA and HEADERS that it is the last.
const ACK: u8 = 1;
const END: u8 = 1;
const WHOLE_HEAD: u8 = 4;

/// As HPACK writes them at the head of an answer (RFC 7541 appendix A).
const OK: u8 = 0x88;
const DONE: u8 = 0x89;

fn written(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A connection and what has come over it.
struct Peer {
    wire: WireId,
    next: u32,
    rest: Vec<u8>,
    /// First bytes of heads, contents, and those that are whole or taken back, by streams.
    heads: BTreeMap<u32, u8>,
    contents: BTreeMap<u32, Vec<u8>>,
    whole: BTreeSet<u32>,
    reset: BTreeSet<u32>,
    /// The reason for which the server goes.
    goes: Option<u32>,
    answers_pings: bool,
    /// Streams whose content it does not take.
    closed: BTreeSet<u32>,
}

impl Peer {
    fn new(stage: &mut Stage) -> Self {
        let wire = stage.connect();
        let mut peer = Self {
            wire,
            next: 1,
            rest: Vec::new(),
            heads: BTreeMap::new(),
            contents: BTreeMap::new(),
            whole: BTreeSet::new(),
            reset: BTreeSet::new(),
            goes: None,
            answers_pings: true,
            closed: BTreeSet::new(),
        };
        let hello = [PREFACE, &written(SETTINGS, 0, 0, &[])].concat();
        for byte in hello {
            stage.send(wire, &[byte]);
        }
        peer.hear(stage);
        peer
    }

    /// Its head.
    fn fields(method: &str, path: &str) -> Vec<u8> {
        let mut fields = Vec::new();
        let said = [
            (":method", method),
            (":scheme", "http"),
            (":path", path),
            (":authority", "a"),
        ];
        for (name, value) in said {
            fields.push(0);
            for part in [name, value] {
                assert!(part.len() < 127);
                fields.push(part.len() as u8);
                fields.extend_from_slice(part.as_bytes());
            }
        }
        fields
    }

    /// A POST whose content does not come.
    fn begin(&mut self, stage: &mut Stage, path: &str) {
        let stream = self.next;
        self.next += 2;
        let fields = Self::fields("POST", path);
        stage.send(self.wire, &written(HEADERS, WHOLE_HEAD, stream, &fields));
        self.hear(stage);
    }

    /// Asks, and says how the content goes on if there is some.
    fn ask(&mut self, stage: &mut Stage, method: &str, path: &str, content: Option<&[u8]>) -> u32 {
        let stream = self.next;
        self.next += 2;
        let fields = Self::fields(method, path);
        let end = if content.is_none() { END } else { 0 };
        let mut bytes = written(HEADERS, WHOLE_HEAD + end, stream, &fields);
        if let Some(content) = content {
            bytes.extend(written(DATA, END, stream, content));
        }
        stage.send(self.wire, &bytes);
        self.hear(stage);
        stream
    }

    /// The same, whole and answered: its content.
    fn got(&mut self, stage: &mut Stage, method: &str, path: &str) -> (u8, Vec<u8>) {
        let content = (method == "POST").then_some(&b""[..]);
        let stream = self.ask(stage, method, path, content);
        assert!(self.whole.contains(&stream), "{method} {path}");
        (self.heads[&stream], self.content(stream))
    }

    fn content(&mut self, stream: u32) -> Vec<u8> {
        self.contents.remove(&stream).unwrap_or_default()
    }

    fn hear(&mut self, stage: &mut Stage) {
        loop {
            let bytes = stage.net().wires[self.wire].take(usize::MAX);
            if bytes.is_empty() {
                return;
            }
            stage.settle();
            self.rest.extend(bytes);
            let mut said = Vec::new();
            while self.rest.len() >= 9 {
                let [_, a, b, c] = [0, self.rest[0], self.rest[1], self.rest[2]];
                let len = u32::from_be_bytes([0, a, b, c]) as usize;
                if self.rest.len() < 9 + len {
                    break;
                }
                let rest = self.rest.split_off(9 + len);
                let frame = std::mem::replace(&mut self.rest, rest);
                self.heed(&frame, &mut said);
            }
            if !said.is_empty() {
                stage.send(self.wire, &said);
            }
        }
    }

    fn heed(&mut self, frame: &[u8], said: &mut Vec<u8>) {
        let (kind, flags, payload) = (frame[3], frame[4], &frame[9..]);
        let stream = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
        match kind {
            DATA => {
                self.contents
                    .entry(stream)
                    .or_default()
                    .extend_from_slice(payload);
                if !payload.is_empty() && !self.closed.contains(&stream) {
                    let more = (payload.len() as u32).to_be_bytes();
                    said.extend(written(WINDOW_UPDATE, 0, 0, &more));
                    said.extend(written(WINDOW_UPDATE, 0, stream, &more));
                }
            }
            HEADERS => {
                self.heads.insert(stream, payload[0]);
            }
            RST_STREAM => {
                self.reset.insert(stream);
            }
            SETTINGS if flags & ACK == 0 => said.extend(written(SETTINGS, ACK, 0, &[])),
            PING if flags & ACK == 0 && self.answers_pings => {
                said.extend(written(PING, ACK, 0, payload));
            }
            GOAWAY => {
                self.goes = Some(u32::from_be_bytes([
                    payload[4], payload[5], payload[6], payload[7],
                ]));
            }
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END != 0 {
            self.whole.insert(stream);
        }
    }

    /// A session in this room: its path.
    fn open(&mut self, stage: &mut Stage, room: &str) -> String {
        let (head, body) = self.got(stage, "POST", &format!("{room}/http"));
        let body = String::from_utf8(body).expect("text");
        assert_eq!(head, OK, "{body}");
        let id = body.split('"').nth(3).expect("an id");
        format!("{room}/http/{id}")
    }
}

fn speaking(limits: Limits, reactors: usize) -> Stage {
    let http2 = Http2 {
        over_tls: true,
        in_clear: true,
    };
    Stage::of(Common::new(limits, reactors).with_http2(http2))
}

#[test]
fn a_room_is_played_in_streams_wherever_it_is_at_home() {
    for reactor in [0, 1, 2] {
        play(reactor);
    }
}

fn play(reactor: usize) {
    let mut stage = speaking(Limits::default(), 3);
    let room = &room_of(&stage, reactor);
    let other = stage.join(room);
    let mut peer = Peer::new(&mut stage);
    assert_eq!(
        peer.got(&mut stage, "GET", "/healthz"),
        (OK, b"alive\n".to_vec())
    );
    let at = peer.open(&mut stage, room);
    let poll = peer.ask(&mut stage, "GET", &format!("{at}/poll?ack=0"), None);
    assert!(!peer.heads.contains_key(&poll), "it is held");
    let up = peer.ask(
        &mut stage,
        "POST",
        &format!("{at}/up?seq=0"),
        Some(b"\x81\x02hi"),
    );
    assert_eq!((peer.heads[&up], peer.whole.contains(&up)), (DONE, true));
    assert_eq!(stage.heard(other), "text hi");
    stage.send(other, &text("hello"));
    peer.hear(&mut stage);
    assert_eq!(peer.content(poll), b"\x81\x05hello");
    assert!(peer.whole.contains(&poll));
    // What goes on for ever goes on beside all else.
    let events = peer.ask(&mut stage, "GET", &format!("{at}/events?ack=1"), None);
    let watch = peer.ask(&mut stage, "GET", &format!("{room}/http/events"), None);
    assert_eq!(stage.common.seated(), 3);
    stage.send(other, &text("again"));
    peer.hear(&mut stage);
    for stream in [events, watch] {
        let told = String::from_utf8(peer.content(stream)).expect("text");
        assert!(told.ends_with("data: again\n\n"), "{told}");
        assert!(!peer.whole.contains(&stream));
    }
    agree(&stage);
    // Who takes a stream back is gone from it, and from nothing else.
    stage.send(peer.wire, &written(RST_STREAM, 0, events, &[0, 0, 0, 8]));
    peer.hear(&mut stage);
    agree(&stage);
    assert_eq!(peer.got(&mut stage, "POST", &format!("{at}/close")).0, DONE);
    // Who is gone is gone everywhere.
    assert_eq!(stage.common.seated(), 2);
    stage.hang_up(peer.wire);
    agree(&stage);
    assert!(!stage.is_there(peer.wire));
    stage.hang_up(other);
    stage.pass(60_000);
    assert_eq!(stage.common.seated(), 0, "who says nothing leaves");
    agree(&stage);
    let left = stage.reactors.iter().map(|it| it.shard().connections());
    assert_eq!(left.sum::<usize>(), 0);
}

/// Which reactor knows who was sent where is nobody's business.
#[test]
fn games_are_found_in_streams() {
    let mut stage = speaking(Limits::default(), 3);
    let mut peer = Peer::new(&mut stage);
    for tag in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let (head, body) = peer.got(&mut stage, "GET", &format!("/match?tag={tag}&max=8"));
        let body = String::from_utf8(body).expect("text");
        assert!(head == OK && body.starts_with("{\"name\":\""), "{body}");
    }
    agree(&stage);
}

/// One that reads nothing of a stream holds what a session may hold, and no other stream waits for it.
#[test]
fn a_stream_without_window_slows_no_other() {
    for reactor in [0, 1] {
        congest(reactor);
    }
}

fn congest(reactor: usize) {
    let mut stage = speaking(Limits::default(), 2);
    let room = &room_of(&stage, reactor);
    let other = stage.join(room);
    let mut peer = Peer::new(&mut stage);
    let [slow, fast] = [(); 2].map(|()| {
        let at = peer.open(&mut stage, room);
        peer.ask(&mut stage, "GET", &format!("{at}/stream?ack=0"), None)
    });
    peer.closed.insert(slow);
    // On the connection itself there is always room.
    let much = (1u32 << 28).to_be_bytes();
    stage.send(peer.wire, &written(WINDOW_UPDATE, 0, 0, &much));
    let message = frame(Opcode::Binary, &[7; 1_000]);
    let mut heard = 0;
    for _ in 0..200 {
        stage.send(other, &message);
        peer.hear(&mut stage);
        heard += peer.content(fast).len();
    }
    assert!(heard >= 200 * 1_004, "{heard}");
    let told = peer.content(slow).len();
    // And a greeting of two bytes before it stopped.
    assert!((60_000..=65_537).contains(&told), "{told}");
    agree(&stage);
    // Once there is room it goes on where it was.
    stage.send(peer.wire, &written(WINDOW_UPDATE, 0, slow, &much));
    peer.hear(&mut stage);
    assert!(told + peer.content(slow).len() >= 200 * 1_004);
    agree(&stage);
}

#[test]
fn who_carries_sessions_counts_as_them() {
    for (reactor, watches) in [(0, false), (1, false), (0, true), (1, true)] {
        let mut limits = Limits::default();
        limits.per_source.unseated = 2;
        let mut stage = speaking(limits, 2);
        stage.caller = Some("192.0.2.9".parse().expect("an address"));
        let room = &room_of(&stage, reactor);
        let peers: Vec<_> = (0..SESSION_CONNECTIONS)
            .map(|_| {
                let mut peer = Peer::new(&mut stage);
                if watches {
                    peer.ask(&mut stage, "GET", &format!("{room}/http/events"), None);
                } else {
                    peer.open(&mut stage, room);
                }
                peer
            })
            .collect();
        assert!(peers.iter().all(|peer| stage.is_there(peer.wire)));
        agree(&stage);
    }
}

#[test]
fn who_asks_nothing_is_told_to_go_and_who_is_gone_is_noticed() {
    let mut stage = speaking(Limits::default(), 1);
    let mut idle = Peer::new(&mut stage);
    let mut gone = Peer::new(&mut stage);
    let at = gone.open(&mut stage, "/rooms/r");
    gone.ask(&mut stage, "GET", &format!("{at}/events?ack=0"), None);
    gone.answers_pings = false;
    let mut passed = 0;
    while passed < 2 * HTTP2_IDLE_MS {
        stage.pass(1_000);
        passed += 1_000;
        idle.hear(&mut stage);
        gone.hear(&mut stage);
        if passed == 3 * HTTP2_PING_MS {
            assert!(!stage.is_there(gone.wire), "it answered no ping");
            assert!(stage.is_there(idle.wire));
        }
    }
    assert_eq!(idle.goes, Some(0));
    assert!(!stage.is_there(idle.wire));
    agree(&stage);
}

/// A preface that does not go on is a head that is late.
#[test]
fn who_does_not_go_on_is_not_waited_for() {
    let mut stage = speaking(Limits::default(), 1);
    let wire = stage.connect();
    stage.send(wire, &PREFACE[..20]);
    stage.pass(u64::from(Limits::default().handshake_ms) + 10_000);
    assert!(!stage.is_there(wire));
    let mut peer = Peer::new(&mut stage);
    // A request whose content does not come.
    let stream = peer.next;
    let at = peer.open(&mut stage, "/rooms/r");
    let head = peer.ask(
        &mut stage,
        "POST",
        &format!("{at}/up?seq=0"),
        Some(b"\x81\x02hi"),
    );
    assert!(peer.whole.contains(&head) && stream < head);
    agree(&stage);
}

#[test]
fn a_drained_connection_says_so() {
    let mut stage = speaking(Limits::default(), 1);
    let mut peer = Peer::new(&mut stage);
    let at = peer.open(&mut stage, "/rooms/r");
    let poll = peer.ask(&mut stage, "GET", &format!("{at}/poll?ack=0"), None);
    stage.drain(0);
    peer.hear(&mut stage);
    stage.pass(1_000);
    peer.hear(&mut stage);
    assert_eq!(peer.goes, Some(0));
    let told = peer.content(poll);
    assert_eq!(told[..4], [0x88, told[1], 3, 244], "1012");
}

#[test]
fn floods_end_beside_players_who_notice_nothing() {
    let headers = |stream: u32| {
        let fields = b"\x82\x86\x84\x41\x01a";
        written(HEADERS, WHOLE_HEAD + END, stream, fields)
    };
    let rapid = |stream: u32| {
        [
            headers(stream),
            written(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
        ]
        .concat()
    };
    type Attack<'a> = &'a dyn Fn(u32) -> Vec<u8>;
    let attacks: [(&str, Attack<'_>); 4] = [
        ("pings", &|_| written(PING, 0, 0, &[0; 8])),
        ("settings", &|_| written(SETTINGS, 0, 0, &[])),
        ("rapid reset in many reads", &rapid),
        ("rapid reset in one read", &|stream| {
            (0..50)
                .flat_map(|nth| rapid(100 * stream + 2 * nth + 1))
                .collect()
        }),
    ];
    for (name, attack) in attacks {
        let mut stage = speaking(Limits::default(), 1);
        let pair = [stage.join("/rooms/canary"), stage.join("/rooms/canary")];
        let peer = Peer::new(&mut stage);
        let mut turn = 0;
        while stage.reason(peer.wire).is_none() && turn < 10_000 {
            stage.send(peer.wire, &attack(2 * turn + 1));
            stage.net().wires[peer.wire].take(usize::MAX);
            turn += 1;
        }
        assert!(turn < 10_000, "{name}");
        let ends = stage.ends();
        assert!(ends.contains("http2_flood"), "{name}: {ends}");
        stage.send(pair[0], &text("well"));
        assert_eq!(stage.heard(pair[1]), "text well", "{name}");
        agree(&stage);
    }
}

/// Whoever may not speak it is refused as ever.
#[test]
fn it_is_spoken_where_it_was_asked_for() {
    let mut stage = Stage::new(Limits::default());
    let wire = stage.connect();
    stage.send(wire, PREFACE);
    assert_ne!(stage.ends(), "");
    assert!(!stage.ends().contains("http2"));
}

/// Nothing in it goes by a clock or by chance of its own.
#[test]
fn the_same_is_said_twice() {
    let said = || {
        let mut stage = speaking(Limits::default(), 1);
        let other = stage.join("/rooms/r");
        let wire = stage.connect();
        let mut bytes = [PREFACE, &written(SETTINGS, 0, 0, &[])].concat();
        bytes.extend(written(
            HEADERS,
            WHOLE_HEAD + END,
            1,
            b"\x82\x86\x84\x41\x01a",
        ));
        stage.send(wire, &bytes);
        stage.send(other, &text("hello"));
        stage.pass(u64::from(HTTP2_IDLE_MS));
        stage.net().wires[wire].take(usize::MAX)
    };
    let first = said();
    assert!(first.len() > 1_000);
    assert_eq!(first, said());
}

/// Contents that do not come whole are held for a few streams only, also for sessions elsewhere that are not there.
#[test]
fn contents_of_all_streams_have_a_bound() {
    for reactor in [0, 1] {
        let mut stage = speaking(Limits::default(), 2);
        let mut peer = Peer::new(&mut stage);
        let forged = format!("/rooms/r/http/{reactor:04x}{:040x}/up?seq=0", 7);
        let mut most = 0;
        for _ in 0..50 {
            let stream = peer.next;
            peer.begin(&mut stage, &forged);
            let part = written(DATA, 0, stream, &[7; 16_000]);
            for _ in 0..3 {
                stage.send(peer.wire, &part);
                peer.hear(&mut stage);
            }
            let shard = stage.reactors[0].shard();
            let held: usize = (0..200).map(|slot| shard.held(slot).1).sum();
            most = most.max(held);
        }
        assert!(most <= 512 * 1024, "{most}");
        agree(&stage);
    }
}

/// A home whose answer nobody reads is told when that is given up, though it has no credit to find out.
#[test]
fn who_gives_up_on_an_answer_from_elsewhere_says_so() {
    let mut stage = speaking(Limits::default(), 2);
    let room = &room_of(&stage, 1);
    let other = stage.join(room);
    let mut peer = Peer::new(&mut stage);
    peer.ask(&mut stage, "GET", &format!("{room}/http/events"), None);
    assert_eq!(stage.common.seated(), 2);
    peer.closed.extend(0..100);
    let message = frame(Opcode::Binary, &[7; 10_000]);
    for _ in 0..20 {
        stage.send(other, &message);
        peer.hear(&mut stage);
    }
    for _ in 0..90 {
        stage.pass(1_000);
        stage.send(other, &frame(Opcode::Pong, b""));
        peer.hear(&mut stage);
    }
    assert_eq!(stage.common.seated(), 1, "nobody carries it");
    agree(&stage);
}
