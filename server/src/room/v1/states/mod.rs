//! States: the newest value of each key of a room, and how far each receiver is with them.
//!
//! Owns: keys and their values, what was said of them lately, what waits for who does not keep up. Must not know:
//! connections, whose turn it is, events. Invariants: who keeps up gets everything that is said, in order; whoever else gets
//! the newest of each key that it has not had, in the end; nobody gets what is not addressed to it.
//!
//! A room in which nobody ever said a state has none of this.

mod lane;
mod stream;
mod table;

use std::ops::Range;

use self::lane::Lane;
use self::stream::Stream;
pub use self::stream::{Most, Portion, Whom};
pub use self::table::{Key, Slot, Table, Value, When};
use super::Seat;
use super::noted::Notes;

/// Who gets a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// All but its author.
    Others,
    /// All.
    All,
    /// The others who are in a group.
    Group(u32),
    /// The room's host, of the moment in which it is told.
    Host,
}

/// Whom a receiver is, as far as audiences go.
#[derive(Debug, Clone, Copy)]
pub struct Ears<'a> {
    /// Its id.
    pub player: u32,
    /// Its groups, ascending.
    pub groups: &'a [u32],
    /// It is the room's host.
    pub is_host: bool,
}

impl Ears<'_> {
    /// Whether it gets what this author says to these.
    pub fn hears(self, author: u32, to: To) -> bool {
        match to {
            To::Others => author != self.player,
            To::All => true,
            To::Group(group) => author != self.player && self.is_in(group),
            To::Host => self.is_host,
        }
    }

    #[inline]
    fn is_in(self, group: u32) -> bool {
        match self.groups {
            [] => false,
            [one] => *one == group,
            many => many.binary_search(&group).is_ok(),
        }
    }
}

/// How far a receiver is.
#[derive(Debug, Default)]
struct Receiver {
    /// It was given, or has marks for, everything of the stream before this position.
    at: u64,
    /// Where the stream was when it was last told everything at once.
    welcomed: u64,
    /// What it was not sent since then because something newer was said of the key, or since it came back.
    superseded: u64,
    lane: Option<Box<Lane>>,
    /// It is among those who may not get all that the stream is about to let go of.
    is_straggler: bool,
    /// Since it was last told everything at once, keys went to it that do no longer, because it left a group or is not the host.
    has_lost_keys: bool,
}

/// What a marked slot is to its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// Its packet.
    Packet,
    /// That it has none any more.
    Removed,
    /// Nothing: it was never for it.
    Nothing,
}

/// The states of one room.
#[derive(Debug, Default)]
pub struct States {
    table: Table,
    stream: Stream,
    /// By seat; who has none yet is at the beginning.
    receivers: Vec<Receiver>,
    /// What of the stream may be for whom, of what is for some alone.
    notes: Notes,
    /// Who had its turn and has not got all there was, a seat each once.
    stragglers: Vec<Seat>,
    /// Where the stream was when the last round began.
    round: u64,
    /// Bytes of the stream then.
    frozen: u64,
    /// The room ticks: what is said between two rounds waits for the next, and of a key only the newest is told.
    conflates: bool,
}

impl States {
    /// Of a room with ticks, or without.
    pub fn new(ticks: bool) -> Self {
        Self {
            conflates: ticks,
            ..Self::default()
        }
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Where that ends which may leave: what is said between two ticks waits for the next.
    pub fn end(&self) -> u64 {
        match self.conflates {
            true => self.round,
            false => self.stream.position(),
        }
    }

    /// Bytes said since the last round began.
    pub fn unserved(&self) -> usize {
        (self.stream.end() - self.frozen) as usize
    }

    /// A round begins: what the last one had is let go of. Who has not got it gets the newest values instead.
    pub fn begin_round(&mut self) {
        self.stream.forget(self.round);
        self.round = self.stream.position();
        self.frozen = self.stream.end();
    }

    /// Nothing is said any more: who has not got the last of it gets the newest values instead.
    pub fn rest(&mut self) {
        self.stream.clear();
        self.notes.rest();
        self.round = self.stream.position();
        self.frozen = self.stream.end();
    }

    /// Whether there is something that [`States::rest`] lets go of.
    pub fn is_restless(&self) -> bool {
        self.stream.first() < self.stream.position()
    }

    /// Bytes of what was said lately.
    pub fn stream(&self, run: Range<usize>) -> &[u8] {
        self.stream.slice(run)
    }

    /// Who sits here is told everything there is, and then what follows.
    pub fn welcome(&mut self, seat: Seat) {
        let position = self.stream.position();
        let receiver = self.receiver(seat);
        *receiver = Receiver {
            at: position,
            welcomed: position,
            superseded: 0,
            lane: None,
            is_straggler: receiver.is_straggler,
            has_lost_keys: false,
        };
    }

    /// Who sits here comes back: what its last connection was given may be lost.
    pub fn resume(&mut self, seat: Seat) {
        let receiver = self.receiver(seat);
        let since = receiver.welcomed;
        receiver.superseded = 0;
        let mut lane = Lane::new(since);
        // Whether it was told of those, nobody knows.
        lane.void = receiver.has_lost_keys;
        receiver.lane = Some(Box::new(lane));
        self.mark_all(seat);
    }

    /// Whether something waits for who sits here, for it or not. Who does not `lag` has had what the last round had.
    pub fn owe(&self, seat: Seat, lags: bool) -> bool {
        let had = if lags { 0 } else { self.stream.first() };
        let end = self.end();
        match self.receivers.get(seat as usize) {
            Some(receiver) => {
                receiver.at.max(had) < end
                    || receiver.lane.as_ref().is_some_and(|lane| !lane.is_empty())
            }
            None => had < end,
        }
    }

    /// Whether who sits here has had all that was said.
    pub fn keeps_up(&self, seat: Seat) -> bool {
        let receiver = self.receivers.get(seat as usize);
        let (at, lane) = receiver.map_or((0, None), |it| (it.at, it.lane.as_ref()));
        at >= self.stream.position() && lane.is_none_or(|lane| lane.is_empty())
    }

    /// Who sits here kept up, and nothing of what the last round had was for it.
    pub fn settle(&mut self, seat: Seat) {
        let first = self.stream.first();
        let receiver = self.receiver(seat);
        receiver.at = receiver.at.max(first);
    }

    /// Who sits here can't be given anything now: it gets the newest values from here on, until it has caught up.
    pub fn falls_behind(&mut self, seat: Seat) {
        let receiver = self.receiver(seat);
        let since = receiver.at;
        receiver
            .lane
            .get_or_insert_with(|| Box::new(Lane::new(since)));
    }

    /// Who sits here had its turn and has not got all there was.
    pub fn straggles(&mut self, seat: Seat) {
        if !std::mem::replace(&mut self.receiver(seat).is_straggler, true) {
            self.stragglers.push(seat);
        }
    }

    /// One of whom that was said, and has not been asked for since.
    pub fn next_straggler(&mut self) -> Option<Seat> {
        let seat = self.stragglers.pop()?;
        self.receiver(seat).is_straggler = false;
        Some(seat)
    }

    /// Whether something is let go of that who sits here has not been given, for it or not: when a round begins, or when all
    /// `rest`.
    pub fn misses(&self, seat: Seat, rest: bool) -> bool {
        let until = if rest {
            self.stream.position()
        } else {
            self.round
        };
        let receiver = self.receivers.get(seat as usize);
        receiver.is_some_and(|receiver| receiver.at < until)
    }

    /// How far who sits here is, if it gets things in the order in which they were said.
    pub fn in_order(&mut self, seat: Seat) -> Option<u64> {
        let first = self.stream.first();
        let receiver = self.receiver(seat);
        match receiver.lane {
            None if receiver.at >= first => Some(receiver.at),
            None => {
                self.falls_behind(seat);
                None
            }
            Some(_) => None,
        }
    }

    /// What was said last is for who sits here, maybe, and for nobody of whom this is not said.
    #[inline]
    pub fn note(&mut self, seat: Seat) {
        let last = self.stream.position().saturating_sub(1);
        self.notes.note(seat, last);
    }

    /// How far who sits here is, if it keeps up.
    #[inline]
    pub fn kept_up_to(&self, seat: Seat) -> Option<u64> {
        let receiver = self.receivers.get(seat as usize)?;
        let keeps_up = receiver.lane.is_none() && receiver.at >= self.stream.first();
        keeps_up.then_some(receiver.at)
    }

    /// Which packets from this position on are for who sits here, the first as the lowest bit; None if that takes longer to say
    /// than it is worth.
    pub fn heard_by(&self, seat: Seat, at: u64, ears: Ears<'_>) -> Option<u64> {
        self.stream.heard_by(at, ears, self.notes.after(seat, at))
    }

    /// Who may lack one of the packets from this position on: a bit for the ids that leave the same when divided by their number.
    pub fn lacked_by(&self, at: u64) -> u64 {
        self.stream.lacked_by(at)
    }

    /// Appends these of the packets from this position on, at most `most` bytes. False if they are more.
    pub fn copy(&self, at: u64, which: u64, most: usize, out: &mut Vec<u8>) -> bool {
        self.stream.copy(at, which, most, out)
    }

    /// What comes next for who keeps up and is at this position.
    pub fn next(
        &self,
        at: u64,
        ears: Ears<'_>,
        most: Most,
        run: &mut impl FnMut(Range<usize>),
    ) -> Portion {
        self.stream.next((at, self.end()), ears, most, run)
    }

    /// Where the log was when that was said which comes next at this position.
    pub fn after(&self, at: u64) -> Option<u64> {
        self.stream.after(at)
    }

    /// Who sits here was given everything before this position, but for so many that were superseded.
    pub fn gave(&mut self, seat: Seat, at: u64, superseded: u32) {
        let receiver = self.receiver(seat);
        receiver.at = at;
        receiver.superseded += u64::from(superseded);
    }

    /// How often who sits here was not sent what was said of a key, on its connection, because something newer was.
    pub fn superseded(&self, seat: Seat) -> u64 {
        let receiver = self.receivers.get(seat as usize);
        receiver.map_or(0, |receiver| receiver.superseded)
    }

    /// Marks what was said since who sits here, with these ears, was last looked at.
    pub fn mark_new(&mut self, seat: Seat, ears: Ears<'_>) {
        let at = self.receiver(seat).at;
        let unremembered = self.table.unremembered();
        let Self {
            table,
            receivers,
            stream,
            ..
        } = self;
        let receiver = &mut receivers[seat as usize];
        let Some(lane) = &mut receiver.lane else {
            return;
        };
        receiver.at = stream.position();
        // What waited gives way to what was said since, and so does of that whatever is not the newest.
        let waited = table.since(at).filter(|slot| {
            let key = table.get(*slot).filter(|key| key.said >= at);
            lane.is_marked(*slot) && key.is_some_and(|key| ears.hears(key.name.0, key.to))
        });
        let outdated = stream.of_keys(at, ears).filter(|(position, slot)| {
            let key = table.get(*slot);
            key.is_none_or(|key| key.said != *position)
        });
        receiver.superseded += (waited.count() + outdated.count()) as u64;
        if lane.since < unremembered {
            return self.mark_all(seat);
        }
        table.since(at).for_each(|slot| lane.mark(slot));
    }

    /// Marks all there is; if deletions may have been forgotten since, it is to forget all it knows before.
    fn mark_all(&mut self, seat: Seat) {
        let position = self.stream.position();
        let receiver = &mut self.receivers[seat as usize];
        receiver.at = position;
        if let Some(lane) = &mut receiver.lane {
            lane.void |= lane.since < self.table.unremembered();
            lane.since = position;
            self.table.iter().for_each(|(slot, _)| lane.mark(slot));
        }
    }

    /// The marks of who sits here.
    pub fn lane(&mut self, seat: Seat) -> Option<(&mut Lane, &Table)> {
        let receiver = self.receivers.get_mut(seat as usize)?;
        Some((receiver.lane.as_mut()?, &self.table))
    }

    /// Who sits here has got all there was: from here on it keeps up, until it does not.
    pub fn caught_up(&mut self, seat: Seat) {
        self.receiver(seat).lane = None;
    }

    /// A key has a value of `len` bytes, or none any more, as the packet says that `encode` writes. Answers who gets it.
    pub fn say(
        &mut self,
        slot: Slot,
        value: Value,
        len: usize,
        when: When,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> To {
        let Some(key) = self.table.get(slot) else {
            return To::Others;
        };
        if self.conflates && key.changed >= self.round {
            self.stream.outdate(key.changed, key.to, &key.packet);
        }
        let (author, to) = (key.name.0, key.to);
        let whom = Whom {
            author,
            to,
            but: None,
        };
        let packet = self.stream.append(whom, (Some(slot), when.after), encode);
        self.table.say(slot, value, packet, len, when);
        if matches!(to, To::Others | To::All) {
            self.notes.begin_at(self.stream.position());
        }
        to
    }

    /// The slot of a key, which may be a new one.
    pub fn slot_of(&mut self, name: (u32, u32), when: When) -> Slot {
        self.table.slot_of(name, when)
    }

    /// A key goes to others from now on: who no longer gets it is told `removed`, who newly does its value. Answers who got it.
    pub fn readdress(
        &mut self,
        slot: Slot,
        to: To,
        stays: bool,
        removed: &[u8],
        mut when: When,
    ) -> Option<To> {
        let key = self.table.get(slot)?;
        let (author, before) = (key.name.0, key.to);
        // Where nothing is told, it changed with what was told last.
        when.changed = self.stream.position().saturating_sub(1);
        if key.value == Value::Here && before != to {
            let (gains, loses) = ((to, Some(before)), (before, Some(to)));
            for ((to, but), packet) in [(gains, &key.packet[..]), (loses, removed)] {
                let whom = Whom { author, to, but };
                when.changed = self.stream.position();
                self.stream.append(whom, (None, when.after), |out| {
                    out.extend_from_slice(packet);
                });
            }
            self.notes.begin_at(self.stream.position());
        }
        self.table.readdress(slot, to, stays, when);
        Some(before)
    }

    /// Others' keys will go to who sits here, which has these ears until then.
    pub fn will_hear_others(&mut self, seat: Seat, ears: Ears<'_>) {
        self.falls_behind(seat);
        self.mark_new(seat, ears);
    }

    /// Who sits here is in a group from now on, or the host: it is told the newest value of each key that is addressed to that.
    /// Of what was said before it has marks.
    pub fn enter(&mut self, seat: Seat, to: To) {
        let Self {
            table, receivers, ..
        } = self;
        if let Some(lane) = &mut receivers[seat as usize].lane {
            table.addressed(to).for_each(|slot| lane.mark(slot));
        }
    }

    /// Who sits here, with these ears since, is no longer in a group, or the host: it is told that it gets its keys no longer.
    /// Of what was said before it has marks.
    pub fn exit(&mut self, seat: Seat, ears: Ears<'_>, to: To) {
        let Self {
            table, receivers, ..
        } = self;
        let receiver = &mut receivers[seat as usize];
        receiver.has_lost_keys = true;
        let Some(lane) = &mut receiver.lane else {
            return;
        };
        // Those that were readdressed since it was told of them last are marked.
        let marked = lane.iter().filter(|slot| {
            let key = table.get(*slot);
            key.is_some_and(|key| key.former.contains(&to))
        });
        let lost: Vec<(u32, u32)> = table
            .addressed(to)
            .chain(marked)
            .filter_map(|slot| table.get(slot))
            .filter(|key| !ears.hears(key.name.0, key.to) && !key.packet.is_empty())
            // In a group nobody hears itself.
            .filter(|key| to == To::Host || key.name.0 != ears.player)
            .map(|key| key.name)
            .collect();
        lane.lose(lost);
        if lane.lost_too_much() {
            self.void(seat);
        }
    }

    /// Who sits here is to forget all it knows, and is told all there is.
    fn void(&mut self, seat: Seat) {
        if let Some(lane) = &mut self.receivers[seat as usize].lane {
            lane.void = true;
        }
        self.mark_all(seat);
    }

    /// A key is forgotten, and nobody is told.
    pub fn remove(&mut self, slot: Slot) {
        self.table.remove(slot);
    }

    /// Now, as far as this is concerned, for something that `writer` says when the log has come to `after`, and that leaves at
    /// that time, ms.
    pub fn now(&self, writer: u32, after: u64, leaves: u32) -> When {
        When {
            changed: self.stream.position(),
            after,
            writer,
            leaves,
        }
    }

    fn receiver(&mut self, seat: Seat) -> &mut Receiver {
        let seat = seat as usize;
        if self.receivers.len() <= seat {
            self.receivers.resize_with(seat + 1, Receiver::default);
        }
        &mut self.receivers[seat]
    }
}

impl Key {
    /// What somebody is told who has a mark for it.
    pub fn telling(&self, ears: Ears<'_>) -> Telling {
        if ears.hears(self.name.0, self.to) {
            // A key that was only ever addressed has no packet.
            return match self.packet.is_empty() {
                true => Telling::Nothing,
                false => Telling::Packet,
            };
        }
        let had = self.former.iter().any(|to| ears.hears(self.name.0, *to));
        match had && !self.packet.is_empty() {
            true => Telling::Removed,
            false => Telling::Nothing,
        }
    }
}
