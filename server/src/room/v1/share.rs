//! What several players of a room get, assembled once.
//!
//! Owns: some of the packets between two positions of one log, or of what was said of keys. Must not know: connections, and what
//! frames a message. Invariant: it is named by the life of its room, the two positions and which of the packets between them it
//! has, and what there is between two positions never changes; so it is never out of date, only of no use.

use roomcast_protocol::v1::{self, Life};

use super::calls::Rounds;
use super::log::{Log, Reader, residue};
use super::states::{Ears, States};
use super::{Player, Room, Seat};
use crate::limits::SHARED_ENTRIES;
use crate::planted;

/// Bytes before the packets for what each message begins with: the header of one that is no larger than a bundle, and how
/// many entries it covers.
const HEADROOM: usize = 4 + v1::VARINT_BYTES_MAX;

/// A bundle's packets behind room for its head.
#[derive(Debug)]
pub struct Share {
    life: Life,
    place: Place,
    /// Which packets: the first is the lowest bit.
    which: u64,
    /// Who may have others: a bit for the ids that leave the same when divided by their number.
    not_for: u64,
    bytes: Vec<u8>,
    /// How many entries the head that stands there covers, and where it begins.
    head: Option<(u32, usize)>,
    /// Where it is made.
    making: Vec<u8>,
}

/// What somebody got of what several do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// All of it, which covers so many more entries.
    All(u32),
    /// Nothing that was said is for it.
    Nothing,
    /// Nothing: it gets something else.
    Else,
}

/// Between which positions it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Of the log.
    Entries { from: u64, to: u64 },
    /// Of what was said of keys.
    Values { from: u64, to: u64 },
}

/// Packets that were said in one order, from where a receiver is on: all are to be had.
trait Source {
    fn place(&self) -> Place;

    /// The receiver's id.
    fn player(&self) -> u32;

    /// It may get less than others of whom the same can be said.
    fn is_lossy(&self) -> bool;

    /// Which are for it, the first as the lowest bit; None if that takes longer to say than it is worth.
    fn which(&self) -> Option<u64>;

    /// Who may lack one of them.
    fn lacked(&self) -> u64;

    /// Appends these, at most so many bytes. False if they are more.
    fn copy(&self, which: u64, most: usize, out: &mut Vec<u8>) -> bool;
}

/// Of the log.
struct Entries<'r> {
    log: &'r Log,
    rounds: &'r Rounds,
    seat: Seat,
    reader: Reader,
}

impl Source for Entries<'_> {
    fn place(&self) -> Place {
        Place::Entries {
            from: self.reader.position,
            to: self.log.position(),
        }
    }

    fn player(&self) -> u32 {
        self.reader.player
    }

    fn is_lossy(&self) -> bool {
        self.reader.lossy_until > self.reader.position
    }

    fn which(&self) -> Option<u64> {
        let from = self.reader.position;
        let is_noted = from >= self.log.first()
            && self.log.distance(from) <= SHARED_ENTRIES as u32
            && !self.is_lossy();
        let noted = self.rounds.noted(self.seat, from).filter(|_| is_noted);
        debug_assert!(noted.is_none() || noted == self.log.heard_by(self.reader));
        noted.or_else(|| self.log.heard_by(self.reader))
    }

    fn lacked(&self) -> u64 {
        self.log.lacked_by(self.reader.position)
    }

    fn copy(&self, which: u64, most: usize, out: &mut Vec<u8>) -> bool {
        self.log.copy(self.reader.position, which, most, out)
    }
}

/// Of what was said of keys.
struct Values<'r> {
    states: &'r States,
    seat: Seat,
    from: u64,
    ears: Ears<'r>,
}

impl Source for Values<'_> {
    fn place(&self) -> Place {
        Place::Values {
            from: self.from,
            to: self.states.end(),
        }
    }

    fn player(&self) -> u32 {
        self.ears.player
    }

    fn is_lossy(&self) -> bool {
        false
    }

    fn which(&self) -> Option<u64> {
        self.states.heard_by(self.seat, self.from, self.ears)
    }

    fn lacked(&self) -> u64 {
        self.states.lacked_by(self.from)
    }

    fn copy(&self, which: u64, most: usize, out: &mut Vec<u8>) -> bool {
        self.states.copy(self.from, which, most, out)
    }
}

/// What of a share is for a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Nothing,
    Else,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            life: Life([0; 8]),
            place: Place::Entries { from: 0, to: 0 },
            which: 0,
            not_for: u64::MAX,
            bytes: vec![0; HEADROOM],
            head: None,
            making: Vec::new(),
        }
    }
}

impl Share {
    /// Makes it a message that covers so many more entries; `header` appends what a message of so many bytes begins with.
    #[inline]
    pub fn cover(&mut self, covered: u32, header: impl FnOnce(&mut Vec<u8>, usize)) {
        if self.head.is_none_or(|(now, _)| now != covered) {
            self.make_head(covered, header);
        }
    }

    /// Apart: what only this needs would be kept for each receiver.
    #[inline(never)]
    fn make_head(&mut self, covered: u32, header: impl FnOnce(&mut Vec<u8>, usize)) {
        let covers = u64::from(covered);
        let packets = self.bytes.len() - HEADROOM;
        self.making.clear();
        header(&mut self.making, v1::varint_len(covers) + packets);
        v1::write_varint(&mut self.making, covers);
        let start = HEADROOM - self.making.len();
        self.bytes[start..HEADROOM].copy_from_slice(&self.making);
        self.head = Some((covered, start));
    }

    /// The message that it was made.
    #[inline]
    pub fn message(&self) -> &[u8] {
        let start = self.head.map_or(HEADROOM, |(_, start)| start);
        &self.bytes[start..]
    }

    /// Whether there are events in it.
    pub fn has_events(&self) -> bool {
        matches!(self.place, Place::Entries { .. })
    }

    /// What of it is for a receiver who is to get everything that there is. Most get all of what the one before them got.
    #[inline]
    fn part_of(&mut self, life: Life, source: &impl Source) -> Part {
        let is_of_here = self.place == source.place() && self.life == life;
        if is_of_here && !source.is_lossy() && self.not_for & residue(source.player()) == 0 {
            return Part::All;
        }
        self.part_of_other(life, source, is_of_here)
    }

    /// The same, of whom that can't be said without a look at what is for it. It is made anew if it is of another place, or has
    /// less than is to be had.
    #[inline(never)]
    fn part_of_other(&mut self, life: Life, source: &impl Source, is_of_here: bool) -> Part {
        let which = match source.which() {
            Some(0) => return Part::Nothing,
            Some(which) => which,
            None => return Part::Else,
        };
        if is_of_here && self.which & which == which {
            // Who lacks one, an author most often, takes nothing from the others.
            return match self.which == which {
                true => Part::All,
                false => Part::Else,
            };
        }
        // Of no use until all of it is there.
        self.place = Place::Entries { from: 0, to: 0 };
        self.not_for = u64::MAX;
        self.bytes.truncate(HEADROOM);
        self.head = None;
        let most = v1::BUNDLE_BYTES_MAX - v1::VARINT_BYTES_MAX;
        if !source.copy(which, most, &mut self.bytes) {
            return Part::Else;
        }
        (self.life, self.place, self.which) = (life, source.place(), which);
        if self.place.len() == u64::from(which.count_ones()) {
            self.not_for = source.lacked();
        }
        Part::All
    }
}

impl Place {
    /// Packets in it, for whomever.
    fn len(self) -> u64 {
        match self {
            Self::Entries { from, to } | Self::Values { from, to } => to - from,
        }
    }
}

impl Room {
    /// Gives a player all that is for it, if that is just what `share` holds or can be made to hold. `now` is the time, ms. Always
    /// inlined, for it is most of a delivery: a call, and its answer in memory, would be a tenth more.
    #[inline(always)]
    pub fn give_shared(&mut self, seat: Seat, now: u32, share: &mut Share) -> Shared {
        if self.ticks.is_some() || self.awaits_host(seat) {
            return Shared::Else;
        }
        let player = &mut self.players[seat as usize];
        if player.is_raw() || player.is_told_more(now) {
            return Shared::Else;
        }
        player.settle(self.rounds.settled);
        if let Some(states) = &self.states
            && !states.keeps_up(seat)
        {
            return self.give_shared_values(seat, share);
        }
        let source = Entries {
            log: &self.log,
            rounds: &self.rounds,
            seat,
            reader: player.reader(),
        };
        let part = share.part_of(self.life, &source);
        if part == Part::Else {
            return Shared::Else;
        }
        player.got_to(self.log.position());
        gave(player, part, self.log.seq())
    }

    /// The same of whom something was said of keys to: it gets that alone, or else both in their order.
    #[inline(never)]
    fn give_shared_values(&mut self, seat: Seat, share: &mut Share) -> Shared {
        let has_events = self.players[seat as usize].position < self.log.position();
        let Some(states) = self.states.as_ref().filter(|_| !has_events) else {
            return Shared::Else;
        };
        let Some(from) = states.kept_up_to(seat) else {
            return Shared::Else;
        };
        let ears = self.ears(seat);
        let source = Values {
            states,
            seat,
            from,
            ears,
        };
        let part = share.part_of(self.life, &source);
        if part == Part::Else {
            return Shared::Else;
        }
        if let Some(states) = &mut self.states {
            states.gave(seat, states.end(), 0);
        }
        gave(&mut self.players[seat as usize], part, self.log.seq())
    }
}

/// A player was given this, and so all there was, up to the entry of this number.
#[inline]
fn gave(player: &mut Player, part: Part, seq: u64) -> Shared {
    player.set_lags(false);
    match part {
        Part::Nothing => Shared::Nothing,
        Part::All | Part::Else => Shared::All(player.tell(planted::told_up_to(seq, seq))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_that_of_who_gets_it_next() {
        let mut share = Share::default();
        share.bytes.extend_from_slice(b"packets");
        let mut headers = 0;
        for (covered, head) in [
            (1, &[0x82, 8, 1][..]),
            (1, &[0x82, 8, 1]),
            (300, &[0x82, 9, 0xac, 2]),
            (2, &[0x82, 8, 2]),
        ] {
            share.cover(covered, |out, len| {
                headers += 1;
                out.extend_from_slice(&[0x82, len as u8]);
            });
            assert_eq!(share.message(), [head, b"packets"].concat());
        }
        assert_eq!(headers, 3);
    }
}
