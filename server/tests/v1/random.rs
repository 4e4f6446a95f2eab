//! Whatever is said and wherever connections break: every event once and in order, or a *reset*.

use std::collections::BTreeMap;

use proptest::prelude::*;
use roomcast::limits::Limits;
use roomcast_protocol::v1::up::Audience;
use roomcast_protocol::v1::{List, Payload, PlayerId};

use crate::stage::{Actor, Stage};
use crate::ticks::{ticking, wish};

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A player says something to others (0), all (1), one (2) or two (3).
    Say(usize, u8, usize),
    /// A player's packets arrive.
    Write(usize),
    /// A player looks at what has come.
    Hear(usize),
    /// A connection breaks, and its client knows.
    Lose(usize),
    /// A client gives its connection up, and the relay does not know.
    Abandon(usize),
    /// A client without a connection opens one.
    Reopen(usize),
    /// The socket of a player takes so many bytes and no more.
    Squeeze(usize, usize),
    /// The relay does one iteration.
    Iterate,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..4usize;
    prop_oneof![
        6 => (who.clone(), 0..4u8, 0..4usize).prop_map(|(who, to, whom)| Step::Say(who, to, whom)),
        5 => who.clone().prop_map(Step::Write),
        4 => who.clone().prop_map(Step::Hear),
        1 => who.clone().prop_map(Step::Lose),
        1 => who.clone().prop_map(Step::Abandon),
        3 => who.clone().prop_map(Step::Reopen),
        1 => (who, prop_oneof![Just(0usize), 1..300usize, Just(1usize << 20)])
            .prop_map(|(who, space)| Step::Squeeze(who, space)),
        5 => Just(Step::Iterate),
        2 => (1..400u64).prop_map(Step::Pass),
    ]
}

/// What everybody must have heard, by the order in which the first player, who never loses anything, has heard it.
#[derive(Default)]
struct Oracle {
    /// Each thing that was said: its author and its audience (None: all but the author).
    said: BTreeMap<String, (u32, Option<Vec<u32>>)>,
}

impl Oracle {
    fn is_for(&self, line: &str, player: u32) -> bool {
        let (author, audience) = &self.said[line];
        match audience {
            Some(players) => players.contains(&player),
            None => *author != player,
        }
    }
}

fn text(line: &str) -> Option<&str> {
    line.split_once(": ").map(|(_, text)| text)
}

proptest! {
    #[test]
    fn every_event_once_and_in_order(steps in prop::collection::vec(step(), 1..120), hz in wish()) {
        let mut stage = Stage::new(Limits { packets_per_second: 10_000, grace_ms: 600_000, ..Limits::default() });
        // The witness hears everything, over a connection that holds.
        let mut wishes = Vec::new();
        let mut witness = Actor::join_as(&mut stage, "lobby", &ticking("witness", hz, &mut wishes));
        let mut actors: Vec<Actor> = ["a", "b", "c", "d"].iter()
            .map(|name| Actor::join(&mut stage, "lobby", name)).collect();
        let mut connected = [true; 4];
        let mut oracle = Oracle::default();
        for step in steps {
            match step {
                Step::Say(who, to, whom) => {
                    let said = format!("{}", oracle.said.len());
                    let author = who as u32 + 2;
                    let whom = whom as u32 + 2;
                    // The witness is told everything, so that it knows the order.
                    let mut list = vec![1, whom, author];
                    list.sort_unstable();
                    list.dedup();
                    let mut buffer = Vec::new();
                    let ids = list.iter().filter_map(|id| PlayerId::new(*id));
                    let ids = List::encode(ids, &mut buffer).expect("a list");
                    let (audience, players) = match to {
                        0 => (Audience::Others, None),
                        1 => (Audience::All, Some((1..=5).collect())),
                        _ => (Audience::List(ids), Some(list)),
                    };
                    if actors[who].client.event(audience, Payload::Text(&said), false).is_ok() {
                        oracle.said.insert(said, (author, players));
                    }
                }
                Step::Write(who) if connected[who] => {
                    actors[who].write(&mut stage);
                }
                Step::Hear(who) if connected[who] => {
                    actors[who].hear(&mut stage);
                }
                Step::Lose(who) if connected[who] => {
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
                    witness.client.wake(stage.now * 1_000);
                    witness.play(&mut stage);
                }
                _ => {}
            }
            witness.play(&mut stage);
        }
        // Everybody comes back and hears the rest.
        for (who, actor) in actors.iter_mut().enumerate() {
            if !connected[who] || stage.wires[actor.wire].closed.is_some() {
                actor.reopen(&mut stage);
            }
            stage.wires[actor.wire].space = 1 << 30;
        }
        for _ in 0..3 {
            for actor in actors.iter_mut().chain([&mut witness]) {
                actor.play(&mut stage);
                if let Some((code, _)) = stage.wires[actor.wire].closed.clone() {
                    prop_assert!(code != 4006, "{:?}", stage.wires[actor.wire].closed);
                    actor.reopen(&mut stage);
                    actor.play(&mut stage);
                }
            }
            stage.now += 300;
            stage.settle();
        }
        let order: Vec<String> = witness.heard.iter().filter_map(|line| text(line).map(str::to_owned)).collect();
        let mut once = order.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), order.len(), "the witness heard something twice");
        prop_assert_eq!(order.len(), oracle.said.len(), "all that was said was applied");
        for (who, actor) in actors.iter().enumerate() {
            let player = who as u32 + 2;
            let was_reset = actor.heard.iter().any(|line| line.starts_with("reset"));
            let heard: Vec<&str> = actor.heard.iter().filter_map(|line| text(line)).collect();
            let expected: Vec<&str> = order.iter().map(String::as_str)
                .filter(|line| oracle.is_for(line, player)).collect();
            if was_reset {
                // A part of it, in order.
                let mut rest = expected.iter();
                prop_assert!(heard.iter().all(|line| rest.any(|other| other == line)));
            } else {
                prop_assert_eq!(heard, expected, "player {}", player);
            }
            prop_assert!(actor.heard.iter().filter(|line| line.starts_with("welcome")).count() >= 1);
        }
    }
}
