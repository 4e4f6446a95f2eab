//! Rooms: who is a member, and what was said in this iteration.
//!
//! Owns: members, the open batch, the running fan-out. Must not know: sockets, frame headers, TLS, the clock.
//! Invariant: a member gets every message appended after it joined and before it left, in order, except its own.

mod table;

use std::rc::Rc;

pub use table::{RoomId, Rooms};

use crate::delivery::{Batch, BatchPool, Class};

/// A seat whose member left while a fan-out was running over the seats.
const VACANT: u32 = u32::MAX;

/// One member's place in the room.
#[derive(Debug, Clone, Copy)]
struct Seat {
    /// The connection's slot in its shard.
    connection: u32,
    /// Unique in this room, never used twice while the room lives.
    member: u32,
    /// Bytes of the open batch that were there before this member; 0 again after its first batch.
    joined_at: u32,
}

/// A frozen batch on its way to the seats.
#[derive(Debug)]
struct Fanout {
    batch: Rc<Batch>,
    /// Where the round began; it rotates, so that nobody is always last.
    start: u32,
    /// Seats served so far.
    done: u32,
    /// Seats there were when the batch was frozen; whoever joined later has a higher index.
    seats: u32,
    vacated: bool,
}

/// One receiver of the running fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receiver {
    /// The connection's slot in its shard.
    pub connection: u32,
    /// Its member number, for [`Batch::others`].
    pub member: u32,
    /// The byte of the batch from which on it was a member.
    pub from: u32,
}

/// Members, and their messages until everyone has been served.
#[derive(Debug)]
pub struct Room {
    name: Rc<str>,
    seats: Vec<Seat>,
    next_member: u32,
    rotation: u32,
    open: Option<Rc<Batch>>,
    fanout: Option<Fanout>,
    /// Members that have fallen behind and still read; while there is one, flooders are read no further.
    pub pressing: u32,
    /// Members that are read no further for the room's sake.
    pub paused: u32,
    /// Listed for freezing.
    pub dirty: bool,
}

impl Room {
    fn new(name: Rc<str>) -> Self {
        Self {
            name,
            seats: Vec::new(),
            next_member: 0,
            rotation: 0,
            open: None,
            fanout: None,
            pressing: 0,
            paused: 0,
            dirty: false,
        }
    }

    /// Members of the room.
    pub fn members(&self) -> usize {
        self.connections().count()
    }

    /// Seats taken, counting those that were left during the running fan-out.
    pub fn seats(&self) -> usize {
        self.seats.len()
    }

    /// The connections of all members.
    pub fn connections(&self) -> impl Iterator<Item = u32> + '_ {
        self.seats
            .iter()
            .map(|seat| seat.connection)
            .filter(|&connection| connection != VACANT)
    }

    /// Seats a connection; returns the index of its seat.
    pub fn join(&mut self, connection: u32) -> u32 {
        let member = self.next_member;
        self.next_member = self.next_member.wrapping_add(1);
        let joined_at = self.open.as_ref().map_or(0, |open| open.len() as u32);
        self.seats.push(Seat {
            connection,
            member,
            joined_at,
        });
        self.seats.len() as u32 - 1
    }

    /// Frees a seat. Returns the connection that now sits there, if another one was moved.
    pub fn leave(&mut self, seat: u32) -> Option<u32> {
        match &mut self.fanout {
            Some(fanout) => {
                fanout.vacated = true;
                self.seats[seat as usize].connection = VACANT;
                None
            }
            None => {
                self.seats.swap_remove(seat as usize);
                self.seats.get(seat as usize).map(|moved| moved.connection)
            }
        }
    }

    /// Appends a message of the member on `seat`, encoded by `encode`. Nothing is kept if nobody would get it.
    pub fn append(
        &mut self,
        seat: u32,
        class: Class,
        pool: &mut BatchPool,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        if self.seats.len() < 2 {
            return false;
        }
        let sender = self.seats[seat as usize].member;
        let open = self.open.get_or_insert_with(|| pool.take());
        let open = Rc::get_mut(open).expect("an open batch is not shared");
        open.append(sender, class, encode);
        true
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
        Rc::get_mut(&mut batch)
            .expect("an open batch is not shared")
            .freeze();
        let seats = self.seats.len() as u32;
        let start = if seats == 0 { 0 } else { self.rotation % seats };
        self.rotation = self.rotation.wrapping_add(1);
        self.fanout = Some(Fanout {
            batch,
            start,
            done: 0,
            seats,
            vacated: false,
        });
        true
    }

    /// The next receiver of the running fan-out; `None` when all were served.
    pub fn next_receiver(&mut self) -> Option<Receiver> {
        let fanout = self.fanout.as_mut()?;
        while fanout.done < fanout.seats {
            let index = fanout.start + fanout.done;
            let index = if index >= fanout.seats {
                index - fanout.seats
            } else {
                index
            };
            fanout.done += 1;
            let seat = &mut self.seats[index as usize];
            if seat.connection != VACANT {
                let from = std::mem::take(&mut seat.joined_at);
                return Some(Receiver {
                    connection: seat.connection,
                    member: seat.member,
                    from,
                });
            }
        }
        None
    }

    /// The batch of the running fan-out.
    pub fn batch(&self) -> Option<&Rc<Batch>> {
        self.fanout.as_ref().map(|fanout| &fanout.batch)
    }

    /// Ends a fan-out that has no receivers left, and tells `moved` who sits where now (connection, seat).
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
            if self.seats[index].connection == VACANT {
                self.seats.swap_remove(index);
                if let Some(seat) = self.seats.get(index) {
                    moved(seat.connection, index as u32);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room() -> Room {
        Room::new(Rc::from("arena"))
    }

    /// Serves the running fan-out completely; what each connection got.
    fn serve(room: &mut Room, pool: &mut BatchPool) -> Vec<(u32, Vec<u8>)> {
        let mut served = Vec::new();
        while let Some(receiver) = room.next_receiver() {
            let batch = room.batch().unwrap();
            let bytes = batch
                .others(receiver.member, receiver.from)
                .flat_map(|range| batch.slice(range).to_vec());
            served.push((receiver.connection, bytes.collect()));
        }
        room.finish_fanout(pool, |_, _| {});
        served
    }

    fn say(room: &mut Room, seat: u32, pool: &mut BatchPool, bytes: &[u8]) {
        room.append(seat, Class::Event, pool, |out| out.extend_from_slice(bytes));
    }

    #[test]
    fn everyone_but_the_sender_gets_it_and_the_start_rotates() {
        let (mut room, mut pool) = (room(), BatchPool::default());
        for connection in [10, 11, 12] {
            room.join(connection);
        }
        let mut firsts = Vec::new();
        for _ in 0..3 {
            say(&mut room, 1, &mut pool, b"hi");
            assert!(room.freeze());
            let served = serve(&mut room, &mut pool);
            firsts.push(served[0].0);
            for (connection, bytes) in served {
                assert_eq!(bytes, if connection == 11 { &b""[..] } else { b"hi" });
            }
        }
        assert_eq!(firsts, [10, 11, 12]);
    }

    #[test]
    fn alone_in_a_room_nothing_is_kept() {
        let (mut room, mut pool) = (room(), BatchPool::default());
        room.join(1);
        say(&mut room, 0, &mut pool, b"hello?");
        assert!(!room.freeze());
    }

    #[test]
    fn who_joins_in_the_middle_of_an_iteration_gets_only_what_follows() {
        let (mut room, mut pool) = (room(), BatchPool::default());
        room.join(1);
        room.join(2);
        say(&mut room, 0, &mut pool, b"before");
        room.join(3);
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
            steps in prop::collection::vec((0u8..5, 0usize..8), 1..120),
        ) {
            let (mut room, mut pool) = (room(), BatchPool::default());
            // connection -> (seat, expected bytes, got bytes)
            let mut members: std::collections::BTreeMap<u32, (u32, Vec<u8>, Vec<u8>)> = Default::default();
            let mut next_connection = 0;
            let mut said = 0u8;
            for (kind, pick) in steps {
                match kind {
                    0 => {
                        let seat = room.join(next_connection);
                        members.insert(next_connection, (seat, Vec::new(), Vec::new()));
                        next_connection += 1;
                    }
                    1 if !members.is_empty() => {
                        let connection = *members.keys().nth(pick % members.len()).unwrap();
                        let (seat, ..) = members.remove(&connection).unwrap();
                        if let Some(moved) = room.leave(seat) {
                            members.get_mut(&moved).unwrap().0 = seat;
                        }
                    }
                    2 if !members.is_empty() => {
                        let sender = *members.keys().nth(pick % members.len()).unwrap();
                        said = said.wrapping_add(1);
                        let seat = members[&sender].0;
                        if room.append(seat, Class::Event, &mut pool, |out| out.push(said)) {
                            for (connection, member) in &mut members {
                                if *connection != sender {
                                    member.1.push(said);
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
                            let Some(receiver) = room.next_receiver() else { break };
                            let batch = room.batch().unwrap();
                            let got: Vec<u8> = batch.others(receiver.member, receiver.from)
                                .flat_map(|range| batch.slice(range).to_vec()).collect();
                            members.get_mut(&receiver.connection).expect("only members are served").2.extend(got);
                        }
                    }
                }
            }
            for _ in 0..2 {
                while let Some(receiver) = room.next_receiver() {
                    let batch = room.batch().unwrap();
                    let got: Vec<u8> = batch.others(receiver.member, receiver.from)
                        .flat_map(|range| batch.slice(range).to_vec()).collect();
                    members.get_mut(&receiver.connection).expect("only members are served").2.extend(got);
                }
                room.finish_fanout(&mut pool, |connection, seat| members.get_mut(&connection).unwrap().0 = seat);
                room.freeze();
            }
            for (connection, (seat, expected, got)) in &members {
                prop_assert_eq!(got, expected, "connection {}", connection);
                prop_assert_eq!(room.seats[*seat as usize].connection, *connection);
            }
            prop_assert_eq!(room.members(), members.len());
        }
    }
}
