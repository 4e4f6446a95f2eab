//! How connections of roomcast.v1 are refused, kept alive, slowed and ended.

use std::sync::Arc;

use roomcast::limits::Limits;
use roomcast::shard::{Bearer, CloseReason, Common, Pass, Tickets};
use roomcast::transport::Port;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::Opcode;
use roomcast_protocol::upgrade::{ClientKey, Refusal, write_client_request};
use roomcast_protocol::v1::up::{self, Audience, Join, Mode, Packet};
use roomcast_protocol::v1::{
    List, MINOR, Name, PairValue, Pairs, Payload, Property, SUBPROTOCOL, setting,
};

use crate::stage::{Actor, Stage, WIDE, WireId, join};

fn closed(stage: &mut Stage, wire: WireId) -> (u16, String) {
    stage.settle();
    stage.messages(wire);
    stage.wires[wire].closed.clone().expect("it was closed")
}

fn encoded(packets: &[Packet<'_>]) -> Vec<u8> {
    let mut message = Vec::new();
    packets
        .iter()
        .for_each(|packet| packet.encode(&mut message));
    message
}

#[test]
fn a_room_that_is_not_there_that_is_or_that_speaks_otherwise() {
    let mut stage = Stage::new(Limits {
        max_room_members: 2,
        ..Limits::default()
    });
    let refused = |stage: &mut Stage, room, mode| {
        let mut wanted = join("Ada");
        wanted.mode = mode;
        let mut actor = Actor::new(stage, room, &wanted);
        actor.write(stage);
        closed(stage, actor.wire).0
    };
    assert_eq!(refused(&mut stage, "lobby", Mode::Join), 4008);
    let _bob = Actor::join(&mut stage, "lobby", "Bob");
    assert_eq!(refused(&mut stage, "lobby", Mode::Create), 4009);
    let _cy = Actor::join(&mut stage, "lobby", "Cy");
    assert_eq!(refused(&mut stage, "lobby", Mode::Any), 4000);
    // Each kind of room keeps the other out.
    let raw = stage.connect("/rooms/lobby", None);
    assert_eq!(closed(&mut stage, raw).0, 4011);
    stage.connect("/rooms/raw", None);
    assert_eq!(refused(&mut stage, "raw", Mode::Any), 4011);
}

#[test]
fn what_no_honest_client_sends_ends_with_4006_and_says_why() {
    let join = join("Ada");
    let first = encoded(&[Packet::Join(join)]);
    let ping = encoded(&[Packet::Ping {
        echo: 1,
        trip: 0,
        ticks: false,
    }]);
    type Row<'a> = (&'a [(Opcode, &'a [u8])], &'a str);
    let rows: &[Row<'_>] = &[
        (&[(Opcode::Text, b"hi")], "text"),
        (&[(Opcode::Binary, b"")], "empty"),
        (&[(Opcode::Binary, &ping)], "JOIN"),
        (
            &[(Opcode::Binary, &first), (Opcode::Binary, &ping)],
            "before the JOIN",
        ),
        (
            &[(Opcode::Binary, &[&first[..], &ping].concat())],
            "nothing else",
        ),
        (&[(Opcode::Binary, &[0x48, 1, 0x80])], "JOIN"),
    ];
    for (messages, why) in rows {
        let mut stage = Stage::new(Limits::default());
        let wire = stage.connect("/rooms/lobby", Some(SUBPROTOCOL));
        for (opcode, payload) in *messages {
            stage.send(wire, *opcode, payload);
        }
        let (code, reason) = closed(&mut stage, wire);
        assert_eq!(code, 4006, "{messages:?}");
        assert!(reason.contains(why), "{reason}");
    }
    // A player is away after it, not gone.
    for (bad, why) in [
        (encoded(&[Packet::Join(join)]), "has joined"),
        (vec![0xf8, 0], "no such kind: 0xf8"),
        (vec![0x60, 2, 0x80, 0], "shortest form"),
    ] {
        let mut stage = Stage::new(Limits::default());
        let mut bob = Actor::join(&mut stage, "lobby", "Bob");
        let ada = Actor::join(&mut stage, "lobby", "Ada");
        bob.news(&mut stage);
        stage.send(ada.wire, Opcode::Binary, &bad);
        let (code, reason) = closed(&mut stage, ada.wire);
        assert_eq!(code, 4006);
        assert!(reason.contains(why), "{reason}");
        assert_eq!(bob.news(&mut stage), ["away 2"]);
    }
    let mut stage = Stage::new(Limits::default());
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    let mut ahead = join;
    ada.play(&mut stage);
    let mut cursor = ada.client.cursor().expect("a cursor");
    cursor.seq += 1;
    ahead.back = Some(up::Back {
        token: ada.client.token().expect("a token"),
        cursor: Some(cursor),
    });
    let wire = stage.connect("/rooms/lobby", Some(SUBPROTOCOL));
    stage.send(wire, Opcode::Binary, &encoded(&[Packet::Join(ahead)]));
    assert_eq!(closed(&mut stage, wire).0, 4006);
    assert!(
        stage.wires[ada.wire].closed.is_none(),
        "she is not moved by it"
    );
}

#[test]
fn no_more_rooms_than_there_may_be() {
    let mut stage = Stage::new(Limits {
        max_rooms: 1,
        ..Limits::default()
    });
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    let mut refused = Actor::new(&mut stage, "attic", &join("Bob"));
    refused.write(&mut stage);
    assert_eq!(closed(&mut stage, refused.wire).0, 1013);
    let bob = Actor::join(&mut stage, "lobby", "Bob");
    ada.client.leave();
    ada.play(&mut stage);
    let mut refused = Actor::new(&mut stage, "attic", &join("Cy"));
    refused.write(&mut stage);
    assert_eq!(
        closed(&mut stage, refused.wire).0,
        1013,
        "Bob is still there"
    );
    stage.close(bob.wire, CloseCode::NORMAL);
    let mut cy = Actor::join(&mut stage, "attic", "Cy");
    assert_eq!(cy.news(&mut stage)[0], "welcome 1 created");
}

#[test]
fn one_address_makes_so_many_rooms_and_others_go_on() {
    let mut limits = Limits::default();
    limits.per_source.rooms = 1;
    let mut stage = Stage::new(limits);
    stage.caller = "203.0.113.1".parse().ok();
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    let refused = |stage: &mut Stage, path| {
        let mut refused = Actor::new(stage, path, &join("Bob"));
        refused.write(stage);
        closed(stage, refused.wire)
    };
    let (code, text) = refused(&mut stage, "attic");
    assert_eq!(
        (code, &*text),
        (1013, "your address has made too many rooms")
    );
    // It may join what others have made, and others may make some.
    stage.caller = "203.0.113.2".parse().ok();
    let bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut cy = Actor::join(&mut stage, "attic", "Cy");
    assert_eq!(cy.news(&mut stage)[0], "welcome 1 created");
    // The room is its maker's for as long as anybody is there.
    ada.client.leave();
    ada.play(&mut stage);
    stage.pass(2_000, 500);
    stage.caller = "203.0.113.1".parse().ok();
    assert_eq!(refused(&mut stage, "cellar").0, 1013);
    stage.close(bob.wire, CloseCode::NORMAL);
    let mut ada = Actor::join(&mut stage, "cellar", "Ada");
    assert_eq!(ada.news(&mut stage)[0], "welcome 1 created");
}

/// The close frame of who leaves comes with its last packet, and no other comes after it.
#[test]
fn who_leaves_and_closes_in_one_write_is_gone_at_once() {
    let mut stage = Stage::new(Limits::default());
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    ada.play(&mut stage);
    let leave = encoded(&[Packet::Leave]);
    stage.send(ada.wire, Opcode::Binary, &leave);
    stage.close(ada.wire, CloseCode::NORMAL);
    assert_eq!(closed(&mut stage, ada.wire).0, 1000);
    assert!(stage.wires[ada.wire].is_shut, "nothing more is waited for");
}

/// A player's silence is judged by its heartbeat alone, so it is also looked at no sooner for it.
#[test]
fn a_short_idle_timeout_wakes_nobody_for_a_player() {
    let mut stage = Stage::new(Limits {
        idle_ms: 1_000,
        ping_ms: 500,
        ..Limits::default()
    });
    let ada = Actor::join(&mut stage, "lobby", "Ada");
    stage.pass(2_000, 10);
    let next = stage.shard.next_deadline().expect("a keep-alive");
    assert!(next > stage.now + 100, "{next} at {}", stage.now);
    stage.pass(5_400, 100);
    assert!(stage.wires[ada.wire].why.is_none());
    stage.pass(200, 10);
    assert_eq!(closed(&mut stage, ada.wire).0, 4005);
}

#[test]
fn who_stays_at_the_door_is_closed_in_time() {
    let mut stage = Stage::new(Limits::default());
    let wire = stage.connect("/rooms/lobby", Some(SUBPROTOCOL));
    stage.pass(9_900, 100);
    stage.messages(wire);
    assert!(stage.wires[wire].closed.is_none());
    stage.pass(200, 10);
    assert_eq!(closed(&mut stage, wire).0, 4005);
    stage.pass(3_000, 100);
    stage.assert_empty();
}

/// The process had much to do: the timer expires in an iteration that did not come to this socket.
#[test]
fn a_join_that_waits_in_the_socket_is_heard() {
    let mut stage = Stage::new(Limits::default());
    let mut ada = Actor::new(&mut stage, "lobby", &join("Ada"));
    let slot = stage.slot(ada.wire).expect("it has one");
    ada.write(&mut stage);
    stage.now = 10_100;
    stage.shard.advance(stage.now, stage.now);
    stage.shard.expire();
    let mut silent = Vec::new();
    stage.shard.take_silent(&mut silent);
    assert_eq!(silent, [slot]);
    stage.iterate();
    stage.shard.convict(slot, false);
    assert_eq!(ada.news(&mut stage), ["welcome 1 created", "player 1 Ada"]);
}

/// The process had much to do before it read the head.
#[test]
fn who_comes_to_the_door_late_has_time_for_its_join() {
    let mut stage = Stage::new(Limits::default());
    let slot = stage.shard.accept(Port::Plain, None);
    let (mut head, key) = (Vec::new(), ClientKey::from_bytes(*b"the sample nonce"));
    write_client_request(
        &mut head,
        "relay",
        "/rooms/lobby",
        &key,
        Some(SUBPROTOCOL),
        &[],
    );
    let mut at = |now, silent: &mut Vec<u32>| {
        stage.shard.advance(now, now);
        if now == 9_900 {
            stage.shard.receive(slot, &mut head);
        }
        stage.shard.expire();
        stage.shard.take_silent(silent);
    };
    let mut silent = Vec::new();
    for now in [9_900, 10_100, 10_800] {
        at(now, &mut silent);
        assert!(silent.is_empty(), "at {now} ms");
    }
    at(11_000, &mut silent);
    assert_eq!(silent, [slot]);
}

#[test]
fn a_heartbeat_in_both_directions() {
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let ada = Actor::join(&mut stage, "lobby", "Ada");
    bob.news(&mut stage);
    stage.wires[bob.wire].bundles.clear();
    // She says nothing; he answers.
    for _ in 0..20 {
        stage.pass(500, 100);
        bob.client.wake(stage.now * 1_000);
        bob.play(&mut stage);
    }
    let bundles = &stage.wires[bob.wire].bundles;
    let alive = bundles
        .iter()
        .filter(|(_, names)| names.contains(&"KEEPALIVE"));
    assert_eq!(alive.count(), 4, "{bundles:?}");
    assert_eq!(bob.news(&mut stage), ["away 2"]);
    assert_eq!(closed(&mut stage, ada.wire).0, 4005);
    assert!(stage.wires[bob.wire].closed.is_none());
}

#[test]
fn who_is_too_far_behind_is_reset_once_and_closed_the_second_time() {
    let mut stage = Stage::new(Limits {
        outbox_bytes_max: 64 * 1024,
        packets_per_second: 100_000,
        ..Limits::default()
    });
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    bob.news(&mut stage);
    ada.news(&mut stage);
    let flood = |stage: &mut Stage, ada: &mut Actor| {
        for at in 0..100 {
            if at == 1 {
                // From when on he no longer counts as somebody who reads, for whom she would be slowed.
                stage.pass(1_500, 100);
            }
            let payload = [7; 1_000];
            let sent = ada
                .client
                .event(Audience::Others, Payload::Bytes(&payload), false);
            sent.expect("it is acknowledged in time");
            ada.play(stage);
        }
    };
    stage.wires[bob.wire].space = 0;
    flood(&mut stage, &mut ada);
    stage.wires[bob.wire].space = 1 << 20;
    let news = bob.news(&mut stage);
    let reset = news
        .iter()
        .position(|line| line == "reset 1")
        .expect("a reset");
    let expected = ["reset 1", "welcome 1", "player 1 Bob", "player 2 Ada"];
    assert_eq!(news[reset..reset + 4], expected);
    // From the welcome on he has everything; nobody else has noticed.
    let seq = ada.client.cursor().expect("a cursor").seq;
    stage.pass(2_500, 100);
    bob.play(&mut stage);
    ada.play(&mut stage);
    assert!(bob.client.cursor().expect("a cursor").seq >= seq);
    stage.wires[bob.wire].space = 0;
    flood(&mut stage, &mut ada);
    stage.wires[bob.wire].space = 1 << 20;
    assert_eq!(closed(&mut stage, bob.wire).0, 4002);
    assert_eq!(ada.news(&mut stage), ["away 1"]);
    // And nothing is replayed to him then.
    bob.client.wake(stage.now * 1_000 + 7_000_000);
    bob.reopen(&mut stage);
    assert_eq!(bob.news(&mut stage)[0], "reset 2");
}

#[test]
fn a_drain_ends_room_by_room() {
    for protocol in [Some(SUBPROTOCOL), None] {
        let mut stage = Stage::new(Limits::default());
        let mut rooms: Vec<Vec<WireId>> = Vec::new();
        for room in 0..8 {
            let mut wires = Vec::new();
            for _ in 0..10 {
                wires.push(match protocol {
                    Some(_) => Actor::join(&mut stage, &format!("room{room}"), "Ada").wire,
                    None => stage.connect(&format!("/rooms/raw{room}"), None),
                });
            }
            rooms.push(wires);
        }
        stage.shard.drain(6_000);
        let mut ended = vec![0; stage.wires.len()];
        for at in 1..=650u64 {
            stage.pass(10, 10);
            for (wire, ended) in ended.iter_mut().enumerate() {
                if *ended == 0 && stage.wires[wire].why.is_some() {
                    *ended = at * 10;
                }
            }
        }
        let spans = rooms.iter().map(|wires| {
            let times = wires.iter().map(|wire| ended[*wire]);
            (times.clone().min().unwrap(), times.max().unwrap())
        });
        let spans: Vec<(u64, u64)> = spans.collect();
        assert!(spans.iter().all(|(first, _)| *first > 0), "{spans:?}");
        assert!(
            spans.iter().all(|(first, last)| last - first <= 1_050),
            "{spans:?}"
        );
        let starts = spans.iter().map(|(first, _)| *first);
        assert!(
            starts.clone().max().unwrap() - starts.min().unwrap() > 2_000,
            "{spans:?}"
        );
        stage.pass(4_000, 100);
        stage.assert_empty();
    }
}

#[test]
fn who_is_behind_for_too_long_is_reset() {
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    bob.news(&mut stage);
    stage.wires[bob.wire].space = 0;
    let sent = ada
        .client
        .event(Audience::Others, Payload::Text("hi"), false);
    sent.expect("it keeps little");
    ada.play(&mut stage);
    stage.pass(5_200, 100);
    stage.wires[bob.wire].space = 1 << 20;
    let expected = ["2: hi", "reset 1", "welcome 1"];
    assert_eq!(bob.news(&mut stage)[..3], expected);
}

/// Its WebSocket pings are answered all the same, and what has begun to leave leaves whole.
#[test]
fn who_is_reset_is_sent_the_pongs_that_waited() {
    for space in [0, 3, 300] {
        let mut stage = Stage::new(Limits::default());
        let mut bob = Actor::join(&mut stage, "lobby", "Bob");
        let mut ada = Actor::join(&mut stage, "lobby", "Ada");
        bob.news(&mut stage);
        stage.wires[bob.wire].space = space;
        for at in 0..3u8 {
            let said = ada
                .client
                .event(Audience::Others, Payload::Bytes(&[at; 200]), false);
            said.expect("it keeps little");
            ada.play(&mut stage);
            stage.send(bob.wire, Opcode::Ping, &[at]);
            stage.settle();
        }
        stage.pass(5_200, 100);
        stage.wires[bob.wire].space = WIDE;
        let news = bob.news(&mut stage);
        assert!(news.contains(&"reset 1".to_owned()), "{space}: {news:?}");
        let pongs = &stage.wires[bob.wire].pongs;
        assert_eq!(*pongs, [[0], [1], [2]], "{space}");
    }
}

/// It takes all that there is, and what was said meanwhile is for somebody else.
#[test]
fn who_has_caught_up_is_not_behind_for_what_others_are_told() {
    let mut stage = Stage::new(Limits {
        congested_ms_max: 800,
        ..Limits::default()
    });
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    let cid = Actor::join(&mut stage, "lobby", "Cid");
    bob.news(&mut stage);
    stage.wires[bob.wire].space = 5;
    let says = |ada: &mut Actor, to, text| {
        let sent = ada.client.event(to, Payload::Text(text), false);
        sent.expect("it keeps little");
    };
    says(&mut ada, Audience::Others, "hi");
    ada.play(&mut stage);
    let cid = cid.client.id().expect("it has joined");
    says(&mut ada, Audience::One(cid), "psst");
    ada.write(&mut stage);
    stage.wires[bob.wire].space = 1 << 20;
    stage.pass(1_200, 100);
    assert_eq!(bob.news(&mut stage), ["2: hi"]);
}

/// It did not read its pongs before it joined.
#[test]
fn who_was_behind_at_the_door_presses_on_its_room() {
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut ada = Actor::new(&mut stage, "lobby", &join("Ada"));
    stage.messages(ada.wire);
    stage.wires[ada.wire].space = 0;
    stage.send(ada.wire, Opcode::Ping, b"are you there");
    stage.settle();
    ada.write(&mut stage);
    stage.settle();
    stage.wires[ada.wire].space = 1 << 20;
    assert_eq!(ada.news(&mut stage).len(), 3);
    // Nobody is slowed for her any longer.
    let long = "x".repeat(3_000);
    for _ in 0..40 {
        let sent = bob
            .client
            .event(Audience::Others, Payload::Text(&long), false);
        sent.expect("it is kept");
    }
    bob.write(&mut stage);
    assert_eq!(ada.news(&mut stage).len(), 40);
}

#[test]
fn who_was_behind_at_the_door_and_is_back_has_one_timer() {
    let mut stage = Stage::new(Limits::default());
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    let token = ada.client.token().expect("she has one");
    ada.lose(&mut stage);
    let wire = stage.connect("/rooms/lobby", Some(SUBPROTOCOL));
    stage.wires[wire].space = 0;
    stage.send(wire, Opcode::Ping, b"are you there");
    stage.settle();
    let back = Some(up::Back {
        token,
        cursor: None,
    });
    let again = up::Join {
        back,
        ..join("Ada")
    };
    stage.send(wire, Opcode::Binary, &encoded(&[Packet::Join(again)]));
    // The stage asks after each iteration whether the accounts agree.
    stage.settle();
    assert!(stage.wires[wire].why.is_none());
}

#[test]
fn too_many_packets_wait_and_far_too_many_end_it() {
    let mut stage = Stage::new(Limits {
        packets_per_second: 10,
        ..Limits::default()
    });
    let ada = Actor::join(&mut stage, "lobby", "Ada");
    let ping = encoded(&[Packet::Ping {
        echo: 1,
        trip: 0,
        ticks: false,
    }]);
    // Twenty at once, and twenty that are lent.
    for _ in 0..30 {
        stage.send(ada.wire, Opcode::Binary, &ping);
    }
    stage.settle();
    let pongs = |stage: &mut Stage| stage.messages(ada.wire).len();
    assert!(pongs(&mut stage) >= 30);
    stage.send(ada.wire, Opcode::Binary, &ping);
    stage.settle();
    assert_eq!(pongs(&mut stage), 0, "it is read no further");
    stage.pass(900, 20);
    assert_eq!(pongs(&mut stage), 0);
    stage.pass(400, 20);
    assert_eq!(pongs(&mut stage), 1);
    for _ in 0..100 {
        stage.send(ada.wire, Opcode::Binary, &ping);
    }
    stage.pass(2_000, 20);
    assert_eq!(closed(&mut stage, ada.wire).0, 1008);
}

/// However many rooms there are, their logs together stay within their bound, but for the least that each needs.
#[test]
fn logs_are_bounded_for_a_room_and_for_all() {
    let mut stage = Stage::new(Limits {
        logs_bytes_max: 3 * 1024 * 1024,
        packets_per_second: 1_000_000,
        ..Limits::default()
    });
    let payload = vec![7; 10_000];
    let event = encoded(&[Packet::Event {
        term: None,
        to: Audience::Others,
        droppable: false,
        payload: Payload::Bytes(&payload),
    }]);
    let mut largest = 0;
    for room in 0..20 {
        let ada = Actor::join(&mut stage, &format!("room{room}"), "Ada");
        for _ in 0..300 {
            stage.send(ada.wire, Opcode::Binary, &event);
            stage.settle();
            largest = largest.max(stage.shard.logged());
        }
        assert!(stage.wires[ada.wire].closed.is_none());
    }
    // Three rooms with a megabyte each, and seventeen with the least.
    assert!(largest > 2 * 1024 * 1024, "{largest}");
    assert!(largest < (3 * 1024 + 20 * 140) * 1024, "{largest}");
    // They have missed their heartbeats, and are waited for as long as their grace lasts; then nobody can ask any more.
    stage.pass(20_000, 500);
    assert!(stage.shard.logged() > 0);
    stage.pass(25_000, 500);
    assert_eq!(stage.shard.logged(), 0);
    stage.assert_empty();
}

/// Spectators, and guests who may stay for a minute.
#[derive(Debug)]
pub(crate) struct Judge;

impl Tickets for Judge {
    fn judge(&self, ticket: &str, _: Option<&str>) -> Result<Pass, Refusal> {
        let guest = ticket.starts_with("guest");
        Ok(Pass {
            stay_ms: guest.then_some(60_000),
            spectates: ticket == "spectator",
            ..Pass::default()
        })
    }

    fn edition(&self) -> u64 {
        0
    }

    fn is_revoked(&self, _: Bearer) -> bool {
        false
    }
}

#[test]
fn a_stay_begins_with_the_seat_and_a_new_ticket_goes_on_with_it() {
    let mut stage = Stage::with(Common::new(Limits::default(), 1).with_tickets(Arc::new(Judge)));
    let mut ada = Actor::join(&mut stage, "lobby?ticket=guest", "Ada");
    let mut bob = Actor::join(&mut stage, "lobby?ticket=player", "Bob");
    for _ in 0..61 {
        assert_eq!(stage.wires[ada.wire].closed, None);
        for actor in [&mut ada, &mut bob] {
            actor.play(&mut stage);
            let ping = encoded(&[Packet::Ping {
                echo: 1,
                trip: 0,
                ticks: false,
            }]);
            stage.send(actor.wire, Opcode::Binary, &ping);
        }
        stage.pass(1_000, 100);
    }
    let (code, text) = closed(&mut stage, ada.wire);
    assert_eq!(
        (code, text.as_str()),
        (1008, "the stay of your ticket is over")
    );
    assert_eq!(stage.shard.counters().ends.of(CloseReason::StayOver), 1);
    bob.play(&mut stage);
    assert!(
        bob.news(&mut stage)
            .iter()
            .all(|news| !news.contains("left"))
    );
    ada.reopen(&mut stage);
    ada.play(&mut stage);
    assert!(
        ada.news(&mut stage)
            .iter()
            .any(|news| news.contains("resumed"))
    );
}

#[test]
fn a_spectator_may_ping_and_nothing_else() {
    let mut stage = Stage::with(Common::new(Limits::default(), 1).with_tickets(Arc::new(Judge)));
    let _ada = Actor::join(&mut stage, "lobby?ticket=player", "Ada");
    let spectator = Actor::join(&mut stage, "lobby?ticket=spectator", "Eve");
    let ping = encoded(&[Packet::Ping {
        echo: 1,
        trip: 0,
        ticks: false,
    }]);
    stage.send(spectator.wire, Opcode::Binary, &ping);
    stage.settle();
    assert_eq!(stage.wires[spectator.wire].closed, None);
    let event = Packet::Event {
        term: None,
        to: Audience::Others,
        droppable: false,
        payload: Payload::Bytes(b"me too"),
    };
    stage.send(spectator.wire, Opcode::Binary, &encoded(&[event]));
    let (code, text) = closed(&mut stage, spectator.wire);
    assert_eq!((code, text.as_str()), (1008, "spectators only receive"));
}

/// What a JOIN says is said to everybody, and its wishes bind whoever comes later.
#[test]
fn a_spectator_says_nothing_by_its_join() {
    let mut stage = Stage::with(Common::new(Limits::default(), 1).with_tickets(Arc::new(Judge)));
    let mut ada = Actor::join(&mut stage, "lobby?ticket=player", "Ada");
    ada.news(&mut stage);
    let (mut properties, mut wishes) = (Vec::new(), Vec::new());
    let property = Property {
        key: Name::new("motto").expect("a key"),
        value: Payload::Text("buy gold"),
    };
    let eve = Join {
        minor: MINOR,
        mode: Mode::Any,
        back: None,
        name: Name::new("Buy gold").expect("a name"),
        properties: List::encode([property], &mut properties).expect("a list"),
        wishes: Pairs::encode([(setting::PLAYERS_MAX, PairValue::Number(1))], &mut wishes)
            .expect("wishes"),
    };
    let mut spectator = Actor::join_as(&mut stage, "lobby?ticket=spectator", &eve);
    assert_eq!(ada.news(&mut stage), ["joined 2 "]);
    let news = spectator.news(&mut stage);
    assert!(!news.iter().any(|news| news.contains("gold")), "{news:?}");
    // Nor does it make a room, of which then its wishes, or at least its dialect, would be.
    let early = Actor::join_as(&mut stage, "empty?ticket=spectator", &eve);
    let (code, text) = closed(&mut stage, early.wire);
    assert_eq!(
        (code, text.as_str()),
        (1013, "nobody plays here yet; come again")
    );
    assert_eq!(stage.shard.counters().ends.of(CloseReason::NobodyPlays), 1);
    let mut bob = Actor::join(&mut stage, "empty?ticket=player", "Bob");
    assert!(bob.news(&mut stage)[0].ends_with("created"));
}
