//! Raw players in roomcast.v1 rooms that let them in (setting 8).

use roomcast::limits::Limits;
use roomcast::shard::{CloseReason, EndReason};
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::Opcode;
use roomcast_protocol::v1::up::Audience;
use roomcast_protocol::v1::{PairValue, Pairs, Payload, PlayerId, setting};

use crate::stage::{Actor, Stage, WireId, join};

/// Ada's room, which lets raw players in.
fn stage(limits: Limits) -> (Stage, Actor) {
    let mut stage = Stage::new(limits);
    let mut buffer = Vec::new();
    let mut wanted = join("Ada");
    let wish = [(setting::RAW, PairValue::Number(1))];
    wanted.wishes = Pairs::encode(wish, &mut buffer).expect("a wish");
    let mut ada = Actor::join_as(&mut stage, "lobby", &wanted);
    ada.news(&mut stage);
    (stage, ada)
}

fn raw(stage: &mut Stage) -> WireId {
    stage.connect("/rooms/lobby", None)
}

/// The messages that a raw player got.
fn heard(stage: &mut Stage, wire: WireId) -> Vec<String> {
    stage.settle();
    let messages = stage.messages(wire).into_iter();
    messages
        .map(|message| String::from_utf8(message).expect("text"))
        .collect()
}

fn say(stage: &mut Stage, actor: &mut Actor, to: Audience<'_>, payload: Payload<'_>) {
    let sent = actor.client.event(to, payload, false);
    sent.expect("it keeps little");
    actor.play(stage);
}

#[test]
fn raw_players_hear_and_are_heard() {
    let (mut stage, mut ada) = stage(Limits::default());
    let ray = raw(&mut stage);
    let rob = raw(&mut stage);
    assert_eq!(ada.news(&mut stage), ["joined 2 ", "joined 3 "]);
    // Who comes later sees them among the players.
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let expected = [
        "welcome 4",
        "player 1 Ada",
        "player 2 ",
        "player 3 ",
        "player 4 Bob",
    ];
    assert_eq!(bob.news(&mut stage), expected);
    ada.news(&mut stage);
    stage.send(ray, Opcode::Text, "hi".as_bytes());
    stage.send(ray, Opcode::Binary, b"ho");
    for actor in [&mut ada, &mut bob] {
        assert_eq!(actor.news(&mut stage), ["2: hi", "2: [104, 111]"]);
    }
    assert_eq!(heard(&mut stage, rob), ["Text: hi", "Binary: ho"]);
    // Of what those say who have names, they get what is for everybody, and nothing that the room says.
    say(
        &mut stage,
        &mut ada,
        Audience::Others,
        Payload::Text("others"),
    );
    say(&mut stage, &mut ada, Audience::All, Payload::Bytes(b"all"));
    let two = PlayerId::new(2).expect("an id");
    say(
        &mut stage,
        &mut ada,
        Audience::One(two),
        Payload::Text("for one alone"),
    );
    for wire in [ray, rob] {
        assert_eq!(heard(&mut stage, wire), ["Text: others", "Binary: all"]);
    }
    let expected = ["1: others", "1: [97, 108, 108]"];
    assert_eq!(bob.news(&mut stage), expected);
    assert_eq!(ada.news(&mut stage), ["1: [97, 108, 108]"]);
}

#[test]
fn a_raw_player_that_is_lost_is_gone() {
    let (mut stage, mut ada) = stage(Limits::default());
    let (ray, rob) = (raw(&mut stage), raw(&mut stage));
    ada.news(&mut stage);
    stage.cut(ray);
    assert_eq!(ada.news(&mut stage), ["left 2 0"]);
    assert_eq!(stage.wires[ray].why, Some(EndReason::ConnectionLost.into()));
    stage.close(rob, CloseCode::NORMAL);
    assert_eq!(ada.news(&mut stage), ["left 3 0"]);
    // And the room lives as long as somebody is in it, whoever that is.
    let ray = raw(&mut stage);
    ada.client.leave();
    ada.play(&mut stage);
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    assert_eq!(bob.news(&mut stage)[0], "welcome 5");
    bob.client.leave();
    bob.play(&mut stage);
    for wire in [ada.wire, bob.wire] {
        stage.close(wire, CloseCode::NORMAL);
        stage.finish(wire);
    }
    stage.close(ray, CloseCode::NORMAL);
    stage.finish(ray);
    stage.pass(3_000, 100);
    stage.assert_empty();
}

/// Its heartbeat is that of raw rooms.
#[test]
fn a_raw_player_is_pinged() {
    let limits = Limits::default();
    let (idle_ms, ping_ms) = (u64::from(limits.idle_ms), u64::from(limits.ping_ms));
    let (mut stage, _ada) = stage(limits);
    let ray = raw(&mut stage);
    assert_eq!(heard(&mut stage, ray), [""; 0]);
    stage.pass(ping_ms - 100, 100);
    let before = stage.wires[ray].space;
    stage.pass(200, 100);
    assert_eq!(
        before - stage.wires[ray].space,
        2,
        "one ping, and nothing before it"
    );
    stage.pass(idle_ms - ping_ms - 300, 100);
    assert!(stage.wires[ray].why.is_none());
    stage.pass(400, 100);
    assert_eq!(stage.wires[ray].why, Some(CloseReason::Idle.into()));
}

#[test]
fn a_raw_player_that_does_not_keep_up_is_closed_and_who_sends_too_much() {
    let (mut stage, mut ada) = stage(Limits {
        outbox_bytes_max: 64 * 1024,
        packets_per_second: 100,
        ..Limits::default()
    });
    let (ray, rob) = (raw(&mut stage), raw(&mut stage));
    stage.wires[ray].space = 0;
    let long = [7; 10_000];
    // As much as is too much once: a player would be reset, and closed only the second time.
    for _ in 0..10 {
        say(
            &mut stage,
            &mut ada,
            Audience::Others,
            Payload::Bytes(&long),
        );
        stage.pass(100, 10);
    }
    assert_eq!(stage.wires[ray].why, Some(CloseReason::SlowConsumer.into()));
    assert_eq!(heard(&mut stage, rob).len(), 10);
    for _ in 0..1_000 {
        stage.send(rob, Opcode::Binary, b"x");
    }
    stage.settle();
    assert_eq!(
        stage.wires[rob].why,
        Some(CloseReason::TooManyPackets.into())
    );
}

#[test]
fn only_where_the_creator_wished_for_it_and_there_is_room() {
    let limits = Limits {
        max_room_members: 2,
        ..Limits::default()
    };
    let (mut stage, _ada) = stage(limits);
    let ray = raw(&mut stage);
    let rob = raw(&mut stage);
    stage.messages(rob);
    assert_eq!(
        stage.wires[rob].closed.as_ref().map(|end| end.0),
        Some(4000)
    );
    assert!(stage.wires[ray].why.is_none());
    let _cy = Actor::join(&mut stage, "attic", "Cy");
    let other = stage.connect("/rooms/attic", None);
    stage.messages(other);
    assert_eq!(
        stage.wires[other].closed.as_ref().map(|end| end.0),
        Some(4011)
    );
}

#[test]
fn raw_players_hear_values_as_messages() {
    let (mut stage, mut ada) = stage(Limits::default());
    let ray = raw(&mut stage);
    ada.news(&mut stage);
    for value in [Payload::Text("a"), Payload::Bytes(&[7])] {
        ada.client.state(1, false, value).expect("it fits");
        ada.play(&mut stage);
    }
    ada.client.delete(1, false).expect("it fits");
    ada.play(&mut stage);
    let messages = stage.messages(ray);
    assert_eq!(messages, [&b"Text: a"[..], b"Binary: \x07"]);
}
