//! Hosts that are lost, hand over, leave and come back in the middle of a game, at random: there is one host in a term, nothing
//! of an old term is applied, and whoever becomes the host has the whole game.
//!
//! The game is a list of moves: everything that was said to the host, in order. Whoever is the host keeps it, leaves it with
//! the relay as a snapshot when it likes, and goes on from a snapshot and its tail when it is given one. In the end the list
//! of the last host is what all together said to the host, each move once and in the order of the room.

use std::collections::BTreeMap;

use proptest::prelude::*;
use roomcast::limits::Limits;
use roomcast::planted::{self, Fault};
use roomcast_protocol::v1::Pairs;
use roomcast_protocol::v1::Payload;
use roomcast_protocol::v1::up::{Act, Audience};

use crate::hosts::{act, id, knowing};
use crate::stage::{Actor, Stage};

const PLAYERS: usize = 4;

/// What happens next. Most say who it happens to.
#[derive(Debug, Clone)]
enum Step {
    /// A player makes a move.
    Move(usize),
    /// The host says something as host, or who believes that it is.
    Rule(usize),
    /// Its packets arrive.
    Write(usize),
    /// It looks at what has come.
    Hear(usize),
    /// Whoever is the host by what it has heard leaves a snapshot.
    Snapshot(usize),
    HandOver(usize, usize),
    Willing(usize, bool, bool),
    /// Its connection breaks, and it knows.
    Lose(usize),
    /// It gives its connection up, and the relay does not know.
    Abandon(usize),
    Reopen(usize),
    /// Its socket takes so many bytes and no more.
    Squeeze(usize, usize),
    /// The relay does one iteration.
    Iterate,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PLAYERS;
    prop_oneof![
        6 => who.clone().prop_map(Step::Move),
        2 => who.clone().prop_map(Step::Rule),
        6 => who.clone().prop_map(Step::Write),
        6 => who.clone().prop_map(Step::Hear),
        3 => who.clone().prop_map(Step::Snapshot),
        1 => (who.clone(), who.clone()).prop_map(|(who, to)| Step::HandOver(who, to)),
        1 => (who.clone(), any::<bool>(), any::<bool>()).prop_map(|(who, willing, visible)| Step::Willing(who, willing, visible)),
        2 => who.clone().prop_map(Step::Lose),
        1 => who.clone().prop_map(Step::Abandon),
        4 => who.clone().prop_map(Step::Reopen),
        1 => (who, prop_oneof![Just(0usize), 1..300usize, Just(1usize << 20)])
            .prop_map(|(who, space)| Step::Squeeze(who, space)),
        5 => Just(Step::Iterate),
        2 => (1..1_500u64).prop_map(Step::Pass),
    ]
}

/// A player and the game as it knows it.
struct Mind {
    actor: Actor,
    is_connected: bool,
    /// How many lines of what it heard it has dealt with.
    dealt_with: usize,
    /// The host and its term, as far as it knows.
    host: Option<(u32, u64)>,
    /// The moves, while it is the host and has all of them.
    game: Option<Vec<String>>,
    /// It is promised a snapshot that has not come.
    is_promised: bool,
    /// It is in the middle of a tail.
    in_tail: bool,
    /// Moves that were applied to the snapshot it is going on from.
    tail: Vec<String>,
    /// What anybody said as host, and in which term it was heard.
    ruled: Vec<(u32, String)>,
}

impl Mind {
    fn me(&self, who: usize) -> u32 {
        who as u32 + 2
    }

    fn is_host(&self, who: usize) -> bool {
        self.host.is_some_and(|(id, _)| id == self.me(who))
    }

    /// Goes on with what came.
    fn think(&mut self, who: usize) {
        let me = self.me(who);
        let lines: Vec<String> = self.actor.heard[self.dealt_with..].to_vec();
        self.dealt_with = self.actor.heard.len();
        for line in lines {
            if let Some(said) = line.strip_prefix("tail ") {
                if let Some((_, a_move)) = said.split_once(" to some: ") {
                    self.tail.push(a_move.to_owned());
                }
            } else if let Some(state) = line.strip_prefix("snapshot ") {
                let state = state.trim_end_matches(", cut");
                if !state.starts_with("wanted") {
                    self.tail = state
                        .split(' ')
                        .filter(|a_move| !a_move.is_empty())
                        .map(str::to_owned)
                        .collect();
                    self.in_tail = true;
                }
            } else if line == "ready" {
                self.in_tail = false;
                self.is_promised = false;
                let host = self.is_host(who);
                self.game = host.then(|| std::mem::take(&mut self.tail));
            } else if let Some(host) = line.strip_prefix("host ") {
                let (id, rest) = host.split_once(" in term ").expect("a host");
                let (term, given) = rest
                    .split_once(',')
                    .map_or((rest, false), |(term, _)| (term, true));
                let before = self.host;
                self.host = Some((id.parse().expect("an id"), term.parse().expect("a term")));
                if self.host != before {
                    self.is_promised = self.is_host(who) && given;
                    // Who becomes the host where nothing was left begins with nothing.
                    self.game = (self.is_host(who) && !given).then(Vec::new);
                }
            } else if line.starts_with("welcome") {
                self.game = None;
                self.in_tail = false;
                self.host = None;
                self.tail.clear();
            } else if let Some((author, said)) = line.split_once(" as host: ") {
                self.ruled
                    .push((author.parse().expect("an id"), said.to_owned()));
            } else if let Some((_, a_move)) = line.split_once(" to some: ")
                && let Some(game) = &mut self.game
                && self.host.is_some_and(|(id, _)| id == me)
            {
                game.push(a_move.to_owned());
            }
        }
    }
}

/// Plays these steps and says what is wrong in the end, if anything is.
fn play(steps: &[Step], host_grace_ms: u32) -> Result<(), String> {
    let mut stage = Stage::new(Limits {
        packets_per_second: 10_000,
        grace_ms: 600_000,
        host_grace_ms,
        ..Limits::default()
    });
    // The witness hears everything, over a connection that holds; it can't be the host.
    let mut witness = Actor::join(&mut stage, "lobby", "witness");
    let mut minds: Vec<Mind> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| Mind {
            actor: Actor::join_as(&mut stage, "lobby", &knowing(name, Pairs::EMPTY)),
            is_connected: true,
            dealt_with: 0,
            host: None,
            game: None,
            is_promised: false,
            in_tail: false,
            tail: Vec::new(),
            ruled: Vec::new(),
        })
        .collect();
    for (who, mind) in minds.iter_mut().enumerate() {
        mind.think(who);
    }
    // The first host leaves a snapshot of nothing, so every later one is given something.
    let seq = minds[0].actor.client.cursor().expect("a cursor").seq;
    act(&mut minds[0].actor, 1, Act::Snapshot { seq, state: b"" });
    minds[0].actor.play(&mut stage);
    let mut moves = 0;
    let mut rules: BTreeMap<String, u64> = BTreeMap::new();
    for step in steps {
        take(step, &mut stage, &mut minds, &mut moves, &mut rules);
        witness.play(&mut stage);
        for (who, mind) in minds.iter_mut().enumerate() {
            mind.think(who);
        }
    }
    settle(&mut stage, &mut minds, &mut witness);
    judge(&minds, &witness, moves, &rules)
}

fn take(
    step: &Step,
    stage: &mut Stage,
    minds: &mut [Mind],
    moves: &mut usize,
    rules: &mut BTreeMap<String, u64>,
) {
    match *step {
        Step::Move(who) => {
            let said = format!("m{moves}");
            let payload = Payload::Text(&said);
            let client = &mut minds[who].actor.client;
            if client.event(Audience::Host, payload, false).is_ok() {
                *moves += 1;
            }
        }
        Step::Rule(who) => {
            if let Some((_, term)) = minds[who].host {
                let said = format!("r{}", rules.len());
                let payload = Payload::Text(&said);
                let client = &mut minds[who].actor.client;
                if client
                    .event_as_host(term, Audience::All, payload, false)
                    .is_ok()
                {
                    rules.insert(said, term);
                }
            }
        }
        Step::Write(who) if minds[who].is_connected => {
            minds[who].actor.write(stage);
        }
        Step::Hear(who) if minds[who].is_connected => {
            minds[who].actor.hear(stage);
        }
        Step::Snapshot(who) => {
            let mind = &mut minds[who];
            if let (Some(game), Some((_, term)), Some(cursor)) =
                (&mind.game, mind.host, mind.actor.client.cursor())
            {
                let (state, seq) = (game.join(" "), cursor.seq);
                let state = state.as_bytes();
                let _ = mind.actor.client.act(term, Act::Snapshot { seq, state });
            }
        }
        Step::HandOver(who, to) => {
            if let Some((_, term)) = minds[who].host {
                let to = id(to as u32 + 2);
                let _ = minds[who].actor.client.act(term, Act::HandOver(to));
            }
        }
        Step::Willing(who, willing, visible) => {
            let _ = minds[who].actor.client.willing(willing, visible);
        }
        Step::Lose(who) if minds[who].is_connected => {
            minds[who].actor.lose(stage);
            minds[who].is_connected = false;
        }
        Step::Abandon(who) if minds[who].is_connected => {
            stage.silence(minds[who].actor.wire);
            minds[who].is_connected = false;
        }
        Step::Reopen(who) if !minds[who].is_connected => {
            minds[who].actor.reopen(stage);
            minds[who].is_connected = true;
        }
        Step::Squeeze(who, space) if minds[who].is_connected => {
            stage.wires[minds[who].actor.wire].space = space;
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

/// Everybody comes back, and the network heals.
fn settle(stage: &mut Stage, minds: &mut [Mind], witness: &mut Actor) {
    for mind in minds.iter_mut() {
        if !mind.is_connected || stage.wires[mind.actor.wire].closed.is_some() {
            mind.actor.reopen(stage);
        }
        stage.wires[mind.actor.wire].space = 1 << 30;
        mind.actor
            .client
            .willing(true, true)
            .expect("it keeps little");
    }
    for _ in 0..40 {
        for (who, mind) in minds.iter_mut().enumerate() {
            if !mind.actor.client.wake(stage.now * 1_000) {
                mind.actor.reopen(stage);
                stage.wires[mind.actor.wire].space = 1 << 30;
            }
            mind.actor.play(stage);
            if let Some((code, why)) = stage.wires[mind.actor.wire].closed.clone() {
                assert!(code != 4006, "{why}");
                mind.actor.reopen(stage);
                stage.wires[mind.actor.wire].space = 1 << 30;
                mind.actor.play(stage);
            }
            mind.think(who);
        }
        witness.client.wake(stage.now * 1_000);
        witness.play(stage);
        stage.pass(100, 50);
    }
}

fn judge(
    minds: &[Mind],
    witness: &Actor,
    moves: usize,
    rules: &BTreeMap<String, u64>,
) -> Result<(), String> {
    // One host in a term, and terms grow.
    let mut terms: Vec<(u64, u32)> = Vec::new();
    let mut applied = Vec::new();
    for line in &witness.heard {
        if let Some(host) = line.strip_prefix("host ") {
            let (id, term) = host.split_once(" in term ").expect("a host");
            let term = term.trim_end_matches(", given");
            let (term, id) = (term.parse().expect("a term"), id.parse().expect("an id"));
            if terms.last().is_some_and(|(last, _)| *last >= term) {
                return Err(format!("term {term} after {terms:?}"));
            }
            terms.push((term, id));
        } else if let Some((author, rule)) = line.split_once(" as host: ") {
            let author: u32 = author.parse().expect("an id");
            let now = *terms.last().expect("a host was told before");
            if (rules[rule], author) != now {
                return Err(format!(
                    "{rule} of term {} was applied in {now:?}",
                    rules[rule]
                ));
            }
            applied.push(rule);
        }
    }
    let (term, host) = *terms.last().expect("there was a host");
    let mut known = minds.iter().filter_map(|mind| mind.host);
    if let Some(other) = known.find(|known| *known != (host, term)) {
        return Err(format!(
            "{other:?} is the host to somebody, and {:?} to all",
            (host, term)
        ));
    }
    let Some(mind) = (host as usize)
        .checked_sub(2)
        .and_then(|who| minds.get(who))
    else {
        return Err("nobody is the host, and all are willing".to_owned());
    };
    let Some(game) = &mind.game else {
        return Err(format!(
            "the host {host} has no game: {:?}",
            mind.actor.heard
        ));
    };
    // Moves that were made while nobody was the host are refused, and only those are missing.
    let mut once = game.clone();
    once.sort_unstable();
    once.dedup();
    if once.len() != game.len() {
        return Err(format!("a move twice: {game:?}"));
    }
    let refused = minds.iter().flat_map(|mind| &mind.actor.heard);
    let refused = refused.filter(|line| line.starts_with("refused") && line.ends_with(" 2"));
    let lost = moves - game.len();
    if lost > refused.count() {
        return Err(format!("{lost} of {moves} moves are missing in {game:?}"));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whoever_is_the_host_has_the_whole_game(
        steps in prop::collection::vec(step(), 1..120),
        host_grace_ms in prop_oneof![Just(0u32), 1..2_000u32],
    ) {
        prop_assert_eq!(play(&steps, host_grace_ms), Ok(()));
    }
}

/// The random test would find a tail that begins late.
#[test]
fn a_tail_that_begins_late_is_found() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let steps = prop::collection::vec(step(), 1..120);
    planted::plant(Some(Fault::LateTail));
    let found = (0..1_000).any(|_| {
        let steps = steps.new_tree(&mut runner).expect("steps").current();
        play(&steps, 0).is_err()
    });
    planted::plant(None);
    assert!(found, "in a thousand games");
}
