//! Groups: who is in one gets what is said to it, and nobody else.

use roomcast::limits::Limits;
use roomcast_protocol::v1::up::{Audience, KeyAudience, StateAudience};
use roomcast_protocol::v1::{Groups, Payload, down};

use crate::stage::{Actor, Stage, WIDE};
use crate::states::{arrive, set};

fn group(actor: &mut Actor, only: bool, groups: &[(u32, bool)]) {
    let mut buffer = Vec::new();
    let groups = Groups::encode(groups.iter().copied(), &mut buffer).expect("groups");
    actor.client.groups(only, groups).expect("it keeps little");
}

fn say(actor: &mut Actor, group: u32, text: &str) {
    let to = Audience::Group(group);
    let said = actor.client.event(to, Payload::Text(text), false);
    said.expect("it keeps little");
}

fn address(actor: &mut Actor, key: u32, to: StateAudience) {
    let audience = KeyAudience {
        key,
        room: false,
        to,
        stays: false,
    };
    actor.client.audience(audience).expect("it keeps little");
}

/// Bob, Ada and Cy; Bob and Ada are in group 5.
fn three(stage: &mut Stage) -> [Actor; 3] {
    let mut all = ["Bob", "Ada", "Cy"].map(|name| Actor::join(stage, "lobby", name));
    for actor in &mut all[..2] {
        group(actor, false, &[(5, true)]);
    }
    all.iter_mut().for_each(|actor| {
        actor.news(stage);
    });
    all
}

#[test]
fn an_event_is_for_who_is_in_the_group_at_that_moment() {
    let mut stage = Stage::new(Limits::default());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    assert_ne!(ada.capabilities & down::capability::GROUPS, 0);
    say(&mut ada, 5, "a");
    // Who is in none may speak to it.
    say(&mut cy, 5, "b");
    say(&mut cy, 6, "to nobody");
    ada.play(&mut stage);
    cy.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2 to some: a", "3 to some: b"]);
    assert_eq!(ada.news(&mut stage), ["3 to some: b"], "not her own");
    assert!(cy.news(&mut stage).is_empty());
    // Who comes back gets what was for it then, though it has left the group since.
    bob.lose(&mut stage);
    stage.settle();
    say(&mut ada, 5, "c");
    ada.play(&mut stage);
    group(&mut bob, false, &[(5, false)]);
    bob.reopen(&mut stage);
    assert_eq!(bob.news(&mut stage), ["resumed", "2 to some: c"]);
    say(&mut ada, 5, "d");
    ada.play(&mut stage);
    assert!(bob.news(&mut stage).is_empty());
}

#[test]
fn who_left_a_group_has_nothing_of_its_keys_when_it_comes_back() {
    let mut stage = Stage::new(Limits::default());
    let [mut bob, mut ada, _cy] = three(&mut stage);
    address(&mut ada, 1, StateAudience::Group(5));
    set(&mut ada, 1, "near");
    set(&mut ada, 2, "far");
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2.1=near", "2.2=far"]);
    // That it gets the key no longer is lost with its connection.
    group(&mut bob, false, &[(5, false)]);
    bob.write(&mut stage);
    stage.settle();
    bob.lose(&mut stage);
    bob.reopen(&mut stage);
    let mut heard = bob.news(&mut stage);
    heard.retain(|line| line != "2.1 gone");
    assert_eq!(heard, ["resumed", "all gone", "2.2=far"]);
    set(&mut ada, 2, "farther");
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2.2=farther"]);
}

#[test]
fn who_enters_gets_the_values_and_who_exits_is_told_so() {
    let mut stage = Stage::new(Limits::default());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    address(&mut ada, 1, StateAudience::Group(5));
    set(&mut ada, 1, "near");
    set(&mut ada, 2, "far");
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2.1=near", "2.2=far"]);
    assert_eq!(cy.news(&mut stage), ["2.2=far"]);
    // She stands still, and is not invisible to who comes near.
    group(&mut cy, false, &[(4, true), (5, true)]);
    assert_eq!(cy.news(&mut stage), ["2.1=near"]);
    set(&mut ada, 1, "nearer");
    ada.play(&mut stage);
    assert_eq!(cy.news(&mut stage), ["2.1=nearer"]);
    bob.news(&mut stage);
    // In no other group but 9.
    group(&mut cy, true, &[(9, true)]);
    assert_eq!(cy.news(&mut stage), ["2.1 gone"]);
    set(&mut ada, 1, "nearest");
    ada.play(&mut stage);
    assert!(cy.news(&mut stage).is_empty());
    // Who joins the room is in no group.
    let mut dan = Actor::join(&mut stage, "lobby", "Dan");
    let values: Vec<String> = dan.news(&mut stage);
    assert_eq!(values.last().map(String::as_str), Some("2.2=far"));
    // And who is welcomed anew is in those that it was in.
    group(&mut dan, false, &[(5, true)]);
    assert_eq!(dan.news(&mut stage), ["2.1=nearest"]);
}

#[test]
fn a_key_that_is_readdressed_goes_from_one_group_to_the_other() {
    let mut stage = Stage::new(Limits::default());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    group(&mut cy, false, &[(6, true)]);
    cy.news(&mut stage);
    arrive(&mut ada, &mut stage);
    address(&mut ada, 1, StateAudience::Group(5));
    set(&mut ada, 1, "a");
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2.1=a"]);
    arrive(&mut ada, &mut stage);
    address(&mut ada, 1, StateAudience::Group(6));
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2.1 gone"]);
    assert_eq!(cy.news(&mut stage), ["2.1=a"]);
    // The same for who does not keep up meanwhile.
    stage.wires[bob.wire].space = 0;
    stage.wires[cy.wire].space = 0;
    for (to, value) in [(5, "b"), (6, "c"), (5, "d")] {
        arrive(&mut ada, &mut stage);
        address(&mut ada, 1, StateAudience::Group(to));
        set(&mut ada, 1, value);
        ada.play(&mut stage);
    }
    stage.wires[bob.wire].space = WIDE;
    stage.wires[cy.wire].space = WIDE;
    assert_eq!(
        bob.news(&mut stage).last().map(String::as_str),
        Some("2.1=d")
    );
    assert_eq!(
        cy.news(&mut stage).last().map(String::as_str),
        Some("2.1 gone")
    );
}

#[test]
fn nobody_is_in_more_groups_than_it_may() {
    let mut stage = Stage::new(Limits {
        groups_max: 2,
        ..Limits::default()
    });
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    group(&mut ada, false, &[(6, true)]);
    group(&mut ada, false, &[(7, true)]);
    // One for another is none more.
    group(&mut ada, false, &[(6, false), (8, true)]);
    assert_eq!(ada.news(&mut stage), ["refused 2 4"]);
    for to in [6, 7, 8, 5] {
        say(&mut cy, to, &to.to_string());
    }
    cy.play(&mut stage);
    assert_eq!(ada.news(&mut stage), ["3 to some: 8", "3 to some: 5"]);
    assert_eq!(bob.news(&mut stage), ["3 to some: 5"]);
    // Who has left is in none.
    ada.client.leave();
    ada.play(&mut stage);
    let mut dan = Actor::join(&mut stage, "lobby", "Dan");
    dan.news(&mut stage);
    say(&mut cy, 8, "is there anybody?");
    address(&mut cy, 1, StateAudience::Group(5));
    set(&mut cy, 1, "for five");
    cy.play(&mut stage);
    assert!(dan.news(&mut stage).is_empty(), "though he has her seat");
    assert_eq!(
        bob.news(&mut stage).last().map(String::as_str),
        Some("3.1=for five")
    );
}

#[test]
fn who_reads_nothing_and_comes_and_goes_holds_little() {
    let mut stage = Stage::new(Limits {
        packets_per_second: 100_000,
        state_keys: 2_000,
        ..Limits::default()
    });
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    for actor in [&mut ada, &mut cy] {
        for key in 0..750 {
            address(actor, key, StateAudience::Group(5));
            set(actor, key, "x");
            if key % 100 == 0 {
                actor.play(&mut stage);
            }
        }
        actor.play(&mut stage);
    }
    assert_eq!(bob.news(&mut stage).len(), 1_500);
    stage.wires[bob.wire].space = 0;
    for is_in in [false, true, false, true] {
        group(&mut bob, false, &[(5, is_in)]);
        bob.write(&mut stage);
        stage.settle();
    }
    stage.wires[bob.wire].space = WIDE;
    let heard = bob.news(&mut stage);
    assert_eq!(heard[0], "all gone", "more than is remembered one by one");
    assert_eq!(
        heard.iter().filter(|line| line.ends_with("=x")).count(),
        1_500
    );
}

/// An iteration has no more than 256 turns in a room.
#[test]
fn what_is_for_a_group_is_nobody_elses_turn() {
    let mut stage = Stage::new(Limits::default());
    let join = |_| Actor::join(&mut stage, "lobby", "Ada");
    let mut crowd: Vec<Actor> = (0..300).map(join).collect();
    for near in [0, 299] {
        group(&mut crowd[near], false, &[(5, true)]);
        crowd[near].news(&mut stage);
    }
    address(&mut crowd[0], 1, StateAudience::Group(5));
    crowd[0].play(&mut stage);
    say(&mut crowd[0], 5, "near");
    crowd[0].write(&mut stage);
    stage.iterate();
    assert!(!stage.shard.has_work());
    stage.pass(100, 20);
    set(&mut crowd[0], 1, "nearer");
    crowd[0].write(&mut stage);
    stage.iterate();
    assert!(!stage.shard.has_work());
    let heard = crowd[299].news(&mut stage);
    assert_eq!(heard, ["1 to some: near", "1.1=nearer"]);
    // And who had no turn for long misses nothing.
    stage.pass(5_000, 500);
    say(&mut crowd[0], 5, "again");
    crowd[0]
        .client
        .event(Audience::All, Payload::Text("all"), false)
        .expect("taken");
    crowd[0].play(&mut stage);
    assert_eq!(crowd[299].news(&mut stage), ["1 to some: again", "1: all"]);
    assert_eq!(
        crowd[7].news(&mut stage).last().map(String::as_str),
        Some("1: all")
    );
}
