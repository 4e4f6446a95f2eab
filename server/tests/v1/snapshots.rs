//! The snapshot that a room keeps of its game: a new host goes on from it, and who joins late sees all.

use roomcast::limits::Limits;
use roomcast_protocol::v1::up::{Act, Audience};
use roomcast_protocol::v1::{Pairs, Payload};

use crate::hosts::{act, come, id, knowing, pass, say, three};
use crate::stage::{Actor, Stage};

/// The host gives a snapshot as of all that it has heard.
pub(crate) fn snapshot(host: &mut Actor, term: u64, state: &str) {
    let seq = host.client.cursor().expect("a cursor").seq;
    let state = state.as_bytes();
    act(host, term, Act::Snapshot { seq, state });
}

#[test]
fn a_successor_goes_on_from_the_snapshot_and_what_came_after_it() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    say(&mut ada, Audience::Host, "before");
    ada.play(&mut stage);
    bob.news(&mut stage);
    snapshot(&mut bob, 1, "chess");
    // For the host, from it, for all, for somebody else, droppable, refused to it.
    say(&mut ada, Audience::Host, "e4");
    say(&mut cy, Audience::One(id(2)), "a secret");
    say(&mut cy, Audience::All, "to all");
    ada.play(&mut stage);
    cy.play(&mut stage);
    say(&mut bob, Audience::One(id(3)), "from the host");
    say(&mut bob, Audience::One(id(9)), "to nobody");
    let boom = Payload::Text("boom");
    cy.client
        .event(Audience::Others, boom, true)
        .expect("it fits");
    bob.play(&mut stage);
    cy.play(&mut stage);
    ada.news(&mut stage);
    bob.lose(&mut stage);
    stage.settle();
    pass(&mut stage, 900, &mut [&mut ada, &mut cy]);
    say(&mut cy, Audience::Host, "to the host that is away");
    cy.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["away 1"]);
    // With its tail within 100 ms of the end of the grace.
    pass(&mut stage, 200, &mut [&mut ada, &mut cy]);
    let heard = [
        "host 2 in term 2, given",
        "snapshot chess",
        "tail 2 to some: e4",
        "tail 3: to all",
        "tail 1 to some: from the host",
        "tail away 1",
        "tail 3 to some: to the host that is away",
        "tail host 2 in term 2, given",
        "ready",
    ];
    assert_eq!(ada.news(&mut stage), heard);
    let cy = cy.news(&mut stage);
    assert_eq!(
        cy.last().map(String::as_str),
        Some("host 2 in term 2, given")
    );
}

#[test]
fn the_tail_goes_through_several_hosts() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    snapshot(&mut bob, 1, "s");
    act(&mut bob, 1, Act::HandOver(id(2)));
    bob.play(&mut stage);
    say(&mut cy, Audience::Host, "to Ada");
    say(&mut cy, Audience::One(id(1)), "to Bob");
    cy.play(&mut stage);
    ada.news(&mut stage);
    act(&mut ada, 2, Act::HandOver(id(3)));
    ada.play(&mut stage);
    let heard = [
        "host 2 in term 2, given",
        "host 3 in term 3, given",
        "snapshot s",
        "tail host 2 in term 2, given",
        "tail 3 to some: to Ada",
        "tail host 3 in term 3, given",
        "ready",
    ];
    assert_eq!(cy.news(&mut stage), heard);
}

#[test]
fn who_joins_late_gets_all_or_nothing() {
    let (mut stage, [mut bob, mut ada, _cy]) = three(Limits {
        packets_per_second: 100_000,
        ..Limits::default()
    });
    snapshot(&mut bob, 1, "s");
    bob.play(&mut stage);
    say(&mut ada, Audience::Others, "after");
    ada.play(&mut stage);
    // Long after, for nobody else needs the log any more.
    pass(&mut stage, 30_000, &mut [&mut bob, &mut ada]);
    let mut dan = come(&mut stage, "Dan");
    let heard = dan.news(&mut stage);
    let tail = heard.iter().position(|line| line == "snapshot s");
    let tail = &heard[tail.expect("a snapshot")..];
    assert_eq!(tail[1], "tail 2: after");
    assert!(tail.contains(&"tail joined 4 Dan".to_owned()), "{tail:?}");
    // Who does not know what that is gets none.
    let mut old = Actor::join(&mut stage, "lobby", "Old");
    let heard = old.news(&mut stage);
    assert!(!heard.iter().any(|line| line.starts_with("snapshot")));
    // Beyond what a tail may have there is none, and the host was asked before.
    bob.news(&mut stage);
    let long = "x".repeat(30_000);
    let mut asked = 0;
    for count in 1..=9 {
        say(&mut ada, Audience::Others, &long);
        ada.play(&mut stage);
        let heard = bob.news(&mut stage);
        // She keeps what is not acknowledged, and that only takes so much.
        pass(&mut stage, 1_100, &mut [&mut ada]);
        if heard.contains(&"snapshot wanted in term 1".to_owned()) {
            asked = count;
        }
    }
    assert_eq!(asked, 5, "once, at half of it");
    let mut eve = come(&mut stage, "Eve");
    let heard = eve.news(&mut stage);
    assert!(!heard.iter().any(|line| line.starts_with("snapshot")));
    // A new host is told that it is cut, and is asked itself.
    act(&mut bob, 1, Act::HandOver(id(2)));
    bob.play(&mut stage);
    let heard = ada.news(&mut stage);
    assert!(heard.contains(&"snapshot s, cut".to_owned()), "{heard:?}");
    assert!(!heard.contains(&"tail 2: after".to_owned()));
    let last = heard.iter().rev().take(2).collect::<Vec<_>>();
    assert_eq!(last, ["snapshot wanted in term 2", "ready"]);
    snapshot(&mut ada, 2, "t");
    ada.play(&mut stage);
    let mut fay = come(&mut stage, "Fay");
    assert!(fay.news(&mut stage).contains(&"snapshot t".to_owned()));
}

/// What the host alone gets leaves with what the others get too.
#[test]
fn what_the_host_is_owed_takes_no_write_of_its_own() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    snapshot(&mut bob, 1, "s");
    bob.play(&mut stage);
    let long = "x".repeat(60_000);
    for _ in 0..3 {
        say(&mut ada, Audience::Others, &long);
        ada.play(&mut stage);
        bob.news(&mut stage);
        pass(&mut stage, 1_100, &mut [&mut bob, &mut ada, &mut cy]);
    }
    let asked = |(_, packets): &&(u64, Vec<&str>)| packets.contains(&"SNAPSHOT_WANTED");
    let asked = stage.wires[bob.wire].bundles.iter().find(asked);
    assert_eq!(asked.expect("it was asked").1, ["SNAPSHOT_WANTED", "EVENT"]);
    snapshot(&mut bob, 1, "t");
    bob.play(&mut stage);
    // Two get the same, and one of them the snapshot behind it.
    act(&mut bob, 1, Act::HandOver(id(2)));
    let before = [ada.wire, cy.wire].map(|wire| stage.wires[wire].writes);
    bob.play(&mut stage);
    let writes = [ada.wire, cy.wire].map(|wire| stage.wires[wire].writes);
    assert_eq!(writes, before.map(|before| before + 1));
    assert!(ada.news(&mut stage).contains(&"snapshot t".to_owned()));
}

#[test]
fn a_snapshot_that_is_no_good_is_refused() {
    let (mut stage, [mut bob, mut ada, _cy]) = three(Limits {
        snapshot_bytes_max: 10,
        snapshots_bytes_max: 15,
        ..Limits::default()
    });
    let cursor = bob.client.cursor().expect("a cursor").seq;
    for (seq, state) in [(cursor + 1, &b"x"[..]), (0, b"x"), (cursor, &[7; 11])] {
        act(&mut bob, 1, Act::Snapshot { seq, state });
    }
    act(
        &mut ada,
        1,
        Act::Snapshot {
            seq: cursor,
            state: b"x",
        },
    );
    let refused = ["refused 0 3", "refused 1 3", "refused 2 4"];
    assert_eq!(bob.news(&mut stage), refused);
    assert_eq!(ada.news(&mut stage), ["refused 0 6"]);
    snapshot(&mut bob, 1, "0123456789");
    snapshot(&mut bob, 1, "0123456");
    assert!(bob.news(&mut stage).is_empty(), "in place of the other");
    // All rooms have one bound, and what a room had is free when it is gone.
    let other = knowing("Dan", Pairs::EMPTY);
    let mut dan = Actor::join_as(&mut stage, "other", &other);
    dan.news(&mut stage);
    snapshot(&mut dan, 1, "0123456789");
    assert_eq!(dan.news(&mut stage), ["refused 0 4"]);
    act(&mut bob, 1, Act::Close);
    bob.play(&mut stage);
    snapshot(&mut dan, 1, "0123456789");
    assert!(dan.news(&mut stage).is_empty());
}

#[test]
fn a_snapshot_on_its_way_is_not_lost_with_the_connection() {
    let (mut stage, [mut bob, mut ada, mut cy]) = three(Limits::default());
    snapshot(&mut bob, 1, "s");
    bob.play(&mut stage);
    say(&mut cy, Audience::Others, "after");
    cy.play(&mut stage);
    ada.news(&mut stage);
    bob.client.leave();
    bob.play(&mut stage);
    // What says that she is the host has arrived, and the snapshot has not.
    let all = stage.messages(ada.wire);
    assert!(all.len() >= 2);
    ada.hear_these(stage.now * 1_000, &all[..1]);
    assert_eq!(
        ada.heard.last().map(String::as_str),
        Some("host 2 in term 2, given")
    );
    assert_eq!(ada.client.cursor(), None, "what she knows is no whole");
    ada.lose(&mut stage);
    stage.settle();
    ada.reopen(&mut stage);
    let heard = ada.news(&mut stage);
    let given = heard.iter().position(|line| line == "snapshot s");
    let tail = &heard[given.expect("a snapshot")..];
    assert_eq!(tail[1], "tail 3: after");
    assert_eq!(tail.last().map(String::as_str), Some("ready"));
    assert!(ada.client.cursor().is_some());
    // From then on it goes on where it was, and gets no other.
    ada.lose(&mut stage);
    stage.settle();
    ada.reopen(&mut stage);
    assert_eq!(ada.news(&mut stage), ["resumed"]);
}

/// The host of a new life may have what the old one was.
#[test]
fn after_a_restart_who_comes_back_as_the_host_is_asked() {
    let (_, [mut bob, _ada, _cy]) = three(Limits::default());
    let mut stage = Stage::new(Limits::default());
    bob.reopen(&mut stage);
    let heard = bob.news(&mut stage);
    assert_eq!(heard[..2], ["reset 3", "welcome 1 created"]);
    assert_eq!(
        heard.last().map(String::as_str),
        Some("snapshot wanted in term 1")
    );
    snapshot(&mut bob, 1, "as it was");
    bob.play(&mut stage);
    let mut dan = come(&mut stage, "Dan");
    assert!(
        dan.news(&mut stage)
            .contains(&"snapshot as it was".to_owned())
    );
    assert!(
        bob.news(&mut stage)
            .iter()
            .all(|line| !line.contains("wanted"))
    );
}
