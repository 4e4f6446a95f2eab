//! What goes into one bundle: entries of the log, and what was said of keys, each in its place.
//!
//! Owns: the order of the two. Must not know: what frames a bundle, connections. Invariants: who keeps up gets both in the
//! order in which they were said; for who does not, nothing of a player's keys comes before what that player had said to it
//! earlier, and of the bytes of its bundles a quarter is for keys as long as there are some.

use std::ops::Range;

use roomcast_protocol::v1::{VARINT_BYTES_MAX, down};

use super::log::Portion;
use super::state::{ears_of, removed};
use super::states::{Key, Most, Slot, Telling};
use super::{Room, Seat};
use crate::planted::{self, Fault};

/// Where some bytes of a bundle stand.
#[derive(Debug, Clone)]
pub(super) enum Run {
    Log(Range<usize>),
    Stream(Range<usize>),
    /// The packet of a key.
    Key(Slot),
    /// In the bundle itself.
    Own(Range<usize>),
}

/// What was put into a bundle.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Given {
    /// The number of the last entry that is dealt with.
    pub seq: u64,
    /// Bytes of packets.
    pub len: usize,
    /// There are entries among them.
    pub entries: bool,
}

/// The body of one bundle.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub runs: Vec<Run>,
    /// Bytes of [`Run::Own`].
    pub own: Vec<u8>,
}

impl Body {
    pub fn clear(&mut self) {
        self.runs.clear();
        self.own.clear();
    }

    fn write(&mut self, packet: down::Packet<'_>) -> usize {
        let start = self.own.len();
        packet.encode(&mut self.own);
        self.runs.push(Run::Own(start..self.own.len()));
        self.own.len() - start
    }
}

/// Bytes that say how long a value has waited, at most.
const AGED_MAX: usize = 2 + VARINT_BYTES_MAX;

/// A key that may be told now.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    slot: Slot,
    telling: Telling,
    /// Bytes of its packet, and of what may have to be said of its age.
    len: usize,
    /// How long it has waited, ms.
    age: u32,
}

impl Room {
    /// Puts what comes next for a player into `body`, now (ms), at most `most` bytes unless one packet has more. None if the
    /// log no longer reaches back to where it is.
    pub(super) fn give(
        &mut self,
        seat: Seat,
        (most, now): (usize, u32),
        body: &mut Body,
    ) -> Option<Given> {
        self.settle(seat);
        let end = self.end();
        let in_order = match &mut self.states {
            Some(states) => states.in_order(seat).map(Some),
            None => Some(None),
        };
        let given = match in_order {
            Some(None) => {
                let portion = self.give_entries(seat, end, (0, most), body)?;
                Some(Given {
                    seq: portion.seq,
                    len: portion.len,
                    entries: portion.len > 0,
                })
            }
            Some(Some(at)) => self.give_in_order(seat, at, (end, most), body),
            None => self.give_marked(seat, (end, most), now, body),
        };
        self.watch(seat);
        given
    }

    /// Entries from where a player is up to the position `until`.
    fn give_entries(
        &mut self,
        seat: Seat,
        until: u64,
        (begun, most): (usize, usize),
        body: &mut Body,
    ) -> Option<Portion> {
        let player = &mut self.players[seat as usize];
        let runs = &mut body.runs;
        let reader = player.reader();
        let portion = self.log.next(reader, until, (begun, most), &mut |run| {
            runs.push(Run::Log(run));
        })?;
        player.got_to(portion.position);
        Some(portion)
    }

    /// Both, as they were said.
    fn give_in_order(
        &mut self,
        seat: Seat,
        mut at: u64,
        (end, most): (u64, usize),
        body: &mut Body,
    ) -> Option<Given> {
        let mut position = self.players[seat as usize].position;
        let mut given = Given {
            seq: self.log.seq_at(position),
            ..Given::default()
        };
        let mut superseded = 0;
        loop {
            if position < end {
                let next = self.states.as_ref().and_then(|states| states.after(at));
                let until = next.unwrap_or(u64::MAX).min(end);
                let portion = self.give_entries(seat, until, (given.len, most), body)?;
                position = portion.position;
                given.seq = portion.seq;
                given.len += portion.len;
                given.entries |= portion.len > 0;
                if position < until {
                    break;
                }
            }
            let most = Most {
                log: position,
                begun: given.len,
                bytes: most,
            };
            let ears = self.ears(seat);
            let runs = &mut body.runs;
            let states = self.states.as_ref()?;
            let said = states.next(at, ears, most, &mut |run| runs.push(Run::Stream(run)));
            at = said.position;
            given.len += said.len;
            superseded += said.superseded;
            if said.full || position >= end {
                break;
            }
        }
        self.states.as_mut()?.gave(seat, at, superseded);
        Some(given)
    }

    /// Entries, and the newest of the keys that are marked.
    fn give_marked(
        &mut self,
        seat: Seat,
        (end, most): (u64, usize),
        now: u32,
        body: &mut Body,
    ) -> Option<Given> {
        let candidates = self.candidates(seat, most, now);
        let waiting: usize = candidates.iter().map(|candidate| candidate.len).sum();
        let (lane, _) = self.states.as_mut()?.lane(seat)?;
        // Their quarter, unless they were passed over: then entries wait for once.
        let alone = std::mem::take(&mut lane.passed_over) && waiting > 0;
        let share = waiting.min(most / 4);
        let until = if alone { 0 } else { end };
        let portion = self.give_entries(seat, until, (0, most - share), body)?;
        let mut given = Given {
            seq: portion.seq,
            len: portion.len,
            entries: portion.len > 0,
        };
        let caught_up = portion.position >= end;
        let (lane, table) = self.states.as_mut()?.lane(seat)?;
        let lost = lane.take_lost();
        if std::mem::take(&mut lane.void) {
            given.len += body.write(down::Packet::RemovedAll);
        } else {
            let ears = ears_of(&self.players, &self.groups, &self.host, seat);
            let hears = |name: &(u32, u32)| {
                let slot = table.find(*name);
                let key = slot.and_then(|slot| table.get(slot));
                key.is_some_and(|key| ears.hears(name.0, key.to))
            };
            for name in lost.into_iter().filter(|name| !hears(name)) {
                given.len += body.write(removed(name));
            }
        }
        let mut aged = 0;
        for (before, candidate) in candidates.iter().enumerate() {
            if given.len > 0 && given.len + candidate.len > most {
                lane.passed_over = before == 0;
                break;
            }
            let has_waited = candidate.age != aged && !planted::is(Fault::Ageless);
            if has_waited && candidate.telling == Telling::Packet {
                aged = candidate.age;
                let ms = u64::from(aged);
                given.len += body.write(down::Packet::Aged { ms });
            }
            let Some(key) = table.get(candidate.slot) else {
                continue;
            };
            given.len += match candidate.telling {
                Telling::Removed => body.write(removed(key.name)),
                Telling::Packet | Telling::Nothing => {
                    body.runs.push(Run::Key(candidate.slot));
                    key.packet.len()
                }
            };
            lane.unmark(candidate.slot);
            lane.had(candidate.slot);
        }
        if lane.is_empty() && caught_up {
            self.states.as_mut()?.caught_up(seat);
        }
        Some(given)
    }

    /// The marked keys that may be told to a player now, whose turn it is first, until they are `most` bytes. Marks that
    /// mean nothing to it are gone after this.
    fn candidates(&mut self, seat: Seat, most: usize, now: u32) -> Vec<Candidate> {
        let leaves = self.leaves_with(now);
        let reader = self.players[seat as usize].reader();
        let ears = ears_of(&self.players, &self.groups, &self.host, seat);
        let Some(states) = &mut self.states else {
            return Vec::new();
        };
        states.mark_new(seat, ears);
        let end = states.end();
        let Some((lane, table)) = states.lane(seat) else {
            return Vec::new();
        };
        let mut pending = None;
        let mut may_leave = |key: &Key| {
            key.after <= reader.position || {
                let pending = pending.get_or_insert_with(|| self.log.pending(reader));
                let of_writer = pending.binary_search_by_key(&key.writer, |(author, _)| *author);
                of_writer.is_ok_and(|index| pending[index].1 >= key.after) || of_writer.is_err()
            }
        };
        let (mut found, mut void) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        for slot in lane.iter() {
            let key = table.get(slot);
            let Some((key, telling)) = key.map(|key| (key, key.telling(ears))) else {
                void.push(slot);
                continue;
            };
            if telling == Telling::Nothing {
                void.push(slot);
            } else if key.changed < end && (may_leave(key) || planted::is(Fault::HastyState)) {
                let len = key.packet.len() + AGED_MAX;
                // What was to leave a little later leaves now.
                let age = leaves.wrapping_sub(key.left) as i32;
                found.push(Candidate {
                    slot,
                    telling,
                    len,
                    age: age.max(0) as u32,
                });
                bytes += len;
                if bytes >= most {
                    break;
                }
            }
        }
        void.into_iter().for_each(|slot| lane.unmark(slot));
        found
    }

    /// Bytes of a run.
    pub(super) fn bytes<'r>(&'r self, run: &Run, body: &'r Body) -> &'r [u8] {
        match (run, &self.states) {
            (Run::Log(run), _) => self.log.slice(run.clone()),
            (Run::Own(run), _) => &body.own[run.clone()],
            (Run::Stream(run), Some(states)) => states.stream(run.clone()),
            (Run::Key(slot), Some(states)) => {
                let key = states.table().get(*slot);
                key.map_or(&[], |key| &*key.packet)
            }
            (Run::Stream(_) | Run::Key(_), None) => &[],
        }
    }
}
