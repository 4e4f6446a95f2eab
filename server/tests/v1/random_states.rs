//! Whatever is set and deleted and wherever connections break or stall: in the end everybody has the newest of each key that
//! is addressed to it, and no value ever comes before an earlier event of its author, or after a newer one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use roomcast::limits::Limits;
use roomcast_protocol::v1::up::{Audience, KeyAudience, StateAudience};
use roomcast_protocol::v1::{Groups, Payload};

use crate::stage::{Actor, Stage, WIDE};

const PLAYERS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    /// A player sets, or deletes, a key.
    Set(usize, u32),
    Delete(usize, u32),
    /// It says something to the others.
    Say(usize),
    /// It says much.
    SayMuch(usize),
    /// Its key goes to the others (0), all (1) or a group from now on.
    Address(usize, u32, u32),
    /// It joins or leaves a group.
    Group(usize, u32, bool),
    Write(usize),
    Hear(usize),
    Lose(usize),
    Abandon(usize),
    Reopen(usize),
    Squeeze(usize, usize),
    Iterate,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PLAYERS;
    let key = 0..3u32;
    prop_oneof![
        8 => (who.clone(), key.clone()).prop_map(|(who, key)| Step::Set(who, key)),
        2 => (who.clone(), key.clone()).prop_map(|(who, key)| Step::Delete(who, key)),
        3 => who.clone().prop_map(Step::Say),
        1 => who.clone().prop_map(Step::SayMuch),
        2 => (who.clone(), key, 0..4u32).prop_map(|(who, key, to)| Step::Address(who, key, to)),
        2 => (who.clone(), 2..4u32, any::<bool>()).prop_map(|(who, group, is_in)| Step::Group(who, group, is_in)),
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

/// What one player knows, by what it has heard.
#[derive(Debug, Default)]
struct View {
    /// Who it is: own events are not heard.
    own: u32,
    /// Values by author and key.
    keys: BTreeMap<(u32, u32), u64>,
    /// The last event of each author.
    events: BTreeMap<u32, u64>,
    /// All values that it ever heard.
    heard: BTreeSet<u64>,
    /// Something was missed.
    reset: bool,
}

impl View {
    /// One more line; what is wrong with it.
    fn hear(&mut self, line: &str) -> Result<(), String> {
        if line.starts_with("reset") {
            self.reset = true;
        } else if line.starts_with("welcome") || line == "all gone" {
            self.keys.clear();
        } else if let Some(gone) = line.strip_suffix(" gone") {
            self.keys.remove(&name(gone));
        } else if let Some((author, text)) = line.split_once(": ") {
            let count = text.split(' ').next().and_then(|count| count.parse().ok());
            self.events
                .insert(author.parse().unwrap_or(0), count.unwrap_or(0));
        } else if let Some((key, value)) = line.split_once('=') {
            let (author, key) = name(key);
            let (count, event) = value.split_once(' ').expect("two numbers");
            let (count, event): (u64, u64) = (count.parse().unwrap(), event.parse().unwrap());
            let before = self.keys.insert((author, key), count);
            self.heard.insert(count);
            if before > Some(count) {
                return Err(format!("{line} after {before:?}"));
            }
            let heard = self.events.get(&author).copied().unwrap_or(0);
            if heard < event && author != self.own && !self.reset {
                return Err(format!("{line} before event {event}: {heard}"));
            }
        }
        Ok(())
    }
}

fn name(key: &str) -> (u32, u32) {
    let (author, key) = key.split_once('.').expect("an author and a key");
    (author.parse().unwrap(), key.parse().unwrap())
}

/// What was said, and what holds.
#[derive(Default)]
struct Model {
    count: u64,
    keys: BTreeMap<(u32, u32), u64>,
    events: BTreeMap<u32, u64>,
    /// To whom each key goes, and each value ever went.
    to: BTreeMap<(u32, u32), u32>,
    went: BTreeMap<u64, BTreeSet<u32>>,
    /// Who is in which group, and ever was.
    groups: BTreeSet<(u32, u32)>,
    ever: BTreeSet<(u32, u32)>,
}

impl Model {
    fn does(&mut self, who: usize, actor: &mut Actor, step: &Step) {
        let author = who as u32 + 1;
        self.count += 1;
        let count = self.count;
        match *step {
            Step::Set(_, key) => {
                let event = self.events.get(&author).copied().unwrap_or(0);
                let value = format!("{count} {event}");
                let set = actor.client.state(key, false, Payload::Text(&value));
                set.expect("it fits");
                self.keys.insert((author, key), count);
                self.goes(author, key);
            }
            Step::Delete(_, key) => {
                actor.client.delete(key, false).expect("it fits");
                self.keys.remove(&(author, key));
            }
            Step::Address(_, key, to) => {
                let audience = KeyAudience {
                    key,
                    room: false,
                    to: match to {
                        0 => StateAudience::Others,
                        1 => StateAudience::All,
                        group => StateAudience::Group(group),
                    },
                    stays: false,
                };
                actor.client.audience(audience).expect("it fits");
                self.to.insert((author, key), to);
                self.goes(author, key);
            }
            Step::Group(_, group, is_in) => {
                let mut buffer = Vec::new();
                let groups = Groups::encode([(group, is_in)], &mut buffer).expect("a group");
                actor.client.groups(false, groups).expect("it fits");
                if is_in {
                    self.groups.insert((author, group));
                    self.ever.insert((author, group));
                } else {
                    self.groups.remove(&(author, group));
                }
            }
            _ => {
                let much = matches!(step, Step::SayMuch(_));
                let text = format!("{count} {}", "x".repeat(if much { 9_000 } else { 1 }));
                let said = actor
                    .client
                    .event(Audience::Others, Payload::Text(&text), false);
                if said.is_ok() {
                    self.events.insert(author, count);
                }
            }
        }
    }

    /// What a player knows in the end.
    fn of(&self, player: u32) -> BTreeMap<(u32, u32), u64> {
        let is_for = |name: &(u32, u32)| match self.to.get(name).copied().unwrap_or(0) {
            0 => name.0 != player,
            1 => true,
            group => name.0 != player && self.groups.contains(&(player, group)),
        };
        let keys = self.keys.iter();
        keys.filter(|(name, _)| is_for(name))
            .map(|(name, count)| (*name, *count))
            .collect()
    }

    /// The value of a key goes to whom the key is addressed to now.
    fn goes(&mut self, author: u32, key: u32) {
        if let Some(count) = self.keys.get(&(author, key)) {
            let to = self.to.get(&(author, key)).copied().unwrap_or(0);
            self.went.entry(*count).or_default().insert(to);
        }
    }

    /// Whether a value may ever have reached a player.
    fn may_have_heard(&self, count: u64, player: u32) -> bool {
        let went = self.went.get(&count).into_iter().flatten();
        went.into_iter()
            .any(|to| *to < 2 || self.ever.contains(&(player, *to)))
    }
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
    fn everybody_has_the_newest_in_the_end(steps in prop::collection::vec(step(), 1..150)) {
        let limits = Limits { packets_per_second: 10_000, grace_ms: 600_000, ..Limits::default() };
        let mut stage = Stage::new(limits);
        let mut actors: Vec<Actor> = ["a", "b", "c", "d"].iter()
            .map(|name| Actor::join(&mut stage, "lobby", name)).collect();
        let mut connected = [true; PLAYERS];
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Set(who, _) | Step::Delete(who, _) | Step::Say(who) | Step::SayMuch(who)
                | Step::Address(who, ..) | Step::Group(who, ..) => model.does(who, &mut actors[who], &step),
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
