//! What several players of a room get, assembled once.
//!
//! Owns: some of the packets between two positions of one log. Must not know: connections, and what frames a message.
//! Invariant: it is named by the life of its room, the two positions and which of the entries between them it has, and what a
//! log has between two positions never changes; so it is never out of date, only of no use.

use roomcast_protocol::v1::{self, Life};

use super::log::{Log, Reader, residue};
use super::{Room, Seat};
use crate::planted;

/// Bytes before the packets for what each message begins with: the header of one that is no larger than a bundle, and how
/// many entries it covers.
const HEADROOM: usize = 4 + v1::VARINT_BYTES_MAX;

/// A bundle's packets behind room for its head.
#[derive(Debug)]
pub struct Share {
    life: Life,
    from: u64,
    to: u64,
    /// The number of the last entry.
    seq: u64,
    /// Which entries: the first is the lowest bit.
    which: u64,
    /// Who may have others, as [`Log::lacked_by`] says it.
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
            from: 0,
            to: 0,
            seq: 0,
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
        if self.head.is_some_and(|(now, _)| now == covered) {
            return;
        }
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

    /// What of it is for a receiver who is to get everything up to the end of this log. Most get all of what the one before
    /// them got.
    #[inline]
    fn part_of(&mut self, life: Life, log: &Log, reader: Reader) -> Part {
        let is_of_here =
            (self.from, self.to) == (reader.position, log.position()) && self.life == life;
        let is_lossy = reader.lossy_until > reader.position;
        if is_of_here && !is_lossy && self.not_for & residue(reader.player) == 0 {
            return Part::All;
        }
        self.part_of_other(life, log, reader, is_of_here)
    }

    /// The same, of whom that can't be said without a look at the entries. It is made anew if it is of another place, or has
    /// less than is to be had.
    #[inline(never)]
    fn part_of_other(&mut self, life: Life, log: &Log, reader: Reader, is_of_here: bool) -> Part {
        let which = match log.heard_by(reader) {
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
        self.to = self.from;
        self.not_for = u64::MAX;
        self.bytes.truncate(HEADROOM);
        self.head = None;
        let (from, to) = (reader.position, log.position());
        let most = v1::BUNDLE_BYTES_MAX - v1::VARINT_BYTES_MAX;
        let bytes = &mut self.bytes;
        let portion = log.next(reader, to, (0, most), &mut |run| {
            bytes.extend_from_slice(log.slice(run));
        });
        let Some(portion) = portion.filter(|it| it.position == to && it.len <= most) else {
            return Part::Else;
        };
        (self.life, self.from, self.to) = (life, from, to);
        (self.seq, self.which) = (portion.seq, which);
        if u64::from(which.count_ones()) == to - from {
            self.not_for = log.lacked_by(from);
        }
        Part::All
    }
}

impl Room {
    /// Gives a player all that the log has for it, if that is just what `share` holds or can be made to hold. `now` is the time,
    /// ms.
    #[inline]
    pub fn give_shared(&mut self, seat: Seat, now: u32, share: &mut Share) -> Shared {
        if self.states.is_some() || self.ticks.is_some() || self.awaits_host(seat) {
            return Shared::Else;
        }
        let player = &mut self.players[seat as usize];
        if player.is_raw() || player.is_told_more(now) {
            return Shared::Else;
        }
        player.settle(self.rounds.settled);
        let part = share.part_of(self.life, &self.log, player.reader());
        if part == Part::Else {
            return Shared::Else;
        }
        player.got_to(self.log.position());
        player.set_lags(false);
        match part {
            Part::Nothing => Shared::Nothing,
            _ => Shared::All(player.tell(planted::told_up_to(share.seq, self.log.seq()))),
        }
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
