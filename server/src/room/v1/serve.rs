//! What players are given: whose turn it is, and what goes into the next bundle.

use roomcast_protocol::v1::{self, Payload, down};

use super::give::Body;
use super::state::ears_of;
use super::{Room, Rules, Seat};
use crate::planted;

/// Bytes that a bundle's head may have: the entries it covers.
const COVERED_MAX: usize = v1::VARINT_BYTES_MAX;

/// Bytes of an ACK that rides along, at most.
const ACK_MAX: usize = 2 + v1::VARINT_BYTES_MAX;

/// Bytes of a TICK, at most.
const TICK_MAX: usize = 2 + 2 * v1::VARINT_BYTES_MAX;

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

    /// The id of a player.
    pub fn id_of(&self, seat: Seat) -> u32 {
        self.players[seat as usize].id
    }

    /// Whether a round is running.
    pub fn is_serving(&self) -> bool {
        self.rounds.is_running()
    }

    /// Begins a round over all for whom something was said, now (ms). False if one is running already, or there is nobody.
    pub fn begin_round(&mut self, now: u64) -> bool {
        self.watch_tail();
        if !self.begin_turns() {
            return false;
        }
        self.frozen = self.log.end();
        self.tick(now);
        self.mark_stragglers(false);
        if let Some(states) = &mut self.states {
            states.begin_round();
        }
        true
    }

    /// Whether a player has something to get.
    pub fn owes(&self, seat: Seat) -> bool {
        let player = &self.players[seat as usize];
        self.position(seat) < self.end()
            || player.is_owed()
            || self
                .states
                .as_ref()
                .is_some_and(|states| states.owe(seat, player.lags()))
            || self.is_promised(seat)
            || self.is_asked(seat)
    }

    /// How far a player is in the log, and when what comes next there was said (ms).
    pub fn how_far(&self, seat: Seat) -> (u64, Option<u32>) {
        let position = self.position(seat);
        (position, self.log.said_at(position))
    }

    /// Whether events wait for a player, in the log or in its connection: only those make somebody behind.
    pub fn presses(&self, seat: Seat) -> bool {
        let player = &self.players[seat as usize];
        player.has_begun()
            || player.is_raw()
            || self.is_called(seat) && self.position(seat) < self.end()
    }

    /// Makes the next bundle of a player, with the relay's time (µs). It is empty if there is nothing for it. False if the
    /// log no longer reaches back to where it is.
    pub fn next_bundle(&mut self, seat: Seat, time: u64, bundle: &mut Bundle) -> bool {
        bundle.own.clear();
        bundle.body.clear();
        let player = &mut self.players[seat as usize];
        if player.is_owed() {
            player.say_owed(time, &mut bundle.own);
        }
        if self.is_asked(seat) {
            self.say_asked(&mut bundle.own);
        }
        let tick = if self.ticks.is_some() { TICK_MAX } else { 0 };
        let most = v1::BUNDLE_BYTES_MAX - COVERED_MAX - ACK_MAX - tick - bundle.own.len();
        let now = (time / 1_000) as u32;
        let Some(given) = self.give(seat, (most, now), &mut bundle.body) else {
            return false;
        };
        bundle.len = given.len;
        if !bundle.is_empty() {
            let seq = planted::told_up_to(given.seq, self.log.seq());
            let player = &mut self.players[seat as usize];
            player.say_ack_along(now, &mut bundle.own);
            player.set_begun(given.entries || player.has_begun());
            bundle.covered = player.tell(seq);
            if bundle.len > 0 {
                self.say_tick(&mut bundle.own);
            }
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

    /// What a raw player gets of a bundle that was just made: events for everybody, values, and what an operator says.
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
            Ok(down::Packet::Notice(text)) => Some(Payload::Text(text)),
            _ => None,
        })
    }

    /// A player can't be given anything now: droppable events are not for it.
    pub fn falls_behind(&mut self, seat: Seat, rules: &Rules) -> Behind {
        self.settle(seat);
        let ears = ears_of(&self.players, &self.groups, &self.host, seat);
        if let Some(states) = &mut self.states {
            states.falls_behind(seat);
            // What is not sent now may be forgotten before there is another look.
            states.mark_new(seat, ears);
        }
        let player = &mut self.players[seat as usize];
        player.lossy = self.log.distance(player.position);
        let position = self.log.skip(player.reader());
        player.got_to(position);
        self.watch(seat);
        match self.log.bytes_since(position) {
            Some(0) => Behind::States,
            Some(bytes) if bytes <= rules.behind_max => Behind::Events,
            _ => Behind::TooFar,
        }
    }
}
