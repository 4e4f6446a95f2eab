//! What a player is told of values that it was not sent, and of those that it got late.

use proptest::prelude::*;
use roomcast::limits::Limits;

use crate::stage::{Actor, Stage, WIDE};
use crate::states::set;
use crate::ticks::{pinged, ticking, wish};

/// Everything that is said goes through at once, however little a client may send.
fn wide() -> Limits {
    Limits {
        packets_per_second: 100_000,
        ..Limits::default()
    }
}

fn set_now(stage: &mut Stage, actor: &mut Actor, key: u32, value: &str) {
    set(actor, key, value);
    assert!(actor.write(stage));
    stage.settle();
}

/// Bob and Ada in a room that ticks so often; who takes nothing has nothing left to take in the kernel either.
fn two(hz: u64) -> (Stage, Actor, Actor) {
    let mut stage = Stage::new(wide());
    let mut wishes = Vec::new();
    let mut bob = Actor::join_as(&mut stage, "lobby", &ticking("Bob", hz, &mut wishes));
    let mut ada = Actor::join(&mut stage, "lobby", "Ada");
    stage.pass(60, 1);
    bob.news(&mut stage);
    ada.news(&mut stage);
    (stage, bob, ada)
}

#[test]
fn what_a_tick_passes_over_is_counted() {
    let (mut stage, mut bob, mut ada) = two(20);
    for value in ["a", "b", "c"] {
        set_now(&mut stage, &mut ada, 1, value);
    }
    set_now(&mut stage, &mut ada, 2, "d");
    ada.client.delete(2, false).expect("it fits");
    ada.write(&mut stage);
    stage.pass(50, 1);
    assert_eq!(bob.news(&mut stage), ["2.1=c", "2.2 gone"]);
    assert_eq!(pinged(&mut stage, bob.wire).1, 3);
    assert_eq!(pinged(&mut stage, ada.wire).1, 0, "her own");
    // He was in time, however long it is until he is told.
    assert!(bob.ages.is_empty());
    // Another connection counts anew.
    bob.lose(&mut stage);
    bob.reopen(&mut stage);
    bob.play(&mut stage);
    assert_eq!(pinged(&mut stage, bob.wire).1, 0);
}

#[test]
fn who_was_behind_is_told_how_many_there_were_and_how_old_the_newest_are() {
    for hz in [0, 20] {
        let (mut stage, mut bob, mut ada) = two(hz);
        stage.wires[bob.wire].space = 0;
        set_now(&mut stage, &mut ada, 0, "begun");
        stage.pass(50, 1);
        for value in ["a", "b", "c"] {
            set_now(&mut stage, &mut ada, 1, value);
            stage.pass(50, 1);
        }
        set_now(&mut stage, &mut ada, 2, "d");
        stage.pass(400, 1);
        set_now(&mut stage, &mut ada, 3, "e");
        stage.pass(50, 1);
        stage.wires[bob.wire].space = WIDE;
        let mut heard = bob.news(&mut stage);
        heard.retain(|line| line != "2.0=begun");
        assert_eq!(heard, ["2.1=c", "2.2=d", "2.3=e"], "{hz}");
        assert_eq!(pinged(&mut stage, bob.wire).1, 2, "{hz}");
        let ages: Vec<u64> = bob.ages.iter().map(|(ms, _)| *ms).collect();
        match hz {
            0 => assert_eq!(ages, [500, 450, 50]),
            // As of the tick on which the last of it left.
            _ => assert_eq!(ages, [450, 400, 0]),
        }
        // Who keeps up is told no age.
        set_now(&mut stage, &mut ada, 1, "f");
        stage.pass(50, 1);
        assert_eq!(bob.news(&mut stage), ["2.1=f"]);
        assert_eq!(bob.ages.len(), 3);
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A key is given a value of so many bytes.
    Set(usize, u32, usize),
    Squeeze(usize, usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..3usize;
    prop_oneof![
        12 => (who.clone(), 0..3u32, prop_oneof![3 => Just(4usize), 1 => Just(300)])
            .prop_map(|(who, key, len)| Step::Set(who, key, len)),
        3 => (who.clone(), prop_oneof![Just(0usize), 1..300usize, Just(WIDE)])
            .prop_map(|(who, space)| Step::Squeeze(who, space)),
        // It takes a little again and again, and never all of what waits first.
        4 => (who, 1..9usize)
            .prop_map(|(who, space)| Step::Squeeze(who, space)),
        4 => (1..120u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn every_value_has_come_or_is_counted(steps in prop::collection::vec(step(), 1..120), hz in wish()) {
        let mut stage = Stage::new(wide());
        let mut wishes = Vec::new();
        let mut actors = ["a", "b", "c"]
            .map(|name| Actor::join_as(&mut stage, "lobby", &ticking(name, hz, &mut wishes)));
        stage.pass(60, 1);
        actors.iter_mut().for_each(|actor| drop(actor.news(&mut stage)));
        let mut said = [0u64; 3];
        for step in steps {
            match step {
                Step::Set(who, key, len) => {
                    said[who] += 1;
                    set(&mut actors[who], key, &format!("{:>len$}", said[who]));
                    prop_assert!(actors[who].write(&mut stage));
                    stage.iterate();
                }
                Step::Squeeze(who, space) => stage.wires[actors[who].wire].space = space,
                Step::Pass(ms) => stage.pass(ms, 1),
            }
        }
        for actor in &actors {
            stage.wires[actor.wire].space = WIDE;
        }
        stage.pass(60, 1);
        for (who, actor) in actors.iter_mut().enumerate() {
            let heard = actor.news(&mut stage);
            let heard = heard.iter().filter(|line| line.contains('=')).count() as u64;
            let others: u64 = said.iter().sum::<u64>() - said[who];
            let (_, superseded) = pinged(&mut stage, actor.wire);
            prop_assert_eq!(heard + superseded, others, "player {}: {} heard", who + 1, heard);
        }
    }
}
