//! The log: what was said in a room lately, in order, as packets that are the same for everybody.
//!
//! Owns: entries with their numbers, authors and audiences, and how far back they reach. Must not know: who is in the
//! room, sockets, frame headers, the clock. Invariant: from a position on, a player gets every entry that was for it when
//! it was said, once and in order, or is told that the log no longer reaches so far.
//!
//! Who keeps up, who is behind and who comes back after a lost connection are all served from here, each by its own
//! position: nothing is queued or counted for any of them.

use std::collections::VecDeque;
use std::ops::Range;

use super::noted::ones;
use crate::limits::{LOG_SPAN_MAX, SHARED_ENTRIES};
use crate::planted::{self, Fault};

/// For whom an entry is, of those who are in the room when it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience<'a> {
    /// All but its author.
    Others,
    /// All.
    All,
    /// One player.
    One(u32),
    /// These players, ascending.
    List(&'a [u32]),
}

/// The same, as it is kept; with [`Entry::whom`], so that the two fill what one of eight bytes would.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Others,
    All,
    /// The player that `whom` names.
    One,
    /// Those whose ids stand before the packet, four bytes each: `whom` is how many.
    List,
}

/// One entry, or a droppable event, which has no number.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The low bits of where it ends, in bytes since the room began, see [`Log::end_of`].
    end: u32,
    /// The low bits of its number, see [`Log::seq_of`]; of a droppable event, of that of the entry before it.
    seq: u32,
    author: u32,
    whom: u32,
    /// When it was said, ms.
    at: u32,
    audience: Kept,
    droppable: bool,
}

impl Entry {
    /// Bytes before its packet: the list of whom it is for.
    fn head(&self) -> usize {
        match self.audience {
            Kept::List => self.whom as usize * size_of::<u32>(),
            Kept::Others | Kept::All | Kept::One => 0,
        }
    }
}

/// What is appended.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Who says it; for what the room says about a player who does not hear it itself, that player.
    pub author: u32,
    /// For whom it is.
    pub audience: Audience<'a>,
    /// Left out for who is behind or comes back, and without a number.
    pub droppable: bool,
    /// The time, ms.
    pub at: u32,
}

/// A part of the log for one receiver: what goes into one bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// The position behind it.
    pub position: u64,
    /// The number of the last entry that is dealt with by it.
    pub seq: u64,
    /// Bytes of its packets; 0 if nothing in it is for this receiver.
    pub len: usize,
}

/// One entry, as it was said.
#[derive(Debug, Clone, Copy)]
pub struct Past<'l> {
    log: &'l Log,
    entry: &'l Entry,
    start: usize,
}

impl<'l> Past<'l> {
    /// Who said it, or about whom it is.
    pub fn author(self) -> u32 {
        self.entry.author
    }

    /// Whether it was for this player.
    pub fn is_for(self, player: u32) -> bool {
        let reader = Reader {
            player,
            position: 0,
            lossy_until: 0,
        };
        self.log.heard(self.entry, self.start, reader, 0).is_some()
    }

    /// Its packet.
    pub fn packet(self) -> &'l [u8] {
        let end = self.log.end_of(self.entry);
        &self.log.bytes[self.start + self.entry.head()..end]
    }
}

/// Who asks for a portion.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Its id.
    pub player: u32,
    /// It has had everything before this position.
    pub position: u64,
    /// It gets no droppable event before this position.
    pub lossy_until: u64,
}

/// The bit of an id among those that [`Log::lacked_by`] answers.
#[inline]
pub fn residue(id: u32) -> u64 {
    1 << (id % u64::BITS)
}

/// The last entries of a room. A position is the number of entries and droppable events that were ever appended before
/// it.
#[derive(Debug, Default)]
pub struct Log {
    entries: VecDeque<Entry>,
    /// Position of the first of `entries`.
    first: u64,
    /// Packets, each behind the list it may be for. The first `dead` bytes belong to entries that are gone.
    bytes: Vec<u8>,
    dead: usize,
    /// Where `bytes` begins, in bytes since the room began.
    base: u64,
    /// Number of the last entry.
    seq: u64,
    /// Number of the last entry that is gone.
    gone: u64,
}

impl Log {
    /// The position behind the last entry.
    #[inline]
    pub fn position(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The position of the first entry that is here.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Entries behind a position.
    pub fn distance(&self, position: u64) -> u32 {
        let distance = self.position().saturating_sub(position);
        distance.min(u64::from(u32::MAX)) as u32
    }

    /// The number of the last entry.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Appends an entry, whose packet `encode` writes.
    pub fn append(&mut self, said: Said<'_>, encode: impl FnOnce(&mut Vec<u8>)) {
        self.make_room(LOG_SPAN_MAX);
        let (audience, whom) = match said.audience {
            Audience::Others => (Kept::Others, 0),
            Audience::All => (Kept::All, 0),
            Audience::One(player) => (Kept::One, player),
            Audience::List(players) => {
                let ids = players.iter().flat_map(|player| player.to_le_bytes());
                self.bytes.extend(ids);
                (Kept::List, players.len() as u32)
            }
        };
        encode(&mut self.bytes);
        self.seq += u64::from(!said.droppable);
        if self.entries.len() == self.entries.capacity() {
            // Twice as many would be most of what thousands of rooms in which hardly anything is said take.
            self.entries.reserve_exact(self.entries.len() / 4 + 1);
        }
        self.entries.push_back(Entry {
            end: self.end() as u32,
            seq: self.seq as u32,
            author: said.author,
            whom,
            at: said.at,
            audience,
            droppable: said.droppable,
        });
    }

    /// The position from which on somebody goes on who has had everything up to `seq`. None if the log does not reach
    /// back so far.
    pub fn after(&self, seq: u64) -> Option<u64> {
        (self.gone..=self.seq).contains(&seq).then(|| {
            self.first
                + self
                    .entries
                    .partition_point(|entry| self.seq_of(entry) <= seq) as u64
        })
    }

    /// The number of an entry. There are never so many that the distance would not fit: their index alone would be more
    /// than memory.
    fn seq_of(&self, entry: &Entry) -> u64 {
        self.gone + u64::from(entry.seq.wrapping_sub(self.gone as u32))
    }

    /// Where the packet of an entry ends in `bytes`, of which there are never 4 GiB ([`LOG_SPAN_MAX`]).
    fn end_of(&self, entry: &Entry) -> usize {
        entry.end.wrapping_sub(self.base as u32) as usize
    }

    /// The number of the last entry before a position; of the last one that is gone if that is gone too.
    pub fn seq_at(&self, position: u64) -> u64 {
        self.seq_before(position.saturating_sub(self.first) as usize)
    }

    /// Bytes that were said since a position, to whomever; None if the log does not reach back so far.
    pub fn bytes_since(&self, position: u64) -> Option<u64> {
        let index = position.checked_sub(self.first)? as usize;
        Some((self.bytes.len() - self.start(index)) as u64)
    }

    /// When the entry behind a position was said (ms), if the log has it.
    pub fn said_at(&self, position: u64) -> Option<u32> {
        let index = position.checked_sub(self.first)? as usize;
        Some(self.entries.get(index)?.at)
    }

    /// Bytes that were ever said.
    pub fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// What comes next for a receiver before the position `until`; with the bytes that its bundle has `begun` with at most
    /// `most`, unless one packet has more. `run` is told ranges of [`Log::slice`]. None if the log does not reach back to
    /// its position.
    pub fn next(
        &self,
        reader: Reader,
        until: u64,
        (begun, most): (usize, usize),
        run: &mut impl FnMut(Range<usize>),
    ) -> Option<Portion> {
        let from = reader.position.checked_sub(self.first)? as usize;
        let to = until.saturating_sub(self.first) as usize;
        let mut index = from;
        let mut start = self.start(index);
        let (mut len, mut open) = (0, start..start);
        for entry in self.entries.range(from..to.clamp(from, self.entries.len())) {
            let end = self.end_of(entry);
            if let Some(head) = self.heard(entry, start, reader, self.first + index as u64) {
                let packet = start + head..end;
                if begun + len > 0 && begun + len + packet.len() > most {
                    break;
                }
                len += packet.len();
                if open.end == packet.start {
                    open.end = packet.end;
                } else {
                    let run_before = std::mem::replace(&mut open, packet);
                    if !run_before.is_empty() {
                        run(run_before);
                    }
                }
            }
            index += 1;
            start = end;
        }
        if !open.is_empty() {
            run(open);
        }
        Some(Portion {
            position: self.first + index as u64,
            seq: self.seq_before(index),
            len,
        })
    }

    /// The entries, without droppable events, from the position `from` on up to `until`, as far as the log has them.
    pub fn since(&self, from: u64, until: u64) -> impl Iterator<Item = Past<'_>> {
        let until = until.saturating_sub(self.first) as usize;
        let until = until.min(self.entries.len());
        let from = (from.saturating_sub(self.first) as usize).min(until);
        let mut start = self.start(from);
        let all = self.entries.range(from..until).map(move |entry| {
            let past = Past {
                log: self,
                entry,
                start,
            };
            start = self.end_of(entry);
            past
        });
        all.filter(|past| !past.entry.droppable)
    }

    /// The position from which on no more than so many bytes were said, as far as the log reaches.
    pub fn last(&self, bytes: usize) -> u64 {
        let from = self.bytes.len().saturating_sub(bytes);
        let within = |index: &usize| self.start(*index) >= from;
        let count = self.entries.len();
        let mut indices = (0..count).rev().take_while(within);
        self.first + indices.by_ref().last().unwrap_or(count) as u64
    }

    /// Which entries from its position on are for a receiver, the first as the lowest bit; None if there are more than
    /// [`SHARED_ENTRIES`], or the log does not reach back so far.
    pub fn heard_by(&self, reader: Reader) -> Option<u64> {
        let index = reader.position.checked_sub(self.first)? as usize;
        let count = self.entries.len().checked_sub(index)?;
        if count > SHARED_ENTRIES {
            return None;
        }
        let mut start = self.start(index);
        let mut which = 0;
        for nth in 0..count {
            let entry = &self.entries[index + nth];
            let heard = self.heard(entry, start, reader, reader.position + nth as u64);
            which |= u64::from(heard.is_some()) << nth;
            start = self.end_of(entry);
        }
        Some(which)
    }

    /// Appends packets of entries that are here, at most `most` bytes: that of the entry behind a position if the lowest bit of
    /// `which` is set, and so on. False if they are more.
    pub fn copy(&self, position: u64, which: u64, most: usize, out: &mut Vec<u8>) -> bool {
        let index = position.saturating_sub(self.first) as usize;
        let until = out.len() + most;
        for nth in ones(which).map(|nth| index + nth) {
            let Some(entry) = self.entries.get(nth) else {
                return false;
            };
            let packet = self.start(nth) + entry.head()..self.end_of(entry);
            if out.len() + packet.len() > until {
                return false;
            }
            out.extend_from_slice(&self.bytes[packet]);
        }
        true
    }

    /// Who may lack one of the entries from a position on, of those who get droppable events: a bit for the ids that leave
    /// the same when divided by their number.
    pub fn lacked_by(&self, position: u64) -> u64 {
        let from = position.saturating_sub(self.first) as usize;
        let entries = self.entries.range(from.min(self.entries.len())..);
        entries.fold(0, |lacked, entry| {
            lacked
                | match entry.audience {
                    Kept::All => 0,
                    Kept::Others => residue(entry.author),
                    Kept::One | Kept::List => u64::MAX,
                }
        })
    }

    /// Whether the entry that begins at `start` is for a receiver: then, bytes before its packet.
    #[inline]
    fn heard(&self, entry: &Entry, start: usize, reader: Reader, position: u64) -> Option<usize> {
        let is_again = position < reader.lossy_until;
        let (head, mine) = match entry.audience {
            Kept::Others => (0, entry.author != reader.player),
            Kept::All => (0, true),
            Kept::One if is_again && planted::is(Fault::LateAudience) => {
                (0, entry.author != reader.player)
            }
            Kept::One => (0, entry.whom == reader.player),
            Kept::List => {
                let head = entry.head();
                (head, self.lists(start..start + head, reader.player))
            }
        };
        let is_lost = entry.droppable && is_again;
        (mine && !is_lost).then_some(head)
    }

    /// The positions of what a receiver has not had and is to get, with the authors; nothing if the log does not reach back
    /// to where it is.
    fn coming(&self, reader: Reader) -> impl Iterator<Item = (u32, u64)> {
        let index = reader.position.checked_sub(self.first);
        let index = index.map_or(self.entries.len(), |index| index as usize);
        let mut start = self.start(index);
        let entries = self.entries.range(index.min(self.entries.len())..);
        entries
            .zip(reader.position..)
            .filter_map(move |(entry, position)| {
                let heard = self.heard(entry, start, reader, position);
                start = self.end_of(entry);
                heard.map(|_| (entry.author, position))
            })
    }

    /// Whose entries a receiver has yet to get, ascending, and the position of the first of each.
    pub fn pending(&self, reader: Reader) -> Vec<(u32, u64)> {
        let mut pending: Vec<(u32, u64)> = self.coming(reader).collect();
        pending.sort_unstable();
        pending.dedup_by_key(|(author, _)| *author);
        pending
    }

    /// The position of the next entry that is for a receiver, or the last one; where it is if the log does not reach back
    /// so far.
    pub fn skip(&self, reader: Reader) -> u64 {
        if reader.position < self.first {
            return reader.position;
        }
        let next = self.coming(reader).next();
        next.map_or(self.position(), |(_, position)| position)
    }

    /// Bytes of packets.
    pub fn slice(&self, run: Range<usize>) -> &[u8] {
        &self.bytes[run]
    }

    /// Lets go of what was said before `position` and before the time `until` (ms).
    pub fn forget(&mut self, position: u64, until: u32) {
        while let Some(entry) = self.entries.front() {
            if self.first >= position || entry.at.wrapping_sub(until) as i32 >= 0 {
                break;
            }
            self.drop_first();
        }
        if self.dead > 0 {
            self.compact();
            self.bytes.shrink_to(self.bytes.len() * 2);
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// Lets go of the oldest until no more than so many bytes are held.
    pub fn shorten(&mut self, most: usize) {
        while self.held() > most && !self.entries.is_empty() {
            self.drop_first();
        }
    }

    /// When the oldest entry was said, ms.
    pub fn oldest(&self) -> Option<u32> {
        self.entries.front().map(|entry| entry.at)
    }

    /// Bytes of all that can be read, with its index.
    pub fn held(&self) -> usize {
        self.bytes.len() - self.dead + self.entries.len() * size_of::<Entry>()
    }

    /// Where an entry begins in `bytes`; also of the one that will follow the last.
    fn start(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            Some(before) => self.end_of(&self.entries[before]),
            None => self.dead,
        }
    }

    /// The number of the last entry before this one; also of the one that will follow the last.
    fn seq_before(&self, index: usize) -> u64 {
        match index.checked_sub(1) {
            Some(before) => self.seq_of(&self.entries[before]),
            None => self.gone,
        }
    }

    /// Whether a list of ids has this one.
    fn lists(&self, ids: Range<usize>, player: u32) -> bool {
        let (ids, _) = self.bytes[ids].as_chunks::<4>();
        ids.binary_search_by_key(&player, |id| u32::from_le_bytes(*id))
            .is_ok()
    }

    fn drop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.first += 1;
            self.gone = self.seq_of(&entry);
            self.dead = self.end_of(&entry);
        }
    }

    /// Gives up what is gone when it is half of all, so each byte is moved once at most; and the older half of what is not,
    /// where the buffer would have more than `span` bytes.
    fn make_room(&mut self, span: usize) {
        if self.bytes.len() > span {
            self.shorten(span / 2);
        }
        if self.dead * 2 > self.bytes.len() || self.bytes.len() > span {
            self.compact();
        }
    }

    fn compact(&mut self) {
        self.bytes.drain(..self.dead);
        self.base += self.dead as u64;
        self.dead = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One thing that was said: a byte that tells it from the others, with what a receiver has to know.
    #[derive(Debug, Clone)]
    struct Line {
        author: u32,
        audience: Option<Vec<u32>>,
        to_author: bool,
        droppable: bool,
        len: usize,
    }

    impl Line {
        /// What player 1 says to the others.
        fn to_others(len: usize) -> Self {
            Self {
                author: 1,
                audience: None,
                to_author: false,
                droppable: false,
                len,
            }
        }

        fn is_for(&self, player: u32) -> bool {
            match &self.audience {
                Some(players) => players.contains(&player),
                None => self.to_author || self.author != player,
            }
        }

        fn append(&self, log: &mut Log, at: u32, mark: u8) {
            let audience = match &self.audience {
                Some(players) if players.len() == 1 => Audience::One(players[0]),
                Some(players) => Audience::List(players),
                None if self.to_author => Audience::All,
                None => Audience::Others,
            };
            let said = Said {
                author: self.author,
                audience,
                droppable: self.droppable,
                at,
            };
            log.append(said, |out| out.extend(std::iter::repeat_n(mark, self.len)));
        }
    }

    /// All portions for a receiver from its position on.
    fn read(log: &Log, mut reader: Reader, most: usize) -> Option<(Vec<u8>, u64)> {
        let mut got = Vec::new();
        loop {
            let mut runs = Vec::new();
            let portion = log.next(reader, u64::MAX, (0, most), &mut |run| runs.push(run))?;
            let bytes: Vec<u8> = runs
                .into_iter()
                .flat_map(|run| log.slice(run).to_vec())
                .collect();
            assert_eq!(bytes.len(), portion.len);
            assert!(
                bytes.len() <= most || bytes.windows(2).all(|two| two[0] == two[1]),
                "more than {most} bytes only for a single packet"
            );
            got.extend(bytes);
            if portion.position == log.position() {
                return Some((got, portion.seq));
            }
            assert!(portion.position > reader.position, "it goes on");
            reader.position = portion.position;
        }
    }

    fn line() -> impl Strategy<Value = Line> {
        (
            1u32..5,
            prop::option::weighted(0.4, prop::collection::btree_set(1u32..6, 1..4)),
            any::<bool>(),
            prop::bool::weighted(0.2),
            1usize..30,
        )
            .prop_map(|(author, audience, to_author, droppable, len)| Line {
                author,
                audience: audience.map(|players| players.into_iter().collect()),
                to_author,
                droppable,
                len,
            })
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 24, "{} bytes", size_of::<Entry>());
    }

    #[test]
    fn a_room_of_ten_has_an_index_of_eleven() {
        let mut log = Log::default();
        for author in 0..10 {
            let said = Said {
                author,
                audience: Audience::Others,
                droppable: false,
                at: 0,
            };
            log.append(said, |out| out.push(1));
        }
        assert!(log.entries.capacity() <= 11, "{}", log.entries.capacity());
    }

    #[test]
    fn numbers_go_on_beyond_what_an_entry_holds() {
        let mut log = Log {
            seq: u64::from(u32::MAX) - 1,
            gone: u64::from(u32::MAX) - 1,
            ..Log::default()
        };
        let line = Line::to_others(1);
        let begun = log.seq();
        for at in 1..=4 {
            line.append(&mut log, at, 7);
        }
        let after: Vec<_> = (0..=5).map(|more| log.after(begun + more)).collect();
        assert_eq!(after, [Some(0), Some(1), Some(2), Some(3), Some(4), None]);
        log.forget(3, 10);
        assert_eq!(
            (log.after(begun + 2), log.after(begun + 3)),
            (None, Some(3))
        );
        assert_eq!(log.after(begun + 4), Some(4));
    }

    #[test]
    fn what_nobody_needs_any_more_is_freed() {
        let mut log = Log::default();
        let line = Line::to_others(1_000);
        for at in 0..100 {
            line.append(&mut log, at * 100, 7);
        }
        log.forget(log.position(), 5_000);
        assert_eq!(log.oldest(), Some(5_000), "it is not old enough");
        log.forget(60, 50_000);
        assert_eq!(log.after(59), None, "that was for nobody");
        assert_eq!(log.after(60), Some(60), "somebody has had only so much");
        log.forget(log.position(), 50_000);
        assert_eq!(log.oldest(), None);
        assert_eq!(log.bytes.capacity() + log.entries.capacity(), 0);
        assert_eq!((log.seq(), log.after(100)), (100, Some(100)));
    }

    #[test]
    fn offsets_go_on_beyond_what_an_entry_holds() {
        let mut log = Log {
            base: u64::from(u32::MAX) - 100,
            ..Log::default()
        };
        let line = Line::to_others(30);
        for mark in 0..10 {
            log.make_room(150);
            line.append(&mut log, 0, mark);
            assert!(log.bytes.len() <= 150 + 30, "{}", log.bytes.len());
        }
        let reader = Reader {
            player: 2,
            position: log.first,
            lossy_until: 0,
        };
        let kept: Vec<u8> = (log.first..10).flat_map(|mark| [mark as u8; 30]).collect();
        assert!(kept.len() >= 60, "the newer half stays");
        assert_eq!(read(&log, reader, 100), Some((kept, 10)));
        assert_eq!(log.bytes_since(9), Some(30));
    }

    proptest! {
        #[test]
        fn everybody_gets_what_was_for_it_from_anywhere(
            lines in prop::collection::vec(line(), 1..60),
            most in 1usize..100,
            kept in 0usize..4_000,
            from in 0usize..60,
            player in 1u32..7,
            lossy in 0u64..60,
        ) {
            let mut log = Log::default();
            for (index, line) in lines.iter().enumerate() {
                line.append(&mut log, index as u32, index as u8);
                if index % 7 == 0 {
                    log.shorten(kept);
                }
            }
            let from = from.min(lines.len());
            let reader = Reader { player, position: from as u64, lossy_until: lossy };
            let expected: Vec<u8> = lines.iter().enumerate().skip(from)
                .filter(|(index, line)| line.is_for(player) && !(line.droppable && (*index as u64) < lossy))
                .flat_map(|(index, line)| vec![index as u8; line.len])
                .collect();
            match read(&log, reader, most) {
                Some((got, seq)) => {
                    prop_assert_eq!(got, expected);
                    prop_assert_eq!(seq, log.seq());
                }
                None => prop_assert!((from as u64) < log.first),
            }
            // By the number of an entry: the position behind it, and behind the droppable events that follow it.
            let seq = lines[..from].iter().filter(|line| !line.droppable).count() as u64;
            match log.after(seq) {
                Some(position) => {
                    let between = lines[(position as usize).min(from)..(position as usize).max(from)].iter();
                    prop_assert!(between.clone().all(|line| line.droppable), "{:?}", between);
                }
                None => prop_assert!(seq < log.gone),
            }
            prop_assert_eq!(log.after(log.seq() + 1), None);
            let which = log.heard_by(reader);
            let reaches = from as u64 >= log.first;
            prop_assert_eq!(which.is_some(), reaches && lines.len() - from <= SHARED_ENTRIES);
            for (bit, (line, index)) in lines[from..].iter().zip(from as u64..).enumerate() {
                let is_heard = line.is_for(player) && !(line.droppable && index < reader.lossy_until);
                prop_assert_eq!(which.map(|which| which >> bit & 1 == 1), which.map(|_| is_heard));
            }
        }
    }
}
