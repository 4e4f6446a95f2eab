//! States: the newest of each key reaches everybody that it is for, in the end, and never before its time.

use roomcast::limits::Limits;
use roomcast_protocol::v1::up::{Audience, KeyAudience, StateAudience};
use roomcast_protocol::v1::{Payload, down};

use crate::stage::{Actor, Stage, WIDE};

pub(crate) fn set(actor: &mut Actor, key: u32, value: &str) {
    let set = actor.client.state(key, false, Payload::Text(value));
    set.expect("it fits");
}

fn set_room(actor: &mut Actor, key: u32, value: &str) {
    let set = actor.client.state(key, true, Payload::Text(value));
    set.expect("it fits");
}

fn say(actor: &mut Actor, text: &str) {
    let said = actor
        .client
        .event(Audience::Others, Payload::Text(text), false);
    said.expect("it keeps little");
}

fn address(actor: &mut Actor, key: u32, to: StateAudience, stays: bool) {
    let audience = KeyAudience {
        key,
        room: false,
        to,
        stays,
    };
    actor.client.audience(audience).expect("it keeps little");
}

/// Everything that is said goes through at once, however little a client may send.
fn wide() -> Limits {
    Limits {
        packets_per_second: 100_000,
        ..Limits::default()
    }
}

/// Bob, Ada and Cy, who have heard of each other.
fn three(stage: &mut Stage) -> [Actor; 3] {
    let mut all = ["Bob", "Ada", "Cy"].map(|name| Actor::join(stage, "lobby", name));
    all.iter_mut().for_each(|actor| {
        actor.news(stage);
    });
    all
}

/// A ping is answered: the client knows what has arrived, and does not say it again with an audience.
pub(crate) fn arrive(actor: &mut Actor, stage: &mut Stage) {
    actor.play(stage);
    stage.now += 300;
    actor.client.wake(stage.now * 1_000);
    actor.play(stage);
}

/// What a player takes from now on: nothing, once what its connection still takes in is used up.
fn stall(stage: &mut Stage, actor: &Actor) {
    stage.wires[actor.wire].space = 0;
}

fn takes_again(stage: &mut Stage, actor: &Actor) {
    stage.wires[actor.wire].space = WIDE;
}

#[test]
fn who_keeps_up_gets_every_value_in_its_place() {
    let mut stage = Stage::new(wide());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    set(&mut ada, 1, "a");
    ada.write(&mut stage);
    say(&mut ada, "x");
    ada.write(&mut stage);
    set(&mut ada, 1, "b");
    set(&mut ada, 2, "c");
    ada.write(&mut stage);
    set(&mut cy, 1, "d");
    cy.write(&mut stage);
    ada.client.delete(2, false).expect("it fits");
    ada.play(&mut stage);
    let expected = ["2.1=a", "2: x", "2.2=c", "2.1=b", "3.1=d", "2.2 gone"];
    let mut heard = bob.news(&mut stage);
    // Who is read first is not said.
    heard.sort_by_key(|line| line.starts_with("3."));
    let mut sorted = expected.to_vec();
    sorted.sort_by_key(|line| line.starts_with("3."));
    assert_eq!(heard, sorted);
    assert_eq!(ada.news(&mut stage), ["3.1=d"], "not her own");
}

#[test]
fn who_does_not_keep_up_gets_the_newest_of_each_key() {
    let mut stage = Stage::new(wide());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    stall(&mut stage, &bob);
    for round in 0..20 {
        for key in 0..3 {
            set(&mut ada, key, &round.to_string());
            set(&mut cy, key, &round.to_string());
        }
        ada.play(&mut stage);
        cy.play(&mut stage);
    }
    ada.client.delete(1, false).expect("it fits");
    ada.play(&mut stage);
    takes_again(&mut stage, &bob);
    let mut heard = bob.news(&mut stage);
    // What had begun to leave when he stopped is the first of all.
    assert_eq!(heard.remove(0), "2.0=0");
    heard.retain(|line| !line.ends_with("=0"));
    heard.sort_unstable();
    let newest = ["2.0=19", "2.1 gone", "2.2=19", "3.0=19", "3.1=19", "3.2=19"];
    assert_eq!(heard, newest);
    // From here on he keeps up again.
    for value in ["x", "y"] {
        set(&mut ada, 0, value);
        ada.write(&mut stage);
        stage.settle();
    }
    assert_eq!(bob.news(&mut stage), ["2.0=x", "2.0=y"]);
}

#[test]
fn a_state_waits_for_its_own_authors_events_alone() {
    let mut stage = Stage::new(wide());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    stall(&mut stage, &bob);
    say(&mut ada, "begins to leave");
    ada.play(&mut stage);
    // Nobody is slowed for him any longer.
    stage.pass(1_500, 100);
    // More than one bundle of Ada's events, and a state of hers behind; Cy has said no event.
    let long = "x".repeat(4_000);
    for number in 0..15 {
        say(&mut ada, &format!("{number} {long}"));
        ada.play(&mut stage);
        set(&mut cy, 1, &number.to_string());
        cy.play(&mut stage);
    }
    set(&mut ada, 1, "behind all of it");
    ada.play(&mut stage);
    stage.wires[bob.wire].bundles.clear();
    takes_again(&mut stage, &bob);
    let heard: Vec<String> = bob
        .news(&mut stage)
        .into_iter()
        .map(|line| line.chars().take(8).collect())
        .collect();
    let at = |wanted: &str| heard.iter().position(|line| line == wanted);
    assert_eq!(at("2.1=behi"), Some(heard.len() - 1), "{heard:?}");
    let other = at("3.1=14").expect("Cy's newest");
    assert!(other < at("2: 5 xxx").expect("an event"), "{heard:?}");
    assert_eq!(
        heard.iter().filter(|line| line.starts_with("2: ")).count(),
        16
    );
}

#[test]
fn a_key_of_the_room_waits_for_who_wrote_it_whoever_readdresses_it() {
    let mut stage = Stage::new(wide());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    stall(&mut stage, &bob);
    say(&mut ada, "begins to leave");
    ada.play(&mut stage);
    stage.pass(1_500, 100);
    let long = "x".repeat(4_000);
    for number in 0..15 {
        say(&mut ada, &format!("{number} {long}"));
        ada.play(&mut stage);
    }
    set_room(&mut ada, 1, "behind all of it");
    ada.play(&mut stage);
    let audience = KeyAudience {
        key: 1,
        room: true,
        to: StateAudience::All,
        stays: false,
    };
    cy.client.audience(audience).expect("it fits");
    cy.play(&mut stage);
    stage.wires[bob.wire].bundles.clear();
    takes_again(&mut stage, &bob);
    let heard = bob.news(&mut stage);
    let at = heard.iter().position(|line| line == "0.1=behind all of it");
    assert_eq!(at, Some(heard.len() - 1), "{heard:.20?}");
}

#[test]
fn states_get_a_quarter_of_the_bytes() {
    let mut stage = Stage::new(wide());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    stall(&mut stage, &bob);
    say(&mut ada, "what begins to leave");
    ada.play(&mut stage);
    // Nobody is slowed for him any longer.
    stage.pass(1_500, 100);
    let long = "x".repeat(1_000);
    for _ in 0..100 {
        say(&mut ada, &long);
    }
    ada.play(&mut stage);
    for key in 0..15 {
        set(&mut cy, key, &long);
    }
    cy.play(&mut stage);
    takes_again(&mut stage, &bob);
    stage.settle();
    stage.wires[bob.wire].bundles.clear();
    bob.hear(&mut stage);
    let bundles = &stage.wires[bob.wire].bundles;
    let states = |bundle: &(u64, Vec<&str>)| {
        let states = bundle.1.iter().filter(|name| **name == "STATE").count();
        (states, bundle.1.len())
    };
    let with: Vec<(usize, usize)> = bundles.iter().map(states).filter(|(n, _)| *n > 0).collect();
    assert!(with.len() >= 4, "they are spread: {with:?}");
    // Of 16 packets of the same size four are theirs, but in the last one.
    for (states, all) in &with[..with.len() - 1] {
        assert!((3..=5).contains(states) && *all <= 16, "{with:?}");
    }
}

#[test]
fn no_state_comes_from_who_has_left() {
    let mut stage = Stage::new(wide());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    stall(&mut stage, &bob);
    for value in ["a", "b", "c"] {
        set(&mut ada, 1, value);
        set(&mut cy, 1, value);
        ada.play(&mut stage);
        cy.play(&mut stage);
    }
    ada.client.leave();
    ada.play(&mut stage);
    takes_again(&mut stage, &bob);
    let heard = bob.news(&mut stage);
    let left = heard.iter().position(|line| line == "left 2 0");
    let left = left.expect("she has left");
    assert!(
        heard[left..].iter().all(|line| !line.starts_with("2.")),
        "{heard:?}"
    );
    assert!(!heard.contains(&"2.1=c".to_owned()), "{heard:?}");
    assert!(heard.contains(&"3.1=c".to_owned()), "{heard:?}");
    let mut dan = Actor::join(&mut stage, "lobby", "Dan");
    assert!(
        dan.news(&mut stage)
            .iter()
            .all(|line| !line.starts_with("2."))
    );
}

#[test]
fn a_welcome_has_the_values_before_it_is_ready() {
    let mut stage = Stage::new(wide());
    let [_bob, mut ada, mut cy] = three(&mut stage);
    set(&mut ada, 7, "a");
    set(&mut ada, 8, "b");
    ada.play(&mut stage);
    ada.client.delete(8, false).expect("it fits");
    set_room(&mut cy, 9, "r");
    ada.play(&mut stage);
    cy.play(&mut stage);
    let mut dan = Actor::join(&mut stage, "lobby", "Dan");
    let heard = dan.news(&mut stage);
    assert_eq!(heard[heard.len() - 2..], ["0.9=r", "2.7=a"], "{heard:?}");
    let (_, names) = &stage.wires[dan.wire].bundles[0];
    assert_eq!(names[names.len() - 3..], ["STATE", "STATE", "READY"]);
    assert_eq!(
        dan.capabilities & down::capability::STATES,
        down::capability::STATES
    );
    // What follows comes once.
    set(&mut ada, 7, "c");
    ada.play(&mut stage);
    assert_eq!(dan.news(&mut stage), ["2.7=c"]);
}

#[test]
fn who_comes_back_has_the_newest_and_no_ghosts() {
    let mut stage = Stage::new(wide());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    for key in 0..3 {
        set(&mut ada, key, "old");
    }
    set(&mut cy, 0, "cy");
    ada.play(&mut stage);
    cy.play(&mut stage);
    assert_eq!(bob.news(&mut stage).len(), 4);
    bob.lose(&mut stage);
    stage.settle();
    ada.client.delete(1, false).expect("it fits");
    set(&mut ada, 2, "new");
    say(&mut ada, "x");
    ada.play(&mut stage);
    cy.client.leave();
    cy.play(&mut stage);
    bob.reopen(&mut stage);
    let mut heard = bob.news(&mut stage);
    assert_eq!(heard.remove(0), "resumed");
    heard.sort_unstable();
    assert_eq!(
        heard,
        ["2.0=old", "2.1 gone", "2.2=new", "2: x", "left 3 0"]
    );
}

#[test]
fn more_deletions_than_are_remembered_void_all() {
    let mut stage = Stage::new(Limits {
        state_keys: 10_000,
        grace_ms: 600_000,
        ..wide()
    });
    let [mut bob, mut ada, _cy] = three(&mut stage);
    set(&mut ada, 1_000_000, "stands");
    ada.play(&mut stage);
    bob.news(&mut stage);
    bob.lose(&mut stage);
    stage.settle();
    for key in 0..3_000 {
        set(&mut ada, key, "x");
        ada.write(&mut stage);
        ada.client.delete(key, false).expect("it fits");
        ada.write(&mut stage);
        if key % 100 == 0 {
            // What has arrived need not be kept.
            stage.now += 3_000;
            ada.client.wake(stage.now * 1_000);
            ada.play(&mut stage);
        }
    }
    ada.play(&mut stage);
    bob.reopen(&mut stage);
    let heard = bob.news(&mut stage);
    let void = heard.iter().position(|line| line == "all gone");
    let stands = heard.iter().position(|line| line == "2.1000000=stands");
    assert!(
        void.is_some() && void < stands,
        "{:?}",
        heard.first_chunk::<5>()
    );
    assert!(heard.len() < 1_200, "few are remembered: {}", heard.len());
}

#[test]
fn whose_audience_changes() {
    let mut stage = Stage::new(wide());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    set(&mut ada, 1, "a");
    ada.play(&mut stage);
    assert_eq!(bob.news(&mut stage), ["2.1=a"]);
    // To all: she hears it too.
    arrive(&mut ada, &mut stage);
    address(&mut ada, 1, StateAudience::All, false);
    assert_eq!(ada.news(&mut stage), ["2.1=a"]);
    set(&mut ada, 1, "b");
    assert_eq!(ada.news(&mut stage), ["2.1=b"]);
    assert_eq!(cy.news(&mut stage), ["2.1=a", "2.1=b"]);
    arrive(&mut ada, &mut stage);
    address(&mut ada, 1, StateAudience::Others, false);
    assert_eq!(ada.news(&mut stage), ["2.1 gone"]);
    set(&mut ada, 1, "c");
    assert!(ada.news(&mut stage).is_empty());
    assert_eq!(bob.news(&mut stage), ["2.1=b", "2.1=c"]);
    // To the host, and there is none.
    arrive(&mut ada, &mut stage);
    address(&mut ada, 1, StateAudience::Host, false);
    assert!(ada.news(&mut stage).is_empty());
    assert_eq!(bob.news(&mut stage), ["2.1 gone"]);
}

#[test]
fn keys_of_the_room_and_keys_that_stay() {
    let mut stage = Stage::new(wide());
    let [mut bob, mut ada, mut cy] = three(&mut stage);
    set_room(&mut ada, 1, "a");
    assert_eq!(ada.news(&mut stage), ["0.1=a"], "the room's go to all");
    set_room(&mut bob, 1, "b");
    bob.play(&mut stage);
    assert_eq!(cy.news(&mut stage), ["0.1=a", "0.1=b"]);
    ada.client.delete(1, true).expect("it fits");
    ada.play(&mut stage);
    assert_eq!(cy.news(&mut stage), ["0.1 gone"]);
    bob.news(&mut stage);
    set(&mut ada, 5, "stays");
    set(&mut ada, 6, "goes");
    address(&mut ada, 5, StateAudience::Others, true);
    ada.play(&mut stage);
    cy.news(&mut stage);
    bob.news(&mut stage);
    stall(&mut stage, &bob);
    ada.client.leave();
    ada.play(&mut stage);
    assert_eq!(cy.news(&mut stage), ["left 2 0", "0.5=stays"]);
    takes_again(&mut stage, &bob);
    assert_eq!(bob.news(&mut stage), ["left 2 0", "0.5=stays"]);
    let mut dan = Actor::join(&mut stage, "lobby", "Dan");
    assert!(dan.news(&mut stage).contains(&"0.5=stays".to_owned()));
}

#[test]
fn nobody_has_more_than_it_may() {
    let mut stage = Stage::new(Limits {
        state_keys: 3,
        state_bytes_max: 100,
        room_state_bytes_max: 150,
        ..wide()
    });
    let [_bob, mut ada, mut cy] = three(&mut stage);
    for key in 0..4 {
        set(&mut ada, key, "x");
    }
    assert_eq!(ada.news(&mut stage), ["refused state 3 4"]);
    ada.client.delete(0, false).expect("it fits");
    set(&mut ada, 3, &"x".repeat(98));
    assert!(ada.news(&mut stage).is_empty());
    set(&mut ada, 1, "xx");
    assert_eq!(ada.news(&mut stage), ["refused state 1 4"], "bytes of hers");
    set(&mut cy, 0, &"x".repeat(51));
    let news = cy.news(&mut stage);
    assert_eq!(
        news.last().map(String::as_str),
        Some("refused state 0 4"),
        "of all"
    );
    set(&mut ada, 3, "");
    ada.play(&mut stage);
    set(&mut cy, 0, &"x".repeat(51));
    assert_eq!(cy.news(&mut stage), ["2.3="]);
}

/// It sends a packet a second and reads nothing for a minute.
#[test]
fn who_reads_nothing_costs_little_and_stays() {
    let mut stage = Stage::new(Limits::default());
    let names: Vec<String> = (0..50).map(|player| format!("p{player}")).collect();
    let mut all: Vec<Actor> = names
        .iter()
        .map(|name| Actor::join(&mut stage, "lobby", name))
        .collect();
    all.iter_mut().for_each(|actor| {
        actor.news(&mut stage);
    });
    stage.wires[all[0].wire].space = 128 * 1024;
    let mut most = 0;
    let mut value = String::new();
    for tick in 0..60 * 20 {
        value = format!("{tick:064}");
        for actor in &mut all[1..] {
            for key in 0..3 {
                set(actor, key, &value);
            }
            actor.write(&mut stage);
        }
        stage.pass(50, 50);
        for actor in &mut all[1..] {
            actor.client.wake(stage.now * 1_000);
            actor.hear(&mut stage);
            actor.heard.clear();
        }
        if tick % 20 == 0 {
            say(&mut all[0], "here");
            all[0].write(&mut stage);
        }
        let slot = stage.slot(all[0].wire).expect("it stays");
        let (queued, input) = stage.shard.held(slot);
        most = most.max(queued + input);
    }
    assert!(most <= 64 * 1024, "{most} bytes are held for it");
    assert_eq!(stage.wires[all[0].wire].closed, None);
    stage.messages(all[0].wire);
    stage.wires[all[0].wire].bundles.clear();
    takes_again(&mut stage, &all[0]);
    stage.settle();
    let messages = stage.messages(all[0].wire);
    // What had begun to leave comes first; then two bundles have everything.
    let newest = |message: &Vec<u8>| {
        let packets = down::Bundle::decode(message).expect("a bundle").packets;
        let fresh = |packet: &down::Packet<'_>| match packet {
            down::Packet::State { payload, .. } => payload.bytes() == value.as_bytes(),
            _ => false,
        };
        packets
            .filter(|packet| fresh(packet.as_ref().expect("a packet")))
            .count()
    };
    let fresh: Vec<usize> = messages.iter().map(newest).collect();
    let begun = fresh
        .iter()
        .position(|count| *count > 0)
        .expect("the newest");
    let first_two: usize = fresh[begun..].iter().take(2).sum();
    assert_eq!(first_two, 49 * 3, "{fresh:?}");
    assert_eq!(fresh.iter().sum::<usize>(), 49 * 3, "each once");
}

#[test]
fn a_key_counts_once_whether_its_audience_or_its_value_comes_first() {
    let mut stage = Stage::new(Limits {
        state_keys: 1,
        ..wide()
    });
    let [mut bob, mut ada, _] = three(&mut stage);
    address(&mut ada, 1, StateAudience::All, false);
    set(&mut ada, 1, "a");
    assert_eq!(ada.news(&mut stage), ["2.1=a"]);
    assert_eq!(bob.news(&mut stage), ["2.1=a"]);
    // Nor is there another one, and not by addressing one that was deleted.
    arrive(&mut ada, &mut stage);
    set(&mut ada, 2, "b");
    assert_eq!(ada.news(&mut stage), ["refused state 2 4"]);
    address(&mut ada, 1, StateAudience::Others, false);
    ada.client.delete(1, false).expect("it fits");
    ada.play(&mut stage);
    set(&mut ada, 2, "b");
    ada.play(&mut stage);
    address(&mut ada, 1, StateAudience::All, false);
    let news = ada.news(&mut stage);
    assert!(
        news.last().is_some_and(|line| line.starts_with("refused ")),
        "{news:?}"
    );
    assert_eq!(bob.news(&mut stage), ["2.1 gone", "2.2=b"]);
}
