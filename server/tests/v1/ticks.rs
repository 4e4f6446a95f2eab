//! Rooms with ticks: what is said leaves on them, and what is for one alone does not wait.

use proptest::prelude::*;
use roomcast::limits::Limits;
use roomcast_protocol::frame::Opcode;
use roomcast_protocol::v1::down::{Bundle, Packet, Slack};
use roomcast_protocol::v1::up::{self, Audience, Join};
use roomcast_protocol::v1::{PairValue, Pairs, Payload, SUBPROTOCOL, setting};

use crate::stage::{Actor, Stage, WIDE, WireId, join};
use crate::states::set;

/// Somebody who wishes for a room that ticks so often in a second.
pub(crate) fn ticking<'a>(name: &'a str, hz: u64, wishes: &'a mut Vec<u8>) -> Join<'a> {
    let mut join = join(name);
    let wish = [(setting::TICK_HZ, PairValue::Number(hz))];
    join.wishes = Pairs::encode(wish, wishes).expect("a wish");
    join
}

/// What rooms in which chance decides may be: without ticks, half of them.
pub(crate) fn wish() -> impl Strategy<Value = u64> {
    prop_oneof![2 => Just(0), 1 => Just(20), 1 => Just(128)]
}

/// Bob's room and Ada, who have heard of each other; the time is 60 ms, and ticks are at 100, 150 and so on.
fn room(limits: Limits) -> (Stage, Actor, Actor) {
    let mut stage = Stage::new(limits);
    let mut wishes = Vec::new();
    let mut bob = Actor::join_as(&mut stage, "lobby", &ticking("Bob", 20, &mut wishes));
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    until(&mut stage, 60);
    assert_eq!(
        bob.news(&mut stage).last().map(String::as_str),
        Some("joined 2 Ada")
    );
    ada.news(&mut stage);
    (stage, bob, ada)
}

/// Time passes until this moment, ms.
fn until(stage: &mut Stage, ms: u64) {
    stage.pass(ms - stage.now, 1);
}

fn say(stage: &mut Stage, actor: &mut Actor, text: &str) {
    let said = actor
        .client
        .event(Audience::Others, Payload::Text(text), false);
    said.expect("it keeps little");
    actor.write(stage);
    stage.settle();
}

fn set_now(stage: &mut Stage, actor: &mut Actor, key: u32, value: &str) {
    set(actor, key, value);
    actor.write(stage);
    stage.settle();
}

/// Sends a ping for ticks and answers how near to one the player spoke, and how many values it was not sent.
pub(crate) fn pinged(stage: &mut Stage, wire: WireId) -> (Slack, u64) {
    let ticks = true;
    let mut ping = Vec::new();
    let (echo, trip) = (7, 0);
    up::Packet::Ping { echo, trip, ticks }.encode(&mut ping);
    stage.send(wire, Opcode::Binary, &ping);
    stage.settle();
    let messages = stage.messages(wire);
    let bundles = messages
        .iter()
        .map(|message| Bundle::decode(message).expect("a bundle"));
    let mut packets = bundles.flat_map(|bundle| bundle.packets);
    let found = packets.find_map(|packet| match packet.expect("a packet") {
        Packet::PongTicks {
            echo: 7,
            superseded,
            slack,
            ..
        } => Some((slack, superseded)),
        _ => None,
    });
    found.expect("an answer, at once")
}

#[test]
fn what_is_said_leaves_on_the_next_tick() {
    let (mut stage, mut bob, mut ada) = room(Limits::default());
    assert_eq!(bob.ticks.last(), Some(&(1, 50_000, bob.ticks[0].2)));
    say(&mut stage, &mut ada, "a");
    set_now(&mut stage, &mut ada, 1, "x");
    until(&mut stage, 80);
    say(&mut stage, &mut ada, "b");
    for now in 80..100 {
        until(&mut stage, now);
        // Own answers, and what is written with them, bring nothing of it.
        pinged(&mut stage, bob.wire);
        assert!(bob.news(&mut stage).is_empty(), "at {now} ms");
    }
    until(&mut stage, 100);
    assert_eq!(bob.news(&mut stage), ["2: a", "2.1=x", "2: b"]);
    let (tick, time, behind) = bob.ticks[1];
    assert_eq!((tick, time), (2, 100_000));
    assert_eq!(behind, 0, "before all of it");
    // Nothing is said, and there is no tick; then the number is that of the time.
    until(&mut stage, 1_020);
    assert!(bob.news(&mut stage).is_empty());
    say(&mut stage, &mut ada, "c");
    until(&mut stage, 1_050);
    assert_eq!(bob.news(&mut stage), ["2: c"]);
    assert_eq!(bob.ticks[2], (21, 1_050_000, 0));
    assert_eq!(bob.ticks.len(), 3);
}

#[test]
fn of_a_key_only_the_newest_of_a_tick_is_sent() {
    let (mut stage, mut bob, mut ada) = room(Limits::default());
    set_now(&mut stage, &mut ada, 1, "a");
    set_now(&mut stage, &mut ada, 2, "b");
    say(&mut stage, &mut ada, "e");
    set_now(&mut stage, &mut ada, 1, "c");
    ada.client.delete(2, false).expect("it fits");
    ada.write(&mut stage);
    set_now(&mut stage, &mut ada, 3, "d");
    set_now(&mut stage, &mut ada, 1, "f");
    until(&mut stage, 100);
    assert_eq!(bob.news(&mut stage), ["2: e", "2.2 gone", "2.3=d", "2.1=f"]);
    // What was sent on a tick is not taken back on the next.
    set_now(&mut stage, &mut ada, 1, "g");
    until(&mut stage, 150);
    assert_eq!(bob.news(&mut stage), ["2.1=g"]);
}

#[test]
fn where_there_are_no_ticks_every_value_is_sent_at_once() {
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    bob.news(&mut stage);
    for value in ["a", "b"] {
        set_now(&mut stage, &mut ada, 1, value);
    }
    assert_eq!(bob.news(&mut stage), ["2.1=a", "2.1=b"]);
    assert!(bob.ticks.is_empty());
    assert_eq!(pinged(&mut stage, ada.wire), (Slack::default(), 0));
}

#[test]
fn what_is_for_one_alone_does_not_wait() {
    let (mut stage, mut bob, mut ada) = room(Limits {
        state_keys: 1,
        ..Limits::default()
    });
    set_now(&mut stage, &mut ada, 1, "x");
    set_now(&mut stage, &mut ada, 2, "y");
    assert_eq!(ada.news(&mut stage), ["refused state 2 4"]);
    // A welcome has what the others will be told.
    let mut cy = Actor::join(&mut stage, "lobby", "Cy");
    let heard = cy.news(&mut stage);
    assert_eq!(heard[0], "welcome 3");
    assert_eq!(heard.last().map(String::as_str), Some("2.1=x"));
    assert!(bob.news(&mut stage).is_empty());
    until(&mut stage, 100);
    assert_eq!(bob.news(&mut stage), ["2.1=x", "joined 3 Cy"]);
    assert!(cy.news(&mut stage).is_empty(), "it had it before");
    set_now(&mut stage, &mut ada, 1, "z");
    until(&mut stage, 150);
    assert_eq!(cy.news(&mut stage), ["2.1=z"]);
}

#[test]
fn whose_packets_come_before_the_tick_is_told_by_how_much() {
    let (mut stage, bob, mut ada) = room(Limits::default());
    assert_eq!(pinged(&mut stage, bob.wire).0, Slack::default());
    let late = |late, ms: u64| Slack {
        late,
        micros: ms * 1_000,
    };
    until(&mut stage, 97);
    set_now(&mut stage, &mut ada, 1, "a");
    until(&mut stage, 99);
    assert_eq!(pinged(&mut stage, ada.wire).0, late(false, 3));
    until(&mut stage, 102);
    set_now(&mut stage, &mut ada, 1, "b");
    assert_eq!(pinged(&mut stage, ada.wire).0, late(true, 2));
    // A ping is no such packet, and what others say neither.
    until(&mut stage, 148);
    assert_eq!(pinged(&mut stage, ada.wire).0, late(true, 2));
    assert_eq!(pinged(&mut stage, bob.wire).0, Slack::default());
}

#[test]
fn who_does_not_keep_up_gets_nothing_either_that_was_said_since_the_tick() {
    let (mut stage, mut bob, mut ada) = room(Limits::default());
    stage.wires[bob.wire].space = 0;
    set_now(&mut stage, &mut ada, 1, "old");
    set_now(&mut stage, &mut ada, 2, "old");
    until(&mut stage, 110);
    set_now(&mut stage, &mut ada, 1, "new");
    say(&mut stage, &mut ada, "e");
    stage.wires[bob.wire].space = WIDE;
    until(&mut stage, 120);
    let early = bob.news(&mut stage);
    assert!(
        !early
            .iter()
            .any(|line| line.contains("new") || line.contains(": e")),
        "{early:?}"
    );
    until(&mut stage, 150);
    let mut all = early;
    all.extend(bob.news(&mut stage));
    all.retain(|line| line != "2.1=old");
    all.sort_unstable();
    assert_eq!(all, ["2.1=new", "2.2=old", "2: e"]);
}

#[test]
fn a_room_that_has_gathered_much_does_not_wait() {
    let mut stage = Stage::new(Limits::default());
    let mut wishes = Vec::new();
    let mut bob = Actor::join_as(&mut stage, "lobby", &ticking("Bob", 1, &mut wishes));
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    until(&mut stage, 2_100);
    bob.news(&mut stage);
    ada.news(&mut stage);
    let long = "x".repeat(20_000);
    say(&mut stage, &mut ada, &long);
    assert!(bob.news(&mut stage).is_empty());
    say(&mut stage, &mut ada, &long);
    assert_eq!(bob.news(&mut stage).len(), 2);
    say(&mut stage, &mut ada, "more");
    assert!(bob.news(&mut stage).is_empty());
    until(&mut stage, 3_000);
    assert_eq!(bob.news(&mut stage), ["2: more"]);
}

#[test]
fn raw_players_hear_on_the_tick_too() {
    let mut stage = Stage::new(Limits::default());
    let mut wishes = Vec::new();
    let mut wanted = join("Bob");
    let wish = [setting::RAW, setting::TICK_HZ].map(|key| {
        let number = if key == setting::RAW { 1 } else { 20 };
        (key, PairValue::Number(number))
    });
    wanted.wishes = Pairs::encode(wish, &mut wishes).expect("wishes");
    let mut bob = Actor::join_as(&mut stage, "lobby", &wanted);
    let ray = stage.connect("/rooms/lobby", None);
    until(&mut stage, 60);
    say(&mut stage, &mut bob, "a");
    assert!(stage.messages(ray).is_empty());
    stage.send(ray, Opcode::Text, b"b");
    until(&mut stage, 100);
    assert_eq!(stage.messages(ray), [b"Text: a".to_vec()]);
    assert_eq!(
        bob.news(&mut stage).last().map(String::as_str),
        Some("2: b")
    );
}

#[test]
fn who_comes_back_between_two_ticks_misses_nothing() {
    let (mut stage, mut bob, mut ada) = room(Limits::default());
    say(&mut stage, &mut ada, "a");
    until(&mut stage, 100);
    bob.lose(&mut stage);
    stage.settle();
    say(&mut stage, &mut ada, "b");
    until(&mut stage, 160);
    say(&mut stage, &mut ada, "c");
    set_now(&mut stage, &mut ada, 1, "x");
    bob.reopen(&mut stage);
    bob.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["resumed", "2: a", "2: b"]);
    until(&mut stage, 199);
    assert!(bob.news(&mut stage).is_empty());
    until(&mut stage, 200);
    assert_eq!(bob.news(&mut stage), ["2: c", "2.1=x"]);
    // Its cursor is what it has had.
    bob.lose(&mut stage);
    bob.reopen(&mut stage);
    until(&mut stage, 250);
    assert_eq!(bob.news(&mut stage), ["resumed", "2.1=x"]);
}

#[test]
fn a_room_ticks_as_its_maker_wished_within_bounds() {
    let mut stage = Stage::new(Limits::default());
    let rows = [
        (0, None),
        (1, Some(1)),
        (128, Some(128)),
        (1_000, Some(128)),
    ];
    for (hz, expected) in rows {
        let wire = stage.connect(&format!("/rooms/r{hz}"), Some(SUBPROTOCOL));
        let (mut wishes, mut message) = (Vec::new(), Vec::new());
        up::Packet::Join(ticking("Ada", hz, &mut wishes)).encode(&mut message);
        stage.send(wire, Opcode::Binary, &message);
        stage.settle();
        let messages = stage.messages(wire);
        let mut packets = Bundle::decode(&messages[0]).expect("a bundle").packets;
        let told = packets.find_map(|packet| match packet.expect("a packet") {
            Packet::Settings(settings) => Some(settings.number(setting::TICK_HZ)),
            _ => None,
        });
        assert_eq!(told, Some(expected), "{hz} Hz");
    }
}

#[test]
fn rooms_tick_at_different_times_and_leave_nothing_behind() {
    let mut stage = Stage::new(Limits::default());
    let mut wishes = Vec::new();
    let mut pairs: Vec<(Actor, Actor)> = (0..10)
        .map(|room| {
            let room = format!("room{room}");
            let join = ticking("Bob", 10, &mut wishes);
            let bob = Actor::join_as(&mut stage, &room, &join);
            (bob, Actor::join(&mut stage, &room, "Ada"))
        })
        .collect();
    until(&mut stage, 500);
    let mut times = Vec::new();
    for (bob, _) in &mut pairs {
        bob.play(&mut stage);
        times.extend(bob.ticks.first().map(|(_, time, _)| time % 100_000 / 1_000));
    }
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), 10, "{times:?}");
    for (bob, ada) in &mut pairs {
        say(&mut stage, ada, "there is nobody left to hear it");
        for actor in [ada, bob] {
            actor.client.leave();
            actor.write(&mut stage);
            stage.settle();
        }
    }
    until(&mut stage, 10_000);
    stage.assert_empty();
    // A room of the same name and place has no ticks unless it is wished for.
    let mut cy = Actor::join(&mut stage, "room0", "Cy");
    Actor::join(&mut stage, "room0", "Dan");
    assert_eq!(
        cy.news(&mut stage).last().map(String::as_str),
        Some("joined 2 Dan")
    );
}
