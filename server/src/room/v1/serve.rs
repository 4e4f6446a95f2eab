//! What players are given: whose turn it is, and what goes into the next bundle.

use roomcast_protocol::v1::{self, Payload, down};

use super::give::Body;
use super::{Room, Rules, Seat};
use crate::planted::{self, Fault};

/// Bytes that a bundle's head may have: the entries it covers.
const COVERED_MAX: usize = v1::VARINT_BYTES_MAX;

/// Bytes of an ACK that rides along, at most.
const ACK_MAX: usize = 2 + v1::VARINT_BYTES_MAX;

/// A round over all players, by their ids, so that nobody is left out whoever comes or goes meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Where it began; it rotates, so that nobody is always last.
    start: u32,
    /// The last one whose turn it was, and where the next one was to be found then.
    last: u32,
    index: u32,
    /// It has come to the end of the ids and gone on from the first.
    wrapped: bool,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Its place in the shard.
    pub player: u32,
    /// Its seat.
    pub seat: Seat,
}

/// How far behind somebody is who can't be given anything now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// Only states wait, and they replace each other: it presses on nobody.
    States,
    /// Events wait.
    Events,
    /// More of them than may.
    TooFar,
}

/// One bundle, ready to be written: its own bytes, then what stands elsewhere.
#[derive(Debug, Default)]
pub struct Bundle {
    /// How many more entries it covers.
    covered: u32,
    /// Packets for this receiver alone.
    own: Vec<u8>,
    body: Body,
    /// Bytes of the body.
    len: usize,
}

impl Bundle {
    /// Bytes of the message.
    pub fn len(&self) -> usize {
        v1::varint_len(u64::from(self.covered)) + self.own.len() + self.len
    }

    /// There is nothing to be said.
    pub fn is_empty(&self) -> bool {
        self.len == 0 && self.own.is_empty()
    }
}

impl Room {
    /// Bytes said since the last round began.
    pub fn unserved(&self) -> usize {
        let stated = self.states.as_ref().map_or(0, |states| states.unserved());
        (self.log.end() - self.frozen) as usize + stated
    }

    /// Whether a round is running.
    pub fn is_serving(&self) -> bool {
        self.turn.is_some()
    }

    /// Begins a round over all players. False if one is running already, or there is nobody.
    pub fn begin_round(&mut self) -> bool {
        if self.turn.is_some() || self.order.is_empty() {
            return false;
        }
        let (id, _) = self.order[self.rotation as usize % self.order.len()];
        self.rotation = self.rotation.wrapping_add(1);
        self.turn = Some(Turn {
            start: id,
            last: id - 1,
            index: u32::MAX,
            wrapped: false,
        });
        self.frozen = self.log.end();
        self.watch_tail();
        if let Some(states) = &mut self.states {
            states.begin_round();
        }
        true
    }

    /// Who is next in the running round, of those who have a connection; None when all had their turn.
    pub fn next_turn(&mut self) -> Option<Served> {
        loop {
            let turn = self.turn.as_mut()?;
            let mut index = turn.index as usize;
            let is_here = |at: usize| self.order.get(at).is_some_and(|&(id, _)| id == turn.last);
            if index == 0 || !is_here(index - 1) {
                index = self.order.partition_point(|&(id, _)| id <= turn.last);
            }
            if index == self.order.len() && !turn.wrapped {
                turn.wrapped = true;
                turn.last = 0;
                index = 0;
            }
            let next = self.order.get(index).copied();
            let Some((id, seat)) = next.filter(|(id, _)| !turn.wrapped || *id < turn.start) else {
                self.turn = None;
                return None;
            };
            turn.last = id;
            turn.index = index as u32 + 1;
            let player = &self.players[seat as usize];
            if player.away_since().is_none() || planted::is(Fault::AwayGrows) {
                let player = player.player;
                return Some(Served { player, seat });
            }
        }
    }

    /// Whether a player has something to get.
    pub fn owes(&self, seat: Seat) -> bool {
        let player = &self.players[seat as usize];
        player.position < self.log.position()
            || player.owed != Default::default()
            || self.states.as_ref().is_some_and(|states| states.owe(seat))
            || self.is_promised(seat)
            || self.is_asked(seat)
    }

    /// Whether events wait for a player, in the log or in its connection: only those make somebody behind.
    pub fn presses(&self, seat: Seat) -> bool {
        let player = &self.players[seat as usize];
        player.begun || player.raw || player.position < self.log.position()
    }

    /// Makes the next bundle of a player, with the relay's time (µs). It is empty if there is nothing for it. False if the
    /// log no longer reaches back to where it is.
    pub fn next_bundle(&mut self, seat: Seat, time: u64, bundle: &mut Bundle) -> bool {
        bundle.own.clear();
        bundle.body.clear();
        let player = &mut self.players[seat as usize];
        if player.owed != Default::default() {
            player.say_owed(time, &mut bundle.own);
        }
        if self.is_asked(seat) {
            self.say_asked(&mut bundle.own);
        }
        let most = v1::BUNDLE_BYTES_MAX - COVERED_MAX - ACK_MAX - bundle.own.len();
        let Some(given) = self.give(seat, most, &mut bundle.body) else {
            return false;
        };
        bundle.len = given.len;
        if !bundle.is_empty() {
            let too_new = planted::is(Fault::SeqTooNew) && given.seq < self.log.seq();
            let player = &mut self.players[seat as usize];
            player.say_ack_along((time / 1_000) as u32, &mut bundle.own);
            player.begun |= given.entries;
            bundle.covered = player.tell(given.seq + u64::from(too_new));
        }
        true
    }

    /// Appends the bytes of a bundle that was just made.
    pub fn write_bundle(&self, bundle: &Bundle, out: &mut Vec<u8>) {
        v1::write_varint(out, u64::from(bundle.covered));
        if !bundle.own.is_empty() {
            out.extend_from_slice(&bundle.own);
        }
        for run in &bundle.body.runs {
            out.extend_from_slice(self.bytes(run, &bundle.body));
        }
    }

    /// What a raw player gets of a bundle that was just made: events for everybody, and values.
    pub fn messages<'r>(&'r self, bundle: &'r Bundle) -> impl Iterator<Item = Payload<'r>> {
        let runs = bundle.body.runs.iter();
        let runs = runs.map(|run| self.bytes(run, &bundle.body));
        let packets = runs.flat_map(down::Packets::new);
        packets.filter_map(|packet| match packet {
            Ok(down::Packet::Event {
                payload,
                addressed: false,
                ..
            })
            | Ok(down::Packet::State { payload, .. }) => Some(payload),
            _ => None,
        })
    }

    /// A player can't be given anything now: droppable events are not for it.
    pub fn falls_behind(&mut self, seat: Seat, rules: &Rules) -> Behind {
        let player = &mut self.players[seat as usize];
        player.lossy = self.log.distance(player.position);
        let position = self.log.skip(player.reader());
        player.got_to(position);
        if let Some(states) = &mut self.states {
            states.falls_behind(seat);
        }
        match self.log.bytes_since(position) {
            Some(0) => Behind::States,
            Some(bytes) if bytes <= rules.behind_max => Behind::Events,
            _ => Behind::TooFar,
        }
    }
}
