//! Whatever is set and deleted and wherever connections break or stall: in the end everybody has the newest of each key that
//! is addressed to it, and no value ever comes before an earlier event of its author, or after a newer one.

use proptest::prelude::*;
use roomcast::limits::Limits;

use crate::model::{Deed, Model, View};
use crate::stage::{Actor, Stage, WIDE};
use crate::ticks::{ticking, wish};

const PLAYERS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Do(usize, Deed),
    Write(usize),
    Hear(usize),
    Lose(usize),
    Abandon(usize),
    Reopen(usize),
    Squeeze(usize, usize),
    Iterate,
    Pass(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let key = 0..3u32;
    prop_oneof![
        8 => key.clone().prop_map(Deed::Set),
        2 => key.clone().prop_map(Deed::Delete),
        3 => Just(Deed::Say(1)),
        1 => Just(Deed::Say(9_000)),
        2 => (key, 0..4u32).prop_map(|(key, to)| Deed::Address(key, to)),
        2 => (2..4u32, any::<bool>()).prop_map(|(group, is_in)| Deed::Group(group, is_in)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PLAYERS;
    prop_oneof![
        18 => (who.clone(), deed()).prop_map(|(who, deed)| Step::Do(who, deed)),
        6 => who.clone().prop_map(Step::Write),
        4 => who.clone().prop_map(Step::Hear),
        1 => who.clone().prop_map(Step::Lose),
        1 => who.clone().prop_map(Step::Abandon),
        3 => who.clone().prop_map(Step::Reopen),
        2 => (who, prop_oneof![Just(0usize), 1..300usize, Just(WIDE)])
            .prop_map(|(who, space)| Step::Squeeze(who, space)),
        6 => Just(Step::Iterate),
        2 => (1..400u64).prop_map(Step::Pass),
    ]
}

/// Everybody comes back, says what is left to say, and hears the rest.
fn heal(stage: &mut Stage, actors: &mut [Actor], connected: &[bool]) {
    for (who, actor) in actors.iter_mut().enumerate() {
        if !connected[who] || stage.wires[actor.wire].closed.is_some() {
            actor.reopen(stage);
        }
        stage.wires[actor.wire].space = WIDE;
    }
    for _ in 0..4 {
        for actor in actors.iter_mut() {
            actor.play(stage);
            if let Some((code, _)) = stage.wires[actor.wire].closed.clone() {
                assert_ne!(code, 4006);
                actor.reopen(stage);
                actor.play(stage);
            }
        }
        stage.now += 300;
        stage.settle();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn everybody_has_the_newest_in_the_end(steps in prop::collection::vec(step(), 1..150), hz in wish()) {
        let limits = Limits { packets_per_second: 10_000, grace_ms: 600_000, ..Limits::default() };
        let mut stage = Stage::new(limits);
        let mut wishes = Vec::new();
        let mut actors: Vec<Actor> = ["a", "b", "c", "d"].iter()
            .map(|name| Actor::join_as(&mut stage, "lobby", &ticking(name, hz, &mut wishes))).collect();
        let mut connected = [true; PLAYERS];
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Do(who, deed) => model.does(who as u32 + 1, &mut actors[who], deed),
                Step::Write(who) if connected[who] => {
                    actors[who].write(&mut stage);
                }
                Step::Hear(who) if connected[who] => {
                    actors[who].hear(&mut stage);
                }
                Step::Lose(who) if connected[who] && stage.wires[actors[who].wire].closed.is_none() => {
                    actors[who].lose(&mut stage);
                    connected[who] = false;
                }
                Step::Abandon(who) if connected[who] => {
                    stage.silence(actors[who].wire);
                    connected[who] = false;
                }
                Step::Reopen(who) if !connected[who] => {
                    actors[who].reopen(&mut stage);
                    connected[who] = true;
                }
                Step::Squeeze(who, space) if connected[who] => {
                    stage.wires[actors[who].wire].space = space;
                }
                Step::Iterate => {
                    stage.iterate();
                }
                Step::Pass(ms) => {
                    stage.now += ms;
                    stage.settle();
                }
                _ => {}
            }
        }
        heal(&mut stage, &mut actors, &connected);
        for (who, actor) in actors.iter().enumerate() {
            let mut view = View { own: who as u32 + 1, ..View::default() };
            for line in &actor.heard {
                let heard = view.hear(line);
                prop_assert!(heard.is_ok(), "player {}: {:?} of {:?}", who + 1, heard, actor.heard);
            }
            for count in &view.heard {
                prop_assert!(model.may_have_heard(*count, who as u32 + 1), "player {}: {count}", who + 1);
            }
            prop_assert_eq!(view.keys, model.of(who as u32 + 1), "player {}: {:?}", who + 1, actor.heard);
        }
    }
}
