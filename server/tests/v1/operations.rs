//! Players of roomcast.v1 who do whatever a source of decisions says: honest ones, who lose their connections anywhere and come
//! back by their tokens; strangers, who send any bytes; raw players.
//!
//! Owns: what happens next, and what must hold whatever does. Must not know: sockets, other reactors (the simulation does).
//! Invariant: the same decisions make the same run.

use std::collections::BTreeSet;

use roomcast::limits::Limits;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::Opcode;
use roomcast_protocol::v1::up::{self, Audience};
use roomcast_protocol::v1::{
    Change, Groups, Guard, List, Name, PairValue, Pairs, Payload, PlayerId, SUBPROTOCOL, setting,
};

use super::choices::Choices;
use super::model::{Deed, Model, View};
use super::stage::{Actor, Stage, WIDE, WireId, join};

/// Honest players who ever come; and connections of others.
const HONEST: usize = 10;
const OTHERS: usize = 40;
/// For longer than a run lasts.
const GRACE_MS: u32 = 600_000;

/// What an honest player said to all: its id, and a number that nobody says twice.
type Said = (u32, u64);

/// One who keeps to the protocol, with the client of `protocol`.
struct Honest {
    actor: Actor,
    id: u32,
    connected: bool,
    /// How much the witness had heard once it was welcomed; 0: it was there before anybody said anything.
    joined_at: usize,
}

struct Table<'c> {
    choices: Choices<'c>,
    stage: Stage,
    /// Hears everything over a connection that holds, and so knows the order.
    witness: Actor,
    honest: Vec<Honest>,
    /// The ids of all who ever came.
    names: BTreeSet<u32>,
    others: Vec<WireId>,
    model: Model,
}

/// Plays so many steps, or until there is nothing left to decide with; then everybody comes back, and goes.
///
/// # Panics
///
/// If anything is wrong.
pub(crate) fn run(choices: Choices<'_>, steps: usize) {
    let mut table = Table::new(choices);
    for _ in 0..steps {
        if table.choices.are_used_up() {
            break;
        }
        table.step();
        table.keep_up();
    }
    table.heal();
    table.judge();
    table.clear();
}

impl<'c> Table<'c> {
    fn new(mut choices: Choices<'c>) -> Self {
        let bytes = choices.one_of(&[64 * 1024, 256 * 1024, 1024 * 1024]);
        let mut stage = Stage::new(Limits {
            packets_per_second: 10_000,
            grace_ms: GRACE_MS,
            outbox_bytes_max: bytes,
            log_bytes_max: bytes,
            impairment: true,
            ..Limits::default()
        });
        let mut buffer = Vec::new();
        let mut wanted = join("witness");
        let wish = [(setting::RAW, PairValue::Number(1))];
        wanted.wishes = Pairs::encode(wish, &mut buffer).expect("a wish");
        let witness = Actor::join_as(&mut stage, "lobby", &wanted);
        let mut table = Self {
            choices,
            stage,
            witness,
            honest: Vec::new(),
            names: BTreeSet::new(),
            others: Vec::new(),
            model: Model::default(),
        };
        for _ in 0..3 {
            table.come();
        }
        table
    }

    fn step(&mut self) {
        match self.choices.below(32) {
            0..=11 => self.deed(),
            12..=14 => self.with(|honest, stage, _| {
                honest.actor.write(stage);
            }),
            15..=17 => self.with(|honest, stage, _| {
                honest.actor.hear(stage);
            }),
            18..=20 => {
                self.stage.iterate();
            }
            21 => self.pass(),
            22 => self.with(|honest, stage, choices| {
                let space = choices.one_of(&[0, 1, 100, 1 << 14, WIDE, WIDE]);
                stage.wires[honest.actor.wire].space = space;
            }),
            23 => self.part(),
            24 | 25 => self.reopen(),
            26 => self.come(),
            27 => self.leave(),
            28 => self.other_comes(),
            29 | 30 => self.other_speaks(),
            _ => self.other_goes(),
        }
    }

    /// The witness is never late.
    fn keep_up(&mut self) {
        self.witness.client.wake(self.stage.now * 1_000);
        self.witness.write(&mut self.stage);
        self.witness.hear(&mut self.stage);
    }

    fn who(&mut self) -> Option<usize> {
        (!self.honest.is_empty()).then(|| self.choices.below(self.honest.len()))
    }

    /// Somebody who has a connection does this.
    fn with(&mut self, does: impl FnOnce(&mut Honest, &mut Stage, &mut Choices<'c>)) {
        if let Some(who) = self.who()
            && self.honest[who].connected
        {
            does(&mut self.honest[who], &mut self.stage, &mut self.choices);
        }
    }

    /// Somebody says or sets something; it leaves when its client is told to write.
    fn deed(&mut self) {
        let Some(who) = self.who() else { return };
        let key = self.choices.below(3) as u32;
        let deed = match self.choices.below(12) {
            0..=3 => Deed::Set(key),
            4 => Deed::Delete(key),
            5 | 6 => Deed::Say(1),
            7 => Deed::Say(9_000),
            8 => Deed::Address(key, self.choices.below(4) as u32),
            9 => Deed::Group(2 + key % 2, self.choices.once_in(2)),
            10 => return self.whisper(who),
            _ => return self.describe(who),
        };
        let Honest { actor, id, .. } = &mut self.honest[who];
        self.model.does(*id, actor, deed);
    }

    /// Somebody says something that is not for all, or may be lost.
    fn whisper(&mut self, who: usize) {
        let whom = PlayerId::new(1 + self.choices.below(8) as u32).expect("not 0");
        let mut buffer = Vec::new();
        let list = List::encode([whom], &mut buffer).expect("a list");
        let (to, droppable) = match self.choices.below(5) {
            0 => (Audience::One(whom), false),
            1 => (Audience::List(list), false),
            2 => (Audience::Group(2), false),
            3 => (Audience::All, true),
            _ => (Audience::Others, true),
        };
        let client = &mut self.honest[who].actor.client;
        // As much as it keeps may wait already.
        let _ = client.event(to, Payload::Text("psst"), droppable);
    }

    /// Somebody changes its properties, or the room's.
    fn describe(&mut self, who: usize) {
        let key = self.choices.one_of(&["color", "level"]);
        let guard = self.choices.one_of(&[Guard::Any, Guard::Unset]);
        let value = (!self.choices.once_in(3)).then_some(Payload::Text("7"));
        let key = Name::new(key).expect("a key");
        let mut buffer = Vec::new();
        let changes = List::encode([Change { key, guard, value }], &mut buffer).expect("a change");
        let Honest { actor, id, .. } = &mut self.honest[who];
        let owner = PlayerId::new(*id).filter(|_| !self.choices.once_in(3));
        let _ = actor.client.properties(owner, changes);
    }

    /// Time passes, and who has a connection looks at the clock.
    fn pass(&mut self) {
        self.stage.now += 1 + self.choices.below(400) as u64;
        self.stage.iterate();
        for honest in &mut self.honest {
            honest.wake(self.stage.now);
        }
    }

    /// A connection ends: both know it, or only its client.
    fn part(&mut self) {
        let known = self.choices.once_in(2);
        self.with(|honest, stage, _| {
            let wire = honest.actor.wire;
            if stage.wires[wire].closed.is_some() {
                return;
            }
            if known {
                honest.actor.lose(stage);
            } else {
                stage.silence(wire);
            }
            honest.connected = false;
        });
    }

    fn reopen(&mut self) {
        if let Some(who) = self.who()
            && !self.honest[who].is_linked(&self.stage)
        {
            self.honest[who].actor.reopen(&mut self.stage);
            self.honest[who].connected = true;
        }
    }

    /// Somebody new.
    fn come(&mut self) {
        if self.names.len() == HONEST {
            return;
        }
        let actor = Actor::join(&mut self.stage, "lobby", "Ada");
        let id = actor.client.id().expect("it was welcomed").get();
        self.names.insert(id);
        self.keep_up();
        let joined_at = self.order().len();
        self.honest.push(Honest {
            actor,
            id,
            connected: true,
            joined_at,
        });
    }

    /// Somebody goes, once it has heard and said everything.
    fn leave(&mut self) {
        let Some(who) = self.who() else { return };
        self.heal_one(who);
        self.keep_up();
        let mut honest = self.honest.swap_remove(who);
        honest.judge(&self.order(), &self.names);
        honest.actor.client.leave();
        honest.actor.play(&mut self.stage);
        self.stage.close(honest.actor.wire, CloseCode::NORMAL);
        self.model.leaves(honest.id);
    }

    /// A connection of somebody else, who may have joined.
    fn other_comes(&mut self) {
        if self.others.len() == OTHERS {
            return;
        }
        let is_raw = self.choices.once_in(3);
        let wire = self
            .stage
            .connect("/rooms/lobby", (!is_raw).then_some(SUBPROTOCOL));
        if !is_raw && !self.choices.once_in(4) {
            let mut message = Vec::new();
            up::Packet::Join(join("stranger")).encode(&mut message);
            self.stage.send(wire, Opcode::Binary, &message);
        }
        self.others.push(wire);
    }

    fn other(&mut self) -> Option<WireId> {
        let wire = (!self.others.is_empty()).then(|| self.choices.below(self.others.len()));
        wire.map(|wire| self.others[wire])
    }

    /// Anything is sent: packets, cut or changed, or bytes.
    fn other_speaks(&mut self) {
        let Some(wire) = self.other() else { return };
        let mut message = Vec::new();
        for _ in 0..self.choices.below(4) {
            self.packet(&mut message);
        }
        for _ in 0..self.choices.one_of(&[0, 0, 0, 0, 1, 8]) {
            message.push(self.choices.below(256) as u8);
        }
        if self.choices.once_in(8) && !message.is_empty() {
            message.truncate(self.choices.below(message.len().min(1_000)));
        }
        let text = self.choices.once_in(16) && message.is_ascii();
        let opcode = if text { Opcode::Text } else { Opcode::Binary };
        if self.stage.slot(wire).is_some() {
            self.stage.send(wire, opcode, &message);
        }
    }

    /// Some packet.
    fn packet(&mut self, out: &mut Vec<u8>) {
        let key = self.choices.below(5) as u32;
        let room = self.choices.once_in(2);
        let text = self.choices.one_of(&["", "1 1", "x"]);
        let payload = Payload::Text(text);
        let term = self.choices.one_of(&[None, None, Some(1)]);
        let mut buffer = Vec::new();
        match self.choices.below(10) {
            0 => up::Packet::Event {
                term,
                to: Audience::Others,
                droppable: room,
                payload,
            },
            1 => up::Packet::Event {
                term,
                to: Audience::Group(key),
                droppable: false,
                payload,
            },
            2 => up::Packet::State {
                term,
                key,
                room,
                payload,
            },
            3 => up::Packet::Delete { term, key, room },
            4 => up::Packet::Groups {
                only: true,
                groups: Groups::encode([(key + 2, true)], &mut buffer).expect("a group"),
            },
            5 => up::Packet::Audience(up::KeyAudience {
                key,
                room,
                to: up::StateAudience::Group(2),
                stays: !room,
            }),
            6 => up::Packet::Ping {
                echo: 7,
                trip: 0,
                ticks: false,
            },
            7 => up::Packet::Leave,
            8 => up::Packet::Willing {
                willing: room,
                visible: key > 0,
            },
            _ => up::Packet::Impair(up::Impairment {
                delay: u64::from(key) * 100,
                ..up::Impairment::default()
            }),
        }
        .encode(out);
    }

    /// Somebody else goes, in one way or the other.
    fn other_goes(&mut self) {
        let Some(wire) = self.other() else { return };
        match self.choices.below(4) {
            0 => self.stage.cut(wire),
            1 => self.stage.finish(wire),
            2 => self.stage.close(wire, CloseCode::NORMAL),
            _ => self.stage.wires[wire].space = self.choices.one_of(&[0, 100, WIDE]),
        }
    }

    /// What the witness has heard from honest players.
    fn order(&self) -> Vec<Said> {
        let heard = self.witness.heard.iter();
        heard.filter_map(|line| said(line, &self.names)).collect()
    }

    /// Somebody comes back if it has to, says what is left to say, and hears the rest.
    fn heal_one(&mut self, who: usize) {
        let honest = &mut self.honest[who];
        for _ in 0..4 {
            self.stage.now += 300;
            honest.wake(self.stage.now);
            let wire = honest.actor.wire;
            if let Some((code, text)) = &self.stage.wires[wire].closed {
                assert!(*code != 4006, "it is honest: {text}");
            }
            if !honest.is_linked(&self.stage) || self.stage.slot(wire).is_none() {
                honest.actor.reopen(&mut self.stage);
                honest.connected = true;
            }
            self.stage.wires[honest.actor.wire].space = WIDE;
            honest.actor.play(&mut self.stage);
        }
    }

    fn heal(&mut self) {
        for _ in 0..2 {
            for who in 0..self.honest.len() {
                self.heal_one(who);
                self.keep_up();
            }
        }
    }

    /// Everybody heard every event once and in order, or was told that it did not; and has the newest of every key.
    fn judge(&mut self) {
        let order = self.order();
        for honest in &self.honest {
            let view = honest.judge(&order, &self.names);
            let expected = self.model.of(honest.id);
            assert_eq!(view.keys, expected, "player {}", honest.id);
            for count in &view.heard {
                let may = self.model.may_have_heard(*count, honest.id);
                assert!(may, "player {}: {count}", honest.id);
            }
        }
    }

    /// Everybody goes, and nothing is left.
    fn clear(mut self) {
        while let Some(mut honest) = self.honest.pop() {
            honest.actor.client.leave();
            honest.actor.play(&mut self.stage);
            self.stage.cut(honest.actor.wire);
        }
        for wire in self.others {
            self.stage.cut(wire);
        }
        self.witness.client.leave();
        self.witness.play(&mut self.stage);
        self.stage.cut(self.witness.wire);
        self.stage.settle();
        self.stage.pass(2 * u64::from(GRACE_MS), 20_000);
        self.stage.assert_empty();
    }
}

impl Honest {
    /// It looks at the clock (ms): a connection over which nothing came for long is one no more.
    fn wake(&mut self, now: u64) {
        self.connected &= self.actor.client.wake(now * 1_000);
    }

    fn is_linked(&self, stage: &Stage) -> bool {
        self.connected && stage.wires[self.actor.wire].closed.is_none()
    }

    /// Whether it heard what it should have; and what it knows.
    fn judge(&self, order: &[Said], names: &BTreeSet<u32>) -> View {
        let late = self.joined_at > 0;
        let lines = || self.actor.heard.iter();
        let mut view = View {
            own: self.id,
            // What was said before it came, it could not hear.
            reset: late,
            ..View::default()
        };
        for line in lines().filter(|line| is_known(line, names)) {
            let heard = view.hear(line);
            assert_eq!(heard, Ok(()), "player {}", self.id);
        }
        let for_it = |said: &&Said| said.0 != self.id;
        let expected: Vec<&Said> = order.iter().filter(for_it).collect();
        let heard: Vec<Said> = lines().filter_map(|line| said(line, names)).collect();
        if lines().any(|line| line.starts_with("reset")) {
            // A part of it, in order.
            let mut rest = expected.iter();
            let all = heard.iter().all(|said| rest.any(|other| *other == said));
            assert!(all, "player {} of {expected:?}: {heard:?}", self.id);
        } else {
            let since = order[self.joined_at..].iter().filter(for_it).count();
            let heard: Vec<&Said> = heard.iter().collect();
            assert!(
                heard.len() >= since && expected.ends_with(&heard),
                "player {}, {since} of {expected:?}: {heard:?}",
                self.id
            );
        }
        view
    }
}

/// The number before a line's first sign: whose it is.
fn author(line: &str) -> Option<u32> {
    let end = line.find(|sign: char| !sign.is_ascii_digit())?;
    line[..end].parse().ok()
}

/// An event of an honest player for all.
fn said(line: &str, names: &BTreeSet<u32>) -> Option<Said> {
    let (id, text) = line.split_once(": ")?;
    let id = id.parse().ok().filter(|id| names.contains(id))?;
    Some((id, text.split(' ').next()?.parse().ok()?))
}

/// Whether a line is about what honest players said to all, or set, or about everybody.
fn is_known(line: &str, names: &BTreeSet<u32>) -> bool {
    match author(line) {
        Some(id) if line.contains(": ") => said(line, names).is_some_and(|said| said.0 == id),
        Some(id) => names.contains(&id),
        None => !line.starts_with("properties"),
    }
}
