//! Finding rooms where there are several reactors: each tells of all, and one of them knows who was sent where.

use std::sync::Arc;

use roomcast::limits::{Limits, PerSource};
use roomcast::shard::{Bearer, Common, Pass, Tickets};
use roomcast_protocol::frame::Opcode;
use roomcast_protocol::upgrade::{ClientKey, Refusal, write_client_request};
use roomcast_protocol::v1::up::{Join, Mode, Packet};
use roomcast_protocol::v1::{List, Name, PairValue, Pairs, SUBPROTOCOL, setting};

use crate::net::WireId;
use crate::stage::{Stage, frame};

/// Somebody who makes a room with this tag.
fn make(stage: &mut Stage, room: &str, tag: &str) -> WireId {
    let mut buffer = Vec::new();
    let wishes = [(setting::TAG, PairValue::Bytes(tag.as_bytes()))];
    let join = Packet::Join(Join {
        minor: 1,
        mode: Mode::Create,
        back: None,
        name: Name::new("Ada").expect("a name"),
        properties: List::EMPTY,
        wishes: Pairs::encode(wishes, &mut buffer).expect("wishes"),
    });
    let (mut bytes, mut message) = (Vec::new(), Vec::new());
    let key = ClientKey::from_bytes(*b"the sample nonce");
    let path = format!("/rooms/{room}");
    write_client_request(&mut bytes, "relay", &path, &key, Some(SUBPROTOCOL), &[]);
    join.encode(&mut message);
    bytes.extend(frame(Opcode::Binary, &message));
    let wire = stage.connect();
    stage.send(wire, &bytes);
    wire
}

/// What this reactor's door answers: the status, and the body.
fn ask(stage: &mut Stage, reactor: usize, path: &str) -> (String, String) {
    let wire = stage.connect_to(reactor, usize::MAX);
    stage.send(wire, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
    let answer = stage.net().wires[wire].take(usize::MAX);
    stage.hang_up(wire);
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    (status.to_owned(), body.to_owned())
}

#[test]
fn every_reactor_tells_of_all_rooms_in_one_order() {
    let limits = Limits {
        grace_ms: 0,
        ..Limits::default()
    };
    let mut stage = Stage::with_reactors(limits, 3);
    // Which rooms are whose is another thing in every process.
    let mut rooms = Vec::new();
    for home in 0..3 {
        let names = (100..1_000).map(|room| format!("room-{room}"));
        rooms.extend(names.filter(|room| stage.common.home(room) == home).take(3));
    }
    rooms.sort();
    let homes = rooms.iter().map(|room| stage.common.home(room));
    assert!((0..3).all(|home| homes.clone().any(|at| at == home)));
    let backwards = rooms.iter().rev();
    let players: Vec<WireId> = backwards
        .map(|room| make(&mut stage, room, "duel"))
        .collect();
    stage.pass(1_000);
    for reactor in 0..3 {
        let (_, body) = ask(&mut stage, reactor, "/rooms?tag=duel");
        let names: Vec<&str> = body.split("\"name\":\"").skip(1).collect();
        let names: Vec<&str> = names.iter().map(|name| &name[..8]).collect();
        assert_eq!(names, rooms);
    }
    for player in players {
        stage.hang_up(player);
    }
    stage.pass(1_000);
    for reactor in 0..3 {
        let (_, body) = ask(&mut stage, reactor, "/rooms?tag=duel");
        assert_eq!(body, "{\"rooms\":[],\"after\":null}\n");
    }
    stage.close();
}

#[test]
fn one_reactor_knows_who_was_sent_where() {
    let mut stage = Stage::with_reactors(Limits::default(), 3);
    for tag in 0..8 {
        let path = format!("/match?tag=game-{tag}&max=3");
        let [one, two, three, four] = [0, 1, 2, 0].map(|reactor| ask(&mut stage, reactor, &path));
        assert_eq!((&one.0[..], &one), ("200", &two), "{path}");
        assert_eq!(one, three);
        assert_ne!(one, four);
    }
    let handed_off: u64 = stage
        .reactors
        .iter()
        .map(|reactor| reactor.shard().counters().adopted)
        .sum();
    assert!((8..32).contains(&handed_off), "{handed_off}");
    assert_eq!(stage.common.seated(), 0, "who asks has no seat");
    stage.close();
}

/// The paths of kinds that another reactor knows of than the first.
fn elsewhere(stage: &mut Stage) -> Vec<String> {
    let before = stage.reactors[1].shard().counters().adopted;
    let paths = (0..64).map(|tag| format!("/match?tag={tag}&max=9"));
    let mut elsewhere = Vec::new();
    for path in paths {
        ask(stage, 0, &path);
        let adopted = stage.reactors[1].shard().counters().adopted - before;
        if adopted as usize > elsewhere.len() {
            elsewhere.push(path);
        }
    }
    assert!(elsewhere.len() > 8 && elsewhere.len() < 56);
    elsewhere
}

#[test]
fn who_can_not_be_handed_on_is_told_503_and_has_taken_nothing() {
    let mut stage = Stage::with_reactors(Limits::default(), 2);
    let paths = elsewhere(&mut stage);
    stage.net().weather.mailbox = 0;
    assert_eq!(ask(&mut stage, 0, &paths[0]).0, "503");
    stage.net().weather.mailbox = usize::MAX;
    assert_eq!(ask(&mut stage, 0, &paths[0]).0, "200");
    // Who is on the way to a reactor that drains, and has somebody to wait for.
    stage.join("/rooms/a");
    let before = stage.common.seated();
    let wire = stage.connect();
    let request = format!("GET {} HTTP/1.0\r\n\r\n", paths[1]);
    stage.arrive(wire, request.as_bytes());
    stage.turn();
    stage.common.order_drain(1_000);
    stage.net().wake_all();
    stage.settle();
    assert_eq!(stage.heard(wire), "503, end");
    assert_eq!(stage.common.seated(), before);
    for path in [&paths[0][..], "/rooms?tag=duel"] {
        assert_eq!(ask(&mut stage, 0, path).0, "503");
    }
}

#[test]
fn who_asks_too_often_is_told_429_and_others_are_not() {
    let limits = Limits {
        per_source: PerSource {
            connections: 3,
            unseated: 4,
            joins_per_second: 10,
            rooms: 2,
            loopback_too: false,
        },
        ..Limits::default()
    };
    let mut stage = Stage::with_reactors(limits, 2);
    stage.caller = "203.0.113.1".parse().ok();
    let asked: Vec<String> = (0..30)
        .map(|tag| ask(&mut stage, 0, &format!("/match?tag={tag}&max=9")).0)
        .collect();
    let answered = asked.iter().filter(|status| *status == "200").count();
    assert_eq!(
        (answered, &asked[20..]),
        (20, &vec!["429".to_owned(); 10][..])
    );
    // A list is cheap, and so is another's question.
    assert_eq!(ask(&mut stage, 0, "/rooms?tag=duel").0, "200");
    stage.caller = "203.0.113.2".parse().ok();
    assert_eq!(ask(&mut stage, 0, "/match?tag=1&max=9").0, "200");
    stage.caller = "203.0.113.1".parse().ok();
    stage.pass(100);
    assert_eq!(ask(&mut stage, 0, "/match?tag=1&max=9").0, "200");
    assert_eq!(ask(&mut stage, 0, "/match?tag=1&max=9").0, "429");
    // Who asked and who was handed on has gone again, and counts no longer.
    stage.pass(5_000);
    let wires: Vec<WireId> = (0..4).map(|_| stage.connect()).collect();
    assert!(wires.iter().all(|wire| stage.is_there(*wire)));
    stage.close();
}

/// Knows of one ticket.
#[derive(Debug)]
struct Judge;

impl Tickets for Judge {
    fn judge(&self, ticket: &str, room: Option<&str>) -> Result<Pass, Refusal> {
        match (ticket, room) {
            ("duels", None) => Ok(Pass::default()),
            ("duels", Some(room)) if room.starts_with("duel-") => Ok(Pass::default()),
            ("duels", Some(_)) => Err(Refusal::TicketRooms),
            _ => Err(Refusal::BadTicket),
        }
    }

    fn edition(&self) -> u64 {
        0
    }

    fn is_revoked(&self, _: Bearer) -> bool {
        false
    }
}

#[test]
fn with_tickets_nobody_is_told_who_may_not_play() {
    let common = Common::new(Limits::default(), 2).with_tickets(Arc::new(Judge));
    let mut stage = Stage::of(common);
    for (path, status) in [
        ("/match?tag=duel&max=2", "401"),
        ("/match?tag=duel&max=2&ticket=none", "401"),
        ("/match?tag=duel&max=2&ticket=duels", "200"),
        ("/match?tag=race&max=2&ticket=duels", "401"),
        ("/rooms?tag=race", "401"),
        ("/rooms?tag=race&ticket=duels", "200"),
        ("/match?tag=duel&ticket=duels", "400"),
    ] {
        assert_eq!(ask(&mut stage, 0, path).0, status, "{path}");
    }
    stage.close();
}
