//! What players are given: whose turn it is, and what goes into the next bundle.

use std::ops::Range;

use roomcast_protocol::v1::{self, Payload, down};

use super::log::Reader;
use super::{Room, Rules, Seat};

/// Bytes that a bundle's head may have: the entries it covers.
const COVERED_MAX: usize = v1::VARINT_BYTES_MAX;

/// A round over all players, by their ids, so that nobody is left out whoever comes or goes meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Where it began; it rotates, so that nobody is always last.
    start: u32,
    /// The last one whose turn it was.
    last: u32,
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

/// One bundle, ready to be written: its own bytes, then those of the log.
#[derive(Debug, Default)]
pub struct Bundle {
    /// What it covers, and packets for this receiver alone.
    head: Vec<u8>,
    runs: Vec<Range<usize>>,
    len: usize,
}

impl Bundle {
    /// Bytes of the message.
    pub fn len(&self) -> usize {
        self.head.len() + self.len
    }

    /// There is nothing to be said.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }
}

impl Room {
    /// Bytes said since the last round began.
    pub fn unserved(&self) -> usize {
        (self.log.end() - self.frozen) as usize
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
            wrapped: false,
        });
        self.frozen = self.log.end();
        true
    }

    /// Who is next in the running round, of those who have a connection; None when all had their turn.
    pub fn next_turn(&mut self) -> Option<Served> {
        loop {
            let turn = self.turn.as_mut()?;
            let mut index = self.order.partition_point(|&(id, _)| id <= turn.last);
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
            let player = &self.players[seat as usize];
            if player.away_since.is_none() {
                let player = player.player;
                return Some(Served { player, seat });
            }
        }
    }

    /// Whether a player has something to get.
    pub fn owes(&self, seat: Seat) -> bool {
        let player = &self.players[seat as usize];
        player.position < self.log.position() || player.owed != Default::default()
    }

    /// Makes the next bundle of a player, with the relay's time (µs). It is empty if there is nothing for it. False if the
    /// log no longer reaches back to where it is.
    pub fn next_bundle(&mut self, seat: Seat, time: u64, bundle: &mut Bundle) -> bool {
        bundle.head.clear();
        bundle.runs.clear();
        bundle.len = 0;
        let player = &mut self.players[seat as usize];
        let mut own = Vec::new();
        if player.owed != Default::default() {
            player.say_owed(time, &mut own);
        }
        let reader = Reader {
            player: player.id,
            position: player.position,
            lossy_until: player.lossy_until,
        };
        let most = v1::BUNDLE_BYTES_MAX - COVERED_MAX - own.len();
        let Some(portion) = self.log.next(reader, most, &mut bundle.runs) else {
            return false;
        };
        player.position = portion.position;
        if portion.len > 0 || !own.is_empty() {
            v1::write_varint(&mut bundle.head, portion.seq - player.told);
            bundle.head.extend_from_slice(&own);
            bundle.len = portion.len;
            player.told = portion.seq;
        }
        true
    }

    /// Appends the bytes of a bundle that was just made.
    pub fn write_bundle(&self, bundle: &Bundle, out: &mut Vec<u8>) {
        out.extend_from_slice(&bundle.head);
        for run in &bundle.runs {
            out.extend_from_slice(self.log.slice(run.clone()));
        }
    }

    /// What a raw player gets of a bundle that was just made: events for everybody.
    pub fn messages<'r>(&'r self, bundle: &'r Bundle) -> impl Iterator<Item = Payload<'r>> {
        let runs = bundle.runs.iter().map(|run| self.log.slice(run.clone()));
        let packets = runs.flat_map(down::Packets::new);
        packets.filter_map(|packet| match packet {
            Ok(down::Packet::Event {
                payload,
                addressed: false,
                ..
            }) => Some(payload),
            _ => None,
        })
    }

    /// A player can't be given anything now: droppable events are not for it. True if it is too far behind.
    pub fn falls_behind(&mut self, seat: Seat, rules: &Rules) -> bool {
        let player = &mut self.players[seat as usize];
        player.lossy_until = self.log.position();
        let behind = self.log.bytes_since(player.position);
        behind.is_none_or(|bytes| bytes > rules.behind_max)
    }

    /// Appends a message that answers a ping.
    pub fn write_pong(echo: u64, time: u64, out: &mut Vec<u8>) {
        v1::write_varint(out, 0);
        down::Packet::Pong { echo, time }.encode(out);
    }
}
