//! Who is the host of each of a thread's rooms, and how long a room had none that knew what it has to.
//!
//! Owns what is remembered of hosts, and the check of what a successor is given. Must not know sockets, or who ends a
//! connection.
//! Invariant: a change counts once its successor has had snapshot and tail, both as they should be.

use super::clock::Nanos;
use super::measure::Measure;
use super::recorder::Recorder;
use crate::payload::{Room, Stamp};

/// In place of the next number of a sender: none has come.
const UNKNOWN: u32 = u32::MAX;

/// The hosts of a thread's rooms.
#[derive(Debug)]
pub(crate) struct Hosts {
    run: u32,
    rooms: Vec<RoomHost>,
    /// From the end of a host's connection to when its successor had all that it has to.
    pub(crate) changes: Recorder,
}

/// How far a room is with its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// There is none yet.
    None,
    /// This client.
    Is(u32),
    /// The connection of the last one ended then.
    Lost(Nanos),
    /// The connection of the last one ended then, and this client is told what it has to know.
    Told(Nanos, u32),
}

#[derive(Debug)]
struct RoomHost {
    number: u32,
    senders: u32,
    standing: Standing,
    term: u64,
    /// A snapshot has come since its successor was named.
    has_snapshot: bool,
    /// The next number of each sender in the tail.
    tail: Vec<u32>,
}

impl Hosts {
    /// Of no rooms.
    pub(crate) fn new(run: u32) -> Self {
        Self {
            run,
            rooms: Vec::new(),
            changes: Recorder::new(),
        }
    }

    /// Adds a room.
    pub(crate) fn add_room(&mut self, number: u32, senders: u32) {
        self.rooms.push(RoomHost {
            number,
            senders,
            standing: Standing::None,
            term: 0,
            has_snapshot: false,
            tail: Vec::new(),
        });
    }

    /// The host of a room, unless it is changing.
    pub(crate) fn of(&self, room: u32) -> Option<u32> {
        match self.rooms[room as usize].standing {
            Standing::Is(client) => Some(client),
            _ => None,
        }
    }

    /// The host's connection has ended.
    pub(crate) fn lost(&mut self, room: u32, now: Nanos) {
        self.rooms[room as usize].standing = Standing::Lost(now);
    }

    /// Whether a room waits for a successor.
    pub(crate) fn are_changing(&self) -> bool {
        let changes =
            |room: &RoomHost| matches!(room.standing, Standing::Lost(_) | Standing::Told(..));
        self.rooms.iter().any(changes)
    }

    /// A client is told that it is the host, in this term.
    pub(crate) fn named(&mut self, room: u32, client: u32, term: u64, given: bool) {
        let room = &mut self.rooms[room as usize];
        if term < room.term {
            return;
        }
        room.term = term;
        room.standing = match room.standing {
            Standing::Lost(since) | Standing::Told(since, _) if given => {
                room.has_snapshot = false;
                room.tail.clear();
                room.tail.resize(room.senders as usize, UNKNOWN);
                Standing::Told(since, client)
            }
            // Without a snapshot there is nothing to wait for, and nothing that could be timed.
            Standing::Lost(_) | Standing::Told(..) | Standing::None | Standing::Is(_) => {
                Standing::Is(client)
            }
        };
    }

    /// What a host gives the relay in this term.
    pub(crate) fn stamp(&self, room: u32, member: u32, term: u64) -> Stamp {
        Stamp {
            room: Room::of_snapshots(self.run, self.rooms[room as usize].number),
            sender: member as u16,
            sequence: term as u32,
            intended_ns: 0,
            delay_ns: 0,
        }
    }

    /// A snapshot has come for a client. Whether it is one that a host of the room has given.
    pub(crate) fn snapshot(
        &mut self,
        room: u32,
        client: u32,
        payload: &[u8],
        measure: &Measure,
    ) -> bool {
        let name = Room::of_snapshots(self.run, self.rooms[room as usize].number);
        let room = &mut self.rooms[room as usize];
        let stamp = measure.codec().read(payload);
        let is_right =
            stamp.is_some_and(|stamp| stamp.room == name && u64::from(stamp.sequence) <= room.term);
        if let Standing::Told(_, successor) = room.standing {
            room.has_snapshot |= successor == client && is_right;
        }
        is_right
    }

    /// An event of the tail has come for a client. Whether it is of the room, and the next of its sender.
    pub(crate) fn tail(
        &mut self,
        room: u32,
        client: u32,
        payload: &[u8],
        measure: &Measure,
    ) -> bool {
        let name = Room::new(self.run, self.rooms[room as usize].number);
        let room = &mut self.rooms[room as usize];
        let Some(stamp) = measure
            .codec()
            .read(payload)
            .filter(|stamp| stamp.room == name)
        else {
            return false;
        };
        if !matches!(room.standing, Standing::Told(_, successor) if successor == client) {
            return true;
        }
        let Some(next) = room.tail.get_mut(usize::from(stamp.sender)) else {
            return false;
        };
        let is_next = *next == UNKNOWN || *next == stamp.sequence;
        *next = stamp.sequence + 1;
        is_next
    }

    /// All has come for a client that it was to be told at once.
    pub(crate) fn ready(&mut self, room: u32, client: u32, now: Nanos) {
        let room = &mut self.rooms[room as usize];
        if let Standing::Told(since, successor) = room.standing
            && successor == client
            && room.has_snapshot
        {
            self.changes.record(now.saturating_sub(since));
            room.standing = Standing::Is(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::frame;

    use super::*;
    use crate::payload::{Codec, MessageKind};

    fn payload(measure: &Measure, stamp: &Stamp) -> Vec<u8> {
        let mut out = Vec::new();
        measure.codec().write(stamp, &mut out);
        out
    }

    #[test]
    fn a_change_is_over_with_snapshot_and_tail() {
        let codec = Codec::new(MessageKind::Binary, 64, 1);
        let measure = Measure::new(codec, frame::MessageKind::Binary);
        let mut hosts = Hosts::new(9);
        hosts.add_room(7, 2);
        assert_eq!((hosts.of(0), hosts.are_changing()), (None, false));
        hosts.named(0, 3, 1, false);
        assert_eq!(hosts.of(0), Some(3));
        let given = payload(&measure, &hosts.stamp(0, 0, 1));
        hosts.lost(0, 1_000);
        assert_eq!((hosts.of(0), hosts.are_changing()), (None, true));
        hosts.named(0, 4, 2, true);
        // Without a snapshot it is not over.
        hosts.ready(0, 4, 2_000);
        assert!(hosts.are_changing());
        assert!(hosts.snapshot(0, 4, &given, &measure));
        let event = |sender, sequence| Stamp {
            room: Room::new(9, 7),
            sender,
            sequence,
            intended_ns: 5,
            delay_ns: 0,
        };
        for (sender, sequence, is_right) in [
            (0, 4, true),
            (1, 0, true),
            (0, 5, true),
            (0, 7, false),
            (2, 0, false),
        ] {
            let event = payload(&measure, &event(sender, sequence));
            let told = hosts.tail(0, 4, &event, &measure);
            assert_eq!(told, is_right, "{sender} {sequence}");
        }
        hosts.ready(0, 3, 2_500);
        assert!(hosts.are_changing());
        hosts.ready(0, 4, 3_000);
        assert_eq!((hosts.of(0), hosts.are_changing()), (Some(4), false));
        assert_eq!(hosts.changes.to_histogram().len(), 1);
        // What nobody of this room gave is none.
        let other = Stamp {
            room: Room::of_snapshots(9, 8),
            ..hosts.stamp(0, 0, 1)
        };
        assert!(!hosts.snapshot(0, 4, &payload(&measure, &other), &measure));
        let later = payload(&measure, &hosts.stamp(0, 0, 9));
        assert!(!hosts.snapshot(0, 4, &later, &measure));
    }
}
