//! A lost connection is not the end of a game.

use roomcast::limits::Limits;
use roomcast::shard::{CloseReason, Common, DisconnectReason};
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::Opcode;
use roomcast_protocol::v1::up::Audience;
use roomcast_protocol::v1::{PairValue, Pairs, Payload, SUBPROTOCOL, setting};

use crate::stage::{Actor, Stage, join};

fn say(actor: &mut Actor, text: &str) {
    let sent = actor
        .client
        .event(Audience::Others, Payload::Text(text), false);
    sent.expect("it keeps little");
}

fn two(limits: Limits) -> (Stage, Actor, Actor) {
    let mut stage = Stage::new(limits);
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    ada.news(&mut stage);
    bob.news(&mut stage);
    (stage, bob, ada)
}

#[test]
fn nothing_is_missed_nor_doubled_in_either_direction() {
    let (mut stage, mut bob, mut ada) = two(Limits::default());
    // She has said something that the relay has taken, and something that it has not: neither does she know.
    say(&mut ada, "taken");
    ada.write(&mut stage);
    stage.settle();
    say(&mut ada, "lost on its way");
    ada.write(&mut stage);
    ada.lose(&mut stage);
    stage.settle();
    assert_eq!(bob.news(&mut stage), ["2: taken", "away 2"]);
    say(&mut bob, "while she is away");
    bob.play(&mut stage);
    stage.pass(5_000, 500);
    bob.play(&mut stage);
    ada.reopen(&mut stage);
    assert_eq!(ada.news(&mut stage), ["resumed", "1: while she is away"]);
    assert_eq!(bob.news(&mut stage), ["back 2", "2: lost on its way"]);
    say(&mut ada, "here I am");
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2: here I am"]);
    assert_eq!(stage.common.away(), 0);
}

#[test]
fn the_old_connection_is_dead_first() {
    let (mut stage, mut bob, mut ada) = two(Limits::default());
    let old = ada.wire;
    // On its way over the old connection when she comes back over a new one: it must not be applied twice.
    say(&mut ada, "once");
    ada.write(&mut stage);
    let late = std::mem::take(&mut stage.wires[old]);
    stage.wires[old] = late;
    stage.wires[old].space = 0;
    ada.client.wake(stage.now * 1_000 + 7_000_000);
    ada.reopen(&mut stage);
    assert_eq!(ada.news(&mut stage), ["resumed"]);
    assert_eq!(bob.news(&mut stage), ["2: once"], "she was never away");
    stage.wires[old].space = 1 << 20;
    stage.settle();
    stage.messages(old);
    assert_eq!(stage.wires[old].closed.as_ref().unwrap().0, 4004);
    assert!(bob.news(&mut stage).is_empty());
    // What the old connection still brings means nothing.
    stage.send(old, Opcode::Binary, &[0x08, 1, b'x']);
    stage.settle();
    assert!(bob.news(&mut stage).is_empty());
    assert_eq!(
        stage.wires[old].why,
        Some(DisconnectReason::Close(CloseReason::Replaced))
    );
}

#[test]
fn an_earlier_connection_takes_nothing_back() {
    let (mut stage, mut bob, mut ada) = two(Limits::default());
    ada.lose(&mut stage);
    // A network that is gone for a while keeps what she says first, while she comes back over another one.
    let late = stage.connect("/rooms/lobby", Some(SUBPROTOCOL));
    ada.client.open(stage.now * 1_000);
    let mut kept = Vec::new();
    assert!(ada.client.transmit(stage.now * 1_000, &mut kept));
    ada.reopen(&mut stage);
    assert_eq!(ada.news(&mut stage), ["resumed"]);
    stage.send(late, Opcode::Binary, &kept);
    stage.settle();
    stage.messages(late);
    assert_eq!(stage.wires[late].closed.as_ref().unwrap().0, 4004);
    say(&mut ada, "still here");
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["away 2", "back 2", "2: still here"]);
}

#[test]
fn a_page_that_was_loaded_again_is_the_same_player() {
    let (mut stage, mut bob, mut ada) = two(Limits::default());
    say(&mut ada, "before");
    ada.play(&mut stage);
    let token = ada.client.token().expect("a token");
    stage.close(ada.wire, CloseCode::GOING_AWAY);
    let mut again = join("Ada");
    again.back = Some(roomcast_protocol::v1::up::Back {
        token,
        cursor: None,
    });
    let mut ada = Actor::join_as(&mut stage, "lobby", &again);
    let expected = ["welcome 2", "player 1 Bob", "player 2 Ada"];
    assert_eq!(ada.news(&mut stage), expected);
    say(&mut ada, "after");
    ada.play(&mut stage);
    assert_eq!(
        bob.news(&mut stage),
        ["2: before", "away 2", "back 2", "2: after"]
    );
}

#[test]
fn who_comes_back_too_late_is_somebody_new() {
    let (mut stage, mut bob, mut ada) = two(Limits::default());
    ada.lose(&mut stage);
    for _ in 0..40 {
        stage.pass(1_000, 100);
        bob.client.wake(stage.now * 1_000);
        bob.play(&mut stage);
    }
    assert_eq!(bob.news(&mut stage), ["away 2", "left 2 1"]);
    assert_eq!(stage.common.away(), 0);
    say(&mut ada, "anybody?");
    ada.reopen(&mut stage);
    let expected = [
        "reset 3",
        "welcome 3 dropped",
        "player 1 Bob",
        "player 3 Ada",
    ];
    assert_eq!(ada.news(&mut stage), expected);
    assert_eq!(bob.news(&mut stage), ["joined 3 Ada"]);
}

#[test]
fn grace_is_the_rooms_and_shorter_for_who_goes_away() {
    let mut stage = Stage::new(Limits::default());
    let mut wishes = Vec::new();
    let mut short = join("Bob");
    short.wishes = Pairs::encode([(setting::GRACE_MS, PairValue::Number(7_000))], &mut wishes)
        .expect("wishes");
    let mut bob = Actor::join_as(&mut stage, "lobby", &short);
    let ada = Actor::join(&mut stage, "lobby", "Ada");
    let mut cy = Actor::join(&mut stage, "lobby", "Cy");
    bob.news(&mut stage);
    stage.close(ada.wire, CloseCode::GOING_AWAY);
    cy.lose(&mut stage);
    let mut left = Vec::new();
    for second in 0..10 {
        stage.pass(1_000, 50);
        bob.client.wake(stage.now * 1_000);
        for line in bob.news(&mut stage) {
            left.push(format!("{second} {line}"));
        }
    }
    assert_eq!(left, ["0 away 2", "0 away 3", "5 left 2 1", "7 left 3 1"]);
}

#[test]
fn where_the_log_does_not_reach_there_is_a_reset() {
    let limits = Limits {
        log_bytes_max: 1,
        outbox_bytes_max: 8 * 1024,
        packets_per_second: 10_000,
        ..Limits::default()
    };
    let (mut stage, mut bob, mut ada) = two(limits);
    say(&mut ada, "lost");
    ada.lose(&mut stage);
    stage.settle();
    for _ in 0..100 {
        say(&mut bob, &"x".repeat(1_000));
        bob.play(&mut stage);
    }
    ada.reopen(&mut stage);
    let expected = ["reset 2", "welcome 2", "player 1 Bob", "player 2 Ada"];
    assert_eq!(ada.news(&mut stage), expected, "the same player");
    assert_eq!(bob.news(&mut stage), ["away 2", "back 2", "2: lost"]);
}

#[test]
fn an_away_player_is_found_by_who_comes_and_costs_nothing_later() {
    let (mut stage, mut bob, mut ada) = two(Limits::default());
    ada.lose(&mut stage);
    stage.settle();
    let mut cy = Actor::join(&mut stage, "lobby", "Cy");
    let expected = [
        "welcome 3",
        "player 1 Bob",
        "player 2 Ada, away",
        "player 3 Cy",
    ];
    assert_eq!(cy.news(&mut stage), expected);
    bob.client.leave();
    bob.play(&mut stage);
    cy.client.leave();
    cy.play(&mut stage);
    for actor in [&bob, &cy] {
        stage.finish(actor.wire);
    }
    assert_eq!((stage.shard.rooms(), stage.common.away()), (1, 1));
    stage.pass(40_000, 500);
    stage.assert_empty();
}

#[test]
fn no_more_players_are_away_than_may_be() {
    let limits = Limits {
        max_away: 1,
        ..Limits::default()
    };
    let (mut stage, mut bob, mut ada) = two(limits);
    let mut cy = Actor::join(&mut stage, "lobby", "Cy");
    bob.news(&mut stage);
    ada.lose(&mut stage);
    stage.settle();
    cy.lose(&mut stage);
    assert_eq!(bob.news(&mut stage), ["away 2", "left 3 1"]);
}

/// Where a seed decides everything it decides tokens too; everywhere else nobody can guess them.
#[test]
fn tokens_come_from_the_system_unless_a_simulation_asks() {
    let secrets = |common: Common| {
        let mut stage = Stage::with(common);
        let mut ada = Actor::join(&mut stage, "lobby", "Ada");
        ada.play(&mut stage);
        let life = ada.client.cursor().expect("a cursor").life;
        (ada.client.token().expect("a token"), life)
    };
    let system = || Common::new(Limits::default(), 1);
    let seeded = || system().with_seeded_secrets();
    assert_eq!(secrets(seeded()), secrets(seeded()));
    assert_ne!(secrets(system()), secrets(system()));
    assert_ne!(secrets(system()), secrets(seeded()));
}
