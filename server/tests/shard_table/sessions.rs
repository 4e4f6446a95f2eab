//! Sessions over time: what is held, for how long, and what becomes of who does not ask again.

use roomcast::limits::{
    ANSWERED_MS, Limits, POLL_BUDGET, POLL_HOLD_MS, PerSource, SESSION_ENDED_MS,
    SESSION_SILENCE_MS, SESSIONS_ENDED, STREAM_BYTES, STREAM_KEPT, STREAM_MS, STREAM_PING_MS,
    STREAM_PORTION, UP_VERDICT_MS,
};
use roomcast::shard::{Common, Network, Proxies};
use roomcast_protocol::frame::Opcode;

use crate::homes::room_of;
use crate::net::WireId;
use crate::stage::{Stage, WIDE, frame, text};

/// Answers so far: their statuses, and what came last.
pub(crate) fn answers(stage: &mut Stage, wire: WireId) -> (Vec<u16>, Vec<u8>) {
    let bytes = stage.net().wires[wire].take(usize::MAX);
    let mut statuses = Vec::new();
    let mut rest = &bytes[..];
    let mut body = Vec::new();
    while let Some(end) = rest.windows(4).position(|it| it == b"\r\n\r\n") {
        let head = str::from_utf8(&rest[..end]).expect("a head of text");
        statuses.push(head[9..12].parse().expect("a status"));
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        body = rest[end + 4..end + 4 + length].to_vec();
        rest = &rest[end + 4 + length..];
    }
    assert!(rest.is_empty(), "{rest:?}");
    (statuses, body)
}

pub(crate) fn request(method: &str, target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub(crate) fn ask(
    stage: &mut Stage,
    wire: WireId,
    method: &str,
    target: &str,
) -> (Vec<u16>, Vec<u8>) {
    stage.send(wire, &request(method, target, b""));
    answers(stage, wire)
}

/// A connection, and the path of a session in that room.
pub(crate) fn open(stage: &mut Stage, room: &str) -> (WireId, String) {
    let wire = stage.connect();
    let (statuses, body) = ask(stage, wire, "POST", &format!("{room}/http"));
    assert_eq!(statuses, [200]);
    let body = String::from_utf8(body).expect("text");
    let id = body.split('"').nth(3).expect("an id");
    (wire, format!("{room}/http/{id}"))
}

pub(crate) fn agree(stage: &Stage) {
    for reactor in &stage.reactors {
        assert_eq!(reactor.shard().accounts(), Ok(()));
    }
}

#[test]
fn a_poll_is_held_and_who_asks_no_more_is_gone() {
    for reactor in [0, 1] {
        let mut stage = Stage::with_reactors(Limits::default(), 2);
        let room = room_of(&stage, reactor);
        let other = stage.join(&room);
        let (wire, at) = open(&mut stage, &room);
        assert_eq!(stage.common.seated(), 2);
        // A session is none that has a socket.
        assert_eq!(stage.common.connections(), 2);
        assert_eq!(stage.place(wire).map(|place| place.0), Some(0), "it stays");
        let poll = format!("{at}/poll?ack=0");
        assert_eq!(ask(&mut stage, wire, "GET", &poll), (vec![], vec![]));
        stage.pass(u64::from(POLL_HOLD_MS) - 100);
        assert_eq!(answers(&mut stage, wire), (vec![], vec![]));
        agree(&stage);
        stage.pass(300);
        assert_eq!(answers(&mut stage, wire), (vec![200], vec![]), "nothing");
        stage.send(other, &text("a"));
        stage.send(other, &text("b"));
        stage.pass(u64::from(SESSION_SILENCE_MS) - 1_000);
        assert!(stage.common.seated() == 2 && stage.is_there(wire));
        // Its connection is not kept for ever, and its seat neither.
        stage.pass(4_000);
        assert_eq!((stage.common.seated(), stage.is_there(wire)), (1, false));
        agree(&stage);
        let wire = stage.connect();
        let (statuses, body) = ask(&mut stage, wire, "GET", &poll);
        assert_eq!(statuses, [200], "what was said until then");
        assert!(body.starts_with(b"\x81\x01a\x81\x01b\x88"), "{body:?}");
        let poll = poll.replace("ack=0", "ack=3");
        let gone = (vec![410], b"{\"code\":4005}\n".to_vec());
        assert_eq!(ask(&mut stage, wire, "GET", &poll), gone);
        stage.pass(u64::from(SESSION_ENDED_MS));
        let wire = stage.connect();
        let gone = (vec![410], b"{}\n".to_vec());
        assert_eq!(ask(&mut stage, wire, "GET", &poll), gone);
        stage.pass(u64::from(ANSWERED_MS) + 3_000);
        assert!(!stage.is_there(wire));
        agree(&stage);
    }
}

/// Bytes bound what waits, not time: who has not asked for a while gets all of it, unless it is too much.
#[test]
fn what_waits_for_who_does_not_ask_is_bounded() {
    let mut stage = Stage::new(Limits::default());
    let other = stage.join("/rooms/r");
    let (wire, at) = open(&mut stage, "/rooms/r");
    let most = Limits::default().outbox_bytes_max;
    let message = frame(Opcode::Binary, &[7; 996]);
    for _ in 0..most / 1_000 {
        stage.send(other, &message);
    }
    stage.pass(20_000);
    assert_eq!(stage.common.seated(), 2);
    agree(&stage);
    let (mut got, mut ack) = (0, 0);
    while got < most / 1_000 {
        let target = format!("{at}/poll?ack={ack}");
        let (statuses, body) = ask(&mut stage, wire, "GET", &target);
        assert_eq!(statuses, [200]);
        got += body.len() / 1_000;
        ack = got;
    }
    for _ in 0..2 * most / 1_000 + 200 {
        stage.send(other, &message);
    }
    stage.pass(10_000);
    assert_eq!(stage.common.seated(), 1, "{}", stage.ends());
    assert_eq!(stage.ends(), "slow_consumer");
    agree(&stage);
}

/// Somebody in the room presses: what comes up waits, and who brought it. Sent again, it is heard once.
#[test]
fn what_comes_up_is_heard_once_however_often_it_is_sent() {
    let mut stage = Stage::new(Limits::default());
    let listener = stage.join("/rooms/r");
    let slow = stage.join_through("/rooms/r", 1_000);
    let (wire, at) = open(&mut stage, "/rooms/r");
    stage.send(listener, &frame(Opcode::Binary, &[7; 6_000]));
    assert!(stage.charged(slow) > 0, "it presses");
    let mut body = Vec::new();
    for number in 0..60u8 {
        body.extend_from_slice(&[0x82, 126, 3, 232]);
        body.extend_from_slice(&[number; 1_000]);
    }
    let up = request("POST", &format!("{at}/up?seq=0"), &body);
    stage.send(wire, &up);
    assert!(answers(&mut stage, wire).0.is_empty(), "it waits");
    agree(&stage);
    let again = stage.connect();
    stage.send(again, &up);
    let late = request("POST", &format!("{at}/up?seq=60"), &body);
    let other = stage.connect();
    stage.send(other, &late);
    assert_eq!(answers(&mut stage, other).0, [503], "one at a time");
    for _ in 0..200 {
        stage.read(slow, usize::MAX);
        stage.pass(20);
    }
    assert_eq!(answers(&mut stage, again).0, [204]);
    let heard = stage.read(listener, usize::MAX);
    let count = heard.iter().filter(|word| *word == "binary 1000").count();
    assert_eq!(count, 60);
    stage.pass(u64::from(UP_VERDICT_MS));
    assert_eq!(
        answers(&mut stage, wire).0,
        [503],
        "who sent it again was told"
    );
    agree(&stage);
}

/// Requests without an end, and large ones, go home with their connections.
#[test]
fn a_full_mailbox_is_answered_503() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let room = room_of(&stage, 1);
    stage.net().weather.mailbox = 0;
    let wire = stage.connect();
    let told = ask(&mut stage, wire, "GET", &format!("{room}/http/events"));
    assert_eq!(told.0, [503]);
    assert_eq!(stage.common.seated(), 0);
}

/// Who never says what its seat is for has it no longer than with a WebSocket.
#[test]
fn who_stands_at_a_door_is_sent_away() {
    let mut stage = Stage::new(Limits::default());
    let wire = stage.connect();
    let path = "/rooms/r/http?protocol=roomcast.v1";
    assert_eq!(ask(&mut stage, wire, "POST", path).0, [200]);
    assert_eq!(stage.common.seated(), 1);
    stage.pass(u64::from(Limits::default().handshake_ms) + 1_000);
    assert_eq!(stage.common.seated(), 0, "{}", stage.ends());
    agree(&stage);
}

/// Its timer went off while what it had brought could not be heard.
#[test]
fn who_was_read_no_further_is_missed_all_the_same() {
    let mut stage = Stage::new(Limits::default());
    let listener = stage.join("/rooms/r");
    let slow = stage.join_through("/rooms/r", 1_000);
    let (wire, at) = open(&mut stage, "/rooms/r");
    stage.pass(u64::from(SESSION_SILENCE_MS) - 300);
    stage.send(listener, &frame(Opcode::Binary, &[7; 6_000]));
    assert!(stage.charged(slow) > 0, "it presses");
    let body = [&[0x82, 126, 255, 240][..], &[7; 65_520]].concat();
    stage.send(wire, &request("POST", &format!("{at}/up?seq=0"), &body));
    assert!(answers(&mut stage, wire).0.is_empty(), "it waits");
    for _ in 0..200 {
        stage.pass(20);
        stage.read(slow, usize::MAX);
    }
    assert_eq!(answers(&mut stage, wire).0, [204]);
    stage.pass(u64::from(SESSION_SILENCE_MS) + 1_000);
    assert!(stage.ends().contains("idle"), "{}", stage.ends());
    agree(&stage);
}

fn held(stage: &Stage, wire: WireId) -> usize {
    let (reactor, slot) = stage.place(wire).expect("it is there");
    stage.reactors[reactor].shard().held(slot).1
}

/// What comes up may be large, so it is taken only for a session that is there, and once.
#[test]
fn content_is_held_for_who_has_a_session_and_once() {
    for reactor in [0, 1] {
        let mut stage = Stage::with_reactors(Limits::default(), 2);
        let room = room_of(&stage, reactor);
        let (_, at) = open(&mut stage, &room);
        let last = if at.ends_with('0') { "1" } else { "0" };
        let guessed = format!("{}{last}", &at[..at.len() - 1]);
        let body = [&[0x82, 126, 234, 96][..], &[7; 60_000]].concat();
        let up = |at: &str| request("POST", &format!("{at}/up?seq=0"), &body);
        let bringing: Vec<_> = [&guessed, &at, &at]
            .map(|at| {
                let wire = stage.connect();
                stage.send(wire, &up(at)[..50_000]);
                wire
            })
            .into();
        agree(&stage);
        assert_eq!(answers(&mut stage, bringing[0]).0, [410]);
        assert_eq!(answers(&mut stage, bringing[1]).0, [503], "it comes again");
        assert!(answers(&mut stage, bringing[2]).0.is_empty());
        let held: Vec<_> = bringing.iter().map(|&wire| held(&stage, wire)).collect();
        assert_eq!(held[..2], [0, 0]);
        assert!(held[2] > 40_000, "{held:?}");
        stage.send(bringing[2], &up(&at)[50_000..]);
        assert_eq!(answers(&mut stage, bringing[2]).0, [204]);
        agree(&stage);
    }
}

/// A proxy's connection is another person's with each request: nobody counts for it who is not there.
#[test]
fn nobody_counts_for_a_proxys_connection_behind_an_answer() {
    let limits = Limits {
        per_source: PerSource {
            unseated: 2,
            ..Limits::default().per_source
        },
        ..Limits::default()
    };
    let proxies = Proxies::new(vec![Network::of("203.0.113.1").expect("a network")]);
    let mut stage = Stage::of(Common::new(limits, 2).with_proxies(proxies));
    stage.caller = Some("203.0.113.1".parse().expect("an address"));
    for reactor in [0, 1] {
        let id = format!("{reactor:04x}{:040x}", 7);
        for _ in 0..4 {
            let wire = stage.connect();
            let head = format!(
                "GET /rooms/r/http/{id}/poll?ack=0 HTTP/1.1\r\nHost: a\r\n\
                 X-Forwarded-For: 192.0.2.9\r\n\r\n"
            );
            stage.send(wire, head.as_bytes());
            assert_eq!(answers(&mut stage, wire).0, [410]);
        }
    }
    stage.pass(2 * u64::from(ANSWERED_MS));
    stage.caller = Some("192.0.2.9".parse().expect("an address"));
    let wire = stage.connect();
    assert_eq!(ask(&mut stage, wire, "POST", "/rooms/r/http").0, [200]);
}

/// However many sessions end, some are remembered.
#[test]
fn ended_sessions_are_remembered_up_to_a_bound() {
    let mut stage = Stage::new(Limits::default());
    let (first, at) = open(&mut stage, "/rooms/r");
    let poll = format!("{at}/poll?ack=0");
    let close = format!("{at}/close");
    let waiting = stage.connect();
    assert_eq!(ask(&mut stage, first, "POST", &close).0, [204]);
    let told = ask(&mut stage, waiting, "GET", &poll);
    assert_eq!(told, (vec![200], b"\x88\x02\x03\xe8".to_vec()));
    let wire = stage.connect();
    for _ in 0..SESSIONS_ENDED {
        let (_, body) = ask(&mut stage, wire, "POST", "/rooms/r/http");
        let body = String::from_utf8(body).expect("text");
        let id = body.split('"').nth(3).expect("an id");
        let close = format!("/rooms/r/http/{id}/close");
        assert_eq!(ask(&mut stage, wire, "POST", &close).0, [204]);
    }
    let known = stage.reactors[0].shard().connections();
    assert_eq!(known, SESSIONS_ENDED + 3, "and those that ask");
    assert_eq!(ask(&mut stage, waiting, "GET", &poll).0, [410]);
    agree(&stage);
}

/// What is held for a session is what it may have, and what its last write had.
#[test]
fn a_session_holds_no_more_than_it_may() {
    let mut stage = Stage::new(Limits::default());
    let other = stage.join("/rooms/r");
    let (_, _) = open(&mut stage, "/rooms/r");
    let most = Limits::default().outbox_bytes_max;
    let message = frame(Opcode::Binary, &[7; 30_000]);
    for _ in 0..most / 30_000 + 1 {
        stage.send(other, &message);
        let shard = stage.reactors[0].shard();
        let held = (0..8).map(|slot| shard.held(slot).0).max();
        assert!(held <= Some(most + 30_004), "{held:?}");
    }
    agree(&stage);
}

/// More polls than one iteration answers.
#[test]
fn all_who_poll_are_answered_in_turn() {
    let mut stage = Stage::new(Limits::default());
    let other = stage.join("/rooms/r");
    let waiting: Vec<_> = (0..POLL_BUDGET + 10)
        .map(|_| {
            let (wire, at) = open(&mut stage, "/rooms/r");
            let told = ask(&mut stage, wire, "GET", &format!("{at}/poll?ack=0"));
            assert_eq!(told, (vec![], vec![]));
            wire
        })
        .collect();
    stage.send(other, &text("a"));
    for wire in waiting {
        let told = answers(&mut stage, wire);
        assert_eq!(told, (vec![200], b"\x81\x01a".to_vec()));
    }
    agree(&stage);
}

/// A stream, without the head of its answer and the ping behind it.
fn stream(stage: &mut Stage, at: &str, ack: u64, capacity: usize) -> WireId {
    let wire = stage.connect_to(0, capacity);
    stage.send(
        wire,
        &request("GET", &format!("{at}/stream?ack={ack}"), b""),
    );
    let head = stage.net().wires[wire].take(usize::MAX);
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{head:?}");
    wire
}

/// As long as its peer acknowledges what it is sent, it is there.
#[test]
fn a_stream_says_that_it_stands_and_ends_in_time() {
    let mut stage = Stage::new(Limits::default());
    let (_, at) = open(&mut stage, "/rooms/r");
    let mut wire = stream(&mut stage, &at, 0, WIDE);
    let pings = STREAM_MS / STREAM_PING_MS - 2;
    let mut got = Vec::new();
    for _ in 0..pings {
        // Timers may be late, and are set again by then.
        stage.pass(u64::from(STREAM_PING_MS) + 50);
        got.append(&mut stage.net().wires[wire].take(usize::MAX));
    }
    assert_eq!(got, b"\x89\x00".repeat(pings as usize));
    stage.pass(2 * u64::from(STREAM_PING_MS));
    stage.net().wires[wire].take(usize::MAX);
    assert!(stage.net().wires[wire].is_at_end(), "it is to ask again");
    assert_eq!(stage.common.seated(), 1);
    // Nothing is acknowledged any more.
    let other = stage.join("/rooms/r");
    wire = stream(&mut stage, &at, 0, WIDE);
    stage.send(other, &frame(Opcode::Binary, &[7; 20_000]));
    stage.pass(u64::from(SESSION_SILENCE_MS) + 500);
    assert_eq!(stage.common.seated(), 1, "{}", stage.ends());
    let told = stage.net().wires[wire].take(usize::MAX);
    assert!(told.windows(9).any(|it| it == b"\x0f\xa5no sign"), "4005");
    assert!(stage.net().wires[wire].is_at_end());
    agree(&stage);
}

/// What is given and not taken waits; what was taken is kept for a while; after so many bytes it ends.
#[test]
fn what_a_stream_is_given_is_bounded() {
    let mut stage = Stage::new(Limits::default());
    let other = stage.join("/rooms/r");
    let (_, at) = open(&mut stage, "/rooms/r");
    let slow = stream(&mut stage, &at, 0, 2_000);
    let message = frame(Opcode::Binary, &[7; 996]);
    for _ in 0..100 {
        stage.send(other, &message);
    }
    let charged = stage.charged(slow);
    assert!((1..=2 * STREAM_PORTION).contains(&charged), "{charged}");
    let mut got = 0;
    while got < 100_000 {
        let bytes = stage.net().wires[slow].take(usize::MAX).len();
        assert!(bytes > 0, "{got}");
        got += bytes;
        stage.settle();
    }
    agree(&stage);
    // Some of it is there for who comes back, not all.
    for (ack, status) in [(0, 409), (100 - STREAM_KEPT as u64 / 2_000, 200)] {
        let wire = stage.connect();
        let target = format!("{at}/stream?ack={ack}");
        stage.send(wire, &request("GET", &target, b""));
        let head = stage.net().wires[wire].take(usize::MAX);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(expected.as_bytes()), "{ack}: {head:?}");
    }
    let wire = stream(&mut stage, &at, 100, WIDE);
    let mut got = 0;
    while got < STREAM_BYTES {
        stage.send(other, &message);
        got += stage.net().wires[wire].take(usize::MAX).len();
    }
    assert!(stage.net().wires[wire].is_at_end(), "{got}");
    assert_eq!(stage.common.seated(), 2);
    agree(&stage);
}
