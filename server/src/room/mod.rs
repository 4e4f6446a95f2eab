//! Rooms: who is a member, and what was said in this iteration.
//!
//! Owns: members, the open batch, the running fan-out. Must not know: sockets, frame headers, TLS, the clock.
//! Invariant: a member gets every message appended after it joined and before it left, in order, except its own.

mod table;
pub mod v1;

use std::rc::Rc;

use table::Named;
pub use table::RoomId;

use crate::delivery::{Audience, Batch, BatchPool, Class, Dialect, Said, Speakers};

/// The rooms of one shard whose members get batches.
pub type Rooms = table::Rooms<Room>;

/// A seat whose member left while a fan-out was running over the seats.
const VACANT: u32 = u32::MAX;

/// The author of what no member says. Who joins first of four thousand million gets another number.
const NOBODY: u32 = u32::MAX;

/// One member's place in the room.
#[derive(Debug, Clone, Copy)]
struct Seat {
    /// The player's place in its shard.
    player: u32,
    /// Unique in this room, never used twice while the room lives.
    member: u32,
    /// Messages of the open batch that were there before this member; 0 again after its first batch.
    joined_at: u32,
    dialect: Dialect,
}

/// A frozen batch on its way to the seats.
#[derive(Debug)]
struct Fanout {
    batch: Box<Batch>,
    /// The next seat to serve. Where the round begins rotates, so that nobody is always last.
    next: u32,
    /// Seats to serve.
    left: u32,
    /// Seats there were when the batch was frozen; whoever joined later has a higher index.
    seats: u32,
    vacated: bool,
    /// Messages that each receiver gets, in parts of [`PART`], and what is left of whole ones.
    each: u64,
    rest: u64,
}

/// Parts of a message in which they are counted where receivers get different numbers.
const PART: u64 = 1 << 16;

/// One receiver of the running fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receiver {
    /// The player's place in its shard.
    pub player: u32,
    /// Its member number, for [`Batch::others`].
    pub member: u32,
    /// The message of the batch from which on it was a member.
    pub from: u32,
    /// What it speaks.
    pub dialect: Dialect,
}

/// Members, and their messages until everyone has been served.
#[derive(Debug)]
pub struct Room {
    name: Rc<str>,
    seats: Vec<Seat>,
    speakers: Speakers,
    next_member: u32,
    rotation: u32,
    open: Option<Box<Batch>>,
    fanout: Option<Fanout>,
}

impl Room {
    fn new(name: Rc<str>) -> Self {
        Self {
            name,
            seats: Vec::new(),
            speakers: Speakers::default(),
            next_member: 0,
            rotation: 0,
            open: None,
            fanout: None,
        }
    }

    /// Members of the room.
    pub fn members(&self) -> usize {
        self.players().count()
    }

    /// Seats taken, counting those that were left during the running fan-out.
    pub fn seats(&self) -> usize {
        self.seats.len()
    }

    /// Each seat that is taken, and by which player.
    pub fn seated(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let seats = (0u32..).zip(&self.seats);
        seats
            .map(|(at, seat)| (at, seat.player))
            .filter(|&(_, player)| player != VACANT)
    }

    /// The players who are members.
    pub fn players(&self) -> impl Iterator<Item = u32> + '_ {
        self.seats
            .iter()
            .map(|seat| seat.player)
            .filter(|&player| player != VACANT)
    }

    /// Seats a player; returns the index of its seat.
    pub fn join(&mut self, player: u32, dialect: Dialect) -> u32 {
        let member = self.next_member;
        self.next_member = self.next_member.wrapping_add(1);
        let joined_at = self.open.as_ref().map_or(0, |open| open.len());
        if self.seats.len() == self.seats.capacity() {
            // Twice as many would be memory of idle players.
            self.seats.reserve_exact((self.seats.len() / 4).max(2));
        }
        self.seats.push(Seat {
            player,
            member,
            joined_at,
            dialect,
        });
        self.speakers.add(dialect);
        self.seats.len() as u32 - 1
    }

    /// Frees a seat. Returns the player who now sits there, if another one was moved.
    pub fn leave(&mut self, seat: u32) -> Option<u32> {
        self.speakers.remove(self.seats[seat as usize].dialect);
        match &mut self.fanout {
            Some(fanout) => {
                fanout.vacated = true;
                self.seats[seat as usize].player = VACANT;
                None
            }
            None => {
                self.seats.swap_remove(seat as usize);
                self.seats.get(seat as usize).map(|moved| moved.player)
            }
        }
    }

    /// Appends a message of the member on `seat`, which `encode` writes in a dialect with its author's number. Nothing
    /// is kept if nobody would get it. True if this is the first message of its batch: the room has to be frozen.
    #[inline(always)]
    pub fn append(
        &mut self,
        seat: u32,
        class: Class,
        audience: Audience<'_>,
        pool: &mut BatchPool,
        mut encode: impl FnMut(Dialect, u32, &mut Vec<u8>),
    ) -> bool {
        if self.seats.len() < 2 {
            return false;
        }
        let author = self.seats[seat as usize].member;
        let first = self.open.is_none();
        let open = self.open.get_or_insert_with(|| pool.take());
        open.append(author, class, audience, &self.speakers, |dialect, out| {
            encode(dialect, author, out);
        });
        first
    }

    /// Appends a message of nobody who sits here, so that everybody gets it. True if this is the first message of its batch.
    pub fn announce(
        &mut self,
        pool: &mut BatchPool,
        mut encode: impl FnMut(Dialect, u32, &mut Vec<u8>),
    ) -> bool {
        if self.seats.is_empty() {
            return false;
        }
        let first = self.open.is_none();
        let open = self.open.get_or_insert_with(|| pool.take());
        let all = Audience::All;
        open.append(NOBODY, Class::Event, all, &self.speakers, |dialect, out| {
            encode(dialect, NOBODY, out);
        });
        first
    }

    /// Bytes gathered since the last freeze, with their index.
    pub fn open_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.footprint())
    }

    /// Turns the open batch into a fan-out. False if there is nothing to freeze, or the last one is still running: then
    /// messages go on gathering, which makes the next one larger and cheaper.
    pub fn freeze(&mut self) -> bool {
        if self.fanout.is_some() {
            return false;
        }
        let Some(mut batch) = self.open.take() else {
            return false;
        };
        batch.freeze();
        let seats = self.seats.len() as u32;
        // All but its own, which are spread evenly unless one has said them all: then that one gets nothing.
        let all = u64::from(batch.len()) * PART;
        let each = if batch.has_one_author() {
            all
        } else {
            all - all / u64::from(seats.max(1))
        };
        let start = if seats == 0 { 0 } else { self.rotation % seats };
        self.rotation = self.rotation.wrapping_add(1);
        self.fanout = Some(Fanout {
            batch,
            next: start,
            left: seats,
            seats,
            vacated: false,
            each,
            rest: 0,
        });
        true
    }

    /// The next receiver of the running fan-out, and its batch; `None` when all were served.
    #[inline]
    pub fn next_receiver(&mut self) -> Option<(Receiver, &Batch)> {
        let fanout = self.fanout.as_mut()?;
        while fanout.left > 0 {
            fanout.left -= 1;
            let index = fanout.next;
            fanout.next = if index + 1 < fanout.seats {
                index + 1
            } else {
                0
            };
            let seat = &mut self.seats[index as usize];
            if seat.player != VACANT {
                let receiver = Receiver {
                    player: seat.player,
                    member: seat.member,
                    from: std::mem::take(&mut seat.joined_at),
                    dialect: seat.dialect,
                };
                return Some((receiver, &fanout.batch));
            }
        }
        None
    }

    /// The open batch has its first message, which is here since then (us).
    #[inline]
    pub fn opens(&mut self, since: u64) {
        if let Some(open) = &mut self.open {
            open.since = since;
        }
    }

    /// So many more receivers of the running fan-out have taken all that was for them: these messages.
    #[inline]
    pub fn wrote(&mut self, writes: u32) -> Said {
        let Some(fanout) = &mut self.fanout else {
            return Said::default();
        };
        let parts = fanout.rest + u64::from(writes) * fanout.each;
        fanout.rest = parts % PART;
        Said {
            since: fanout.batch.since,
            messages: (parts / PART) as u32,
        }
    }

    /// The batch of the running fan-out.
    pub fn batch(&self) -> Option<&Batch> {
        self.fanout.as_ref().map(|fanout| &*fanout.batch)
    }

    /// The batch of the running fan-out, fit to be kept by somebody who can't take it at once, see [`Batch::lend`].
    pub fn lend(&mut self, dialect: Dialect) -> Option<&Batch> {
        let fanout = self.fanout.as_mut()?;
        fanout.batch.lend(dialect);
        Some(&fanout.batch)
    }

    /// Ends a fan-out that has no receivers left, and tells `moved` who sits where now (player, seat).
    pub fn finish_fanout(&mut self, pool: &mut BatchPool, mut moved: impl FnMut(u32, u32)) {
        let Some(fanout) = self.fanout.take() else {
            return;
        };
        pool.give(fanout.batch);
        if !fanout.vacated {
            return;
        }
        // From the end, so that whoever is moved into a gap is not vacant.
        for index in (0..self.seats.len()).rev() {
            if self.seats[index].player == VACANT {
                self.seats.swap_remove(index);
                if let Some(seat) = self.seats.get(index) {
                    moved(seat.player, index as u32);
                }
            }
        }
    }

    /// Nobody is here and nothing is running: the room can go.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty() && self.fanout.is_none()
    }

    /// Whether messages wait for the next freeze.
    pub fn has_open(&self) -> bool {
        self.open.is_some()
    }

    /// A room that loses all members gives back what it gathered.
    pub fn discard_open(&mut self, pool: &mut BatchPool) {
        if let Some(open) = self.open.take() {
            pool.give(open);
        }
    }

    pub(super) fn name(&self) -> &Rc<str> {
        &self.name
    }
}

impl Named for Room {
    fn named(name: Rc<str>) -> Self {
        Self::new(name)
    }

    fn name(&self) -> &Rc<str> {
        self.name()
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room() -> Room {
        Room::new(Rc::from("arena"))
    }

    #[test]
    fn seats_to_spare_are_few() {
        let mut room = room();
        for members in 1..2_000 {
            room.join(members, Dialect::Raw);
            let spare = room.seats.capacity() - members as usize;
            assert!(spare <= (members as usize / 4).max(2), "{spare}");
        }
    }

    #[test]
    fn what_nobody_says_everybody_gets_also_who_is_alone() {
        let (mut room, mut pool) = (room(), BatchPool::default());
        let encode = |dialect, author, out: &mut Vec<u8>| write(dialect, author, b"notice", out);
        assert!(!room.announce(&mut pool, encode), "nobody is here");
        room.join(1, Dialect::Raw);
        assert!(room.announce(&mut pool, encode));
        room.freeze();
        assert_eq!(serve(&mut room, &mut pool), [(1, b"notice".to_vec())]);
        room.join(2, Dialect::Raw);
        say(&mut room, 0, &mut pool, b"a");
        assert!(!room.announce(&mut pool, encode));
        room.freeze();
        let mut served = serve(&mut room, &mut pool);
        served.sort();
        assert_eq!(served, [(1, b"notice".to_vec()), (2, b"anotice".to_vec())]);
    }

    /// Serves the running fan-out completely; what each player got.
    fn serve(room: &mut Room, pool: &mut BatchPool) -> Vec<(u32, Vec<u8>)> {
        let mut served = Vec::new();
        while let Some((receiver, batch)) = room.next_receiver() {
            served.push((receiver.player, got(batch, &receiver)));
        }
        room.finish_fanout(pool, |_, _| {});
        served
    }

    fn got(batch: &Batch, receiver: &Receiver) -> Vec<u8> {
        let mut got = Vec::new();
        let Receiver {
            member,
            from,
            dialect,
            ..
        } = *receiver;
        let encoding = batch.encoding(dialect);
        batch.others(dialect, member, from, |range| {
            got.extend_from_slice(encoding.slice(range));
        });
        got
    }

    /// Raw, a message is what was said; in the other dialect the author's number follows.
    fn write(dialect: Dialect, author: u32, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
        if dialect != Dialect::Raw {
            out.push(author as u8);
        }
    }

    fn say(room: &mut Room, seat: u32, pool: &mut BatchPool, bytes: &[u8]) {
        let encode = |dialect, author, out: &mut Vec<u8>| write(dialect, author, bytes, out);
        room.append(seat, Class::Event, Audience::All, pool, encode);
    }

    #[test]
    fn everyone_but_the_sender_gets_it_and_the_start_rotates() {
        let (mut room, mut pool) = (room(), BatchPool::default());
        for player in [10, 11, 12] {
            room.join(player, Dialect::Raw);
        }
        let mut firsts = Vec::new();
        for _ in 0..3 {
            say(&mut room, 1, &mut pool, b"hi");
            assert!(room.freeze());
            let served = serve(&mut room, &mut pool);
            firsts.push(served[0].0);
            for (player, bytes) in served {
                assert_eq!(bytes, if player == 11 { &b""[..] } else { b"hi" });
            }
        }
        assert_eq!(firsts, [10, 11, 12]);
    }

    #[test]
    fn alone_in_a_room_nothing_is_kept() {
        let (mut room, mut pool) = (room(), BatchPool::default());
        room.join(1, Dialect::Raw);
        say(&mut room, 0, &mut pool, b"hello?");
        assert!(!room.freeze());
    }

    #[test]
    fn who_joins_in_the_middle_of_an_iteration_gets_only_what_follows() {
        let (mut room, mut pool) = (room(), BatchPool::default());
        room.join(1, Dialect::Raw);
        room.join(2, Dialect::Raw);
        say(&mut room, 0, &mut pool, b"before");
        room.join(3, Dialect::Raw);
        say(&mut room, 0, &mut pool, b"after");
        room.freeze();
        let mut served = serve(&mut room, &mut pool);
        served.sort();
        assert_eq!(
            served,
            [
                (1, b"".to_vec()),
                (2, b"beforeafter".to_vec()),
                (3, b"after".to_vec())
            ]
        );
    }

    proptest! {
        /// Joins, leaves, messages and partial fan-outs in any order, against the plain rule.
        #[test]
        fn members_get_what_was_said_while_they_were_members(
            steps in prop::collection::vec((0u8..6, 0usize..8), 1..120),
        ) {
            let (mut room, mut pool) = (room(), BatchPool::default());
            // player -> (seat, expected bytes, got bytes)
            let mut members: std::collections::BTreeMap<u32, (u32, Vec<u8>, Vec<u8>)> = Default::default();
            let mut next_player: u32 = 0;
            let dialect_of = |player: u32| Dialect::ALL[player as usize % Dialect::ALL.len()];
            let mut said = 0u8;
            for (kind, pick) in steps {
                match kind {
                    0 => {
                        let seat = room.join(next_player, dialect_of(next_player));
                        members.insert(next_player, (seat, Vec::new(), Vec::new()));
                        next_player += 1;
                    }
                    1 if !members.is_empty() => {
                        let player = *members.keys().nth(pick % members.len()).unwrap();
                        let (seat, ..) = members.remove(&player).unwrap();
                        if let Some(moved) = room.leave(seat) {
                            members.get_mut(&moved).unwrap().0 = seat;
                        }
                    }
                    2 | 5 if !members.is_empty() => {
                        let sender = *members.keys().nth(pick % members.len()).unwrap();
                        said = said.wrapping_add(1);
                        let author = room.seats[members[&sender].0 as usize].member;
                        // Every third, if it is not for all.
                        let few: Vec<u32> = members.keys().copied().skip(pick % 3).step_by(3).collect();
                        let numbers: Vec<u32> = few.iter()
                            .map(|player| room.seats[members[player].0 as usize].member).collect();
                        let audience = if kind == 2 { Audience::All } else { Audience::Few(&numbers) };
                        let encode = |dialect, author, out: &mut Vec<u8>| write(dialect, author, &[said], out);
                        room.append(members[&sender].0, Class::Event, audience, &mut pool, encode);
                        if room.seats.len() > 1 {
                            for (player, member) in &mut members {
                                if *player != sender && (kind == 2 || few.contains(player)) {
                                    write(dialect_of(*player), author, &[said], &mut member.1);
                                }
                            }
                        }
                    }
                    3 => {
                        room.freeze();
                    }
                    _ => {
                        // A few receivers at a time; at the end, all.
                        for _ in 0..=pick {
                            let Some((receiver, batch)) = room.next_receiver() else { break };
                            let got = got(batch, &receiver);
                            members.get_mut(&receiver.player).expect("only members are served").2.extend(got);
                        }
                    }
                }
            }
            for _ in 0..2 {
                while let Some((receiver, batch)) = room.next_receiver() {
                    let got = got(batch, &receiver);
                    members.get_mut(&receiver.player).expect("only members are served").2.extend(got);
                }
                room.finish_fanout(&mut pool, |player, seat| members.get_mut(&player).unwrap().0 = seat);
                room.freeze();
            }
            for (player, (seat, expected, got)) in &members {
                prop_assert_eq!(got, expected, "player {}", player);
                prop_assert_eq!(room.seats[*seat as usize].player, *player);
            }
            prop_assert_eq!(room.members(), members.len());
        }
    }
}
