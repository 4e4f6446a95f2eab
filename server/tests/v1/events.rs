//! Players see each other, and hear what is for them, in one order.

use roomcast::limits::Limits;
use roomcast_protocol::v1::up::Audience;
use roomcast_protocol::v1::{List, Payload, PlayerId};

use crate::stage::{Actor, Stage};

fn id(id: u32) -> PlayerId {
    PlayerId::new(id).expect("an id")
}

fn say(actor: &mut Actor, to: Audience<'_>, text: &str) {
    actor
        .client
        .event(to, Payload::Text(text), false)
        .expect("it keeps little");
}

#[test]
fn two_players_meet_talk_and_part() {
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    assert_eq!(bob.news(&mut stage), ["welcome 1 created", "player 1 Bob"]);
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    assert_eq!(
        ada.news(&mut stage),
        ["welcome 2", "player 1 Bob", "player 2 Ada"]
    );
    assert_eq!(bob.news(&mut stage), ["joined 2 Ada"]);
    say(&mut ada, Audience::Others, "hi");
    assert!(ada.news(&mut stage).is_empty(), "she does not hear herself");
    assert_eq!(bob.news(&mut stage), ["2: hi"]);
    ada.client.leave();
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["left 2 0"]);
    assert_eq!(stage.wires[ada.wire].closed.as_ref().unwrap().0, 1000);
    stage.finish(ada.wire);
    stage.close(bob.wire, roomcast_protocol::close::CloseCode::NORMAL);
    stage.finish(bob.wire);
    stage.assert_empty();
}

#[test]
fn an_event_is_for_others_all_one_or_a_list() {
    let mut stage = Stage::new(Limits::default());
    let mut all: Vec<Actor> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| Actor::join(&mut stage, "lobby", name))
        .collect();
    for actor in &mut all {
        actor.news(&mut stage);
    }
    say(&mut all[0], Audience::Others, "others");
    say(&mut all[0], Audience::All, "all");
    say(&mut all[0], Audience::One(id(3)), "one");
    say(&mut all[0], Audience::One(id(9)), "nobody");
    let mut buffer = Vec::new();
    let some = List::encode([id(1), id(2), id(7)], &mut buffer).expect("a list");
    say(&mut all[0], Audience::List(some), "list");
    say(&mut all[0], Audience::All, "end");
    let heard: Vec<Vec<String>> = all.iter_mut().map(|actor| actor.news(&mut stage)).collect();
    // The sender's own copy shows its place among the others'; who is gone can't be told anything.
    assert_eq!(
        heard[0],
        ["1: all", "refused 3 2", "1 to some: list", "1: end"]
    );
    assert_eq!(
        heard[1],
        ["1: others", "1: all", "1 to some: list", "1: end"]
    );
    assert_eq!(
        heard[2],
        ["1: others", "1: all", "1 to some: one", "1: end"]
    );
    assert_eq!(heard[3], ["1: others", "1: all", "1: end"]);
    let cursors: Vec<u64> = all
        .iter()
        .map(|actor| actor.client.cursor().expect("a cursor").seq)
        .collect();
    assert!(
        cursors.iter().all(|cursor| *cursor == cursors[0]),
        "{cursors:?}"
    );
}

#[test]
fn what_is_said_in_one_iteration_comes_as_one_message_and_covers_itself() {
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    bob.news(&mut stage);
    ada.news(&mut stage);
    stage.wires[bob.wire].bundles.clear();
    stage.wires[ada.wire].bundles.clear();
    for _ in 0..3 {
        say(&mut ada, Audience::Others, "x");
        say(&mut bob, Audience::One(id(1)), "to himself");
    }
    ada.write(&mut stage);
    bob.write(&mut stage);
    stage.settle();
    bob.hear(&mut stage);
    ada.hear(&mut stage);
    let bundles = &stage.wires[bob.wire].bundles;
    assert_eq!(bundles.len(), 1, "{bundles:?}");
    assert_eq!((bundles[0].0, bundles[0].1.len()), (6, 6));
    // Nothing was for her, so nothing was written; what comes next tells how far she is.
    assert!(stage.wires[ada.wire].bundles.is_empty());
    stage.pass(2_600, 100);
    ada.hear(&mut stage);
    assert_eq!(
        stage.wires[ada.wire].bundles,
        [(6, vec!["ACK"]), (0, vec!["KEEPALIVE"])],
        "acknowledged after a second"
    );
}

#[test]
fn a_bundle_has_16_kib_unless_one_packet_is_larger() {
    let mut stage = Stage::new(Limits {
        packets_per_second: 10_000,
        ..Limits::default()
    });
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    bob.news(&mut stage);
    for len in [9_000, 9_000, 40_000, 10, 10] {
        let payload = vec![7; len];
        let sent = ada
            .client
            .event(Audience::Others, Payload::Bytes(&payload), false);
        sent.expect("it is short enough");
    }
    ada.write(&mut stage);
    stage.settle();
    let lens: Vec<usize> = stage.messages(bob.wire).iter().map(Vec::len).collect();
    assert!(lens.len() >= 4, "{lens:?}");
    assert!(
        lens.iter().all(|len| *len <= 16_384 || *len == 40_006),
        "{lens:?}"
    );
}

#[test]
fn a_droppable_event_is_for_who_keeps_up() {
    let mut stage = Stage::new(Limits::default());
    let mut bob = Actor::join(&mut stage, "lobby", "Bob");
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    bob.news(&mut stage);
    let drop = |ada: &mut Actor, text| {
        let sent = ada
            .client
            .event(Audience::Others, Payload::Text(text), true);
        sent.expect("it keeps little");
    };
    drop(&mut ada, "boom");
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2: boom"]);
    // He takes nothing for a while: what is droppable is not for him.
    stage.wires[bob.wire].space = 0;
    for text in ["1", "2", "3"] {
        drop(&mut ada, "boom");
        say(&mut ada, Audience::Others, text);
        ada.play(&mut stage);
    }
    stage.wires[bob.wire].space = 1 << 20;
    // Only by the first was it seen that he takes nothing.
    let expected = ["2: boom", "2: 1", "2: 2", "2: 3"];
    assert_eq!(bob.news(&mut stage), expected);
    drop(&mut ada, "again");
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2: again"]);
}
