//! Backpressure: who is behind, who is read no further for that, and in which order reading goes on.
//!
//! Owns: the pressure of each player, the reading of each connection, and their sums for each room. Must not know: what
//! is written or read. Invariant: a room's strain is the number of its players who press, and of those who are paused.
//!
//! A player *presses* while it is behind and still takes bytes: as long as one does, whoever floods its room is paused.
//! Who takes nothing for a second presses no longer, so that it slows nobody until it is evicted.

use super::Shard;
use super::connection::Phase;
use super::player::{Link, PlayerId, RoomRef};
use crate::limits::{FLOOD_BURST, OWN_ANSWERS};
use crate::planted::{self, Fault};

/// Whether a player's connection takes what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressure {
    /// It has taken everything.
    Clear,
    /// It has not, at the end of a flush.
    Behind {
        /// Since when.
        since: u32,
        /// When it last took something.
        progress_at: u32,
        /// Whether it presses; counted in its room's strain.
        pressing: bool,
    },
}

/// Whether a connection is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// When there is something to read.
    Free,
    /// Not until it is unpaused; counted in its room's strain.
    Paused,
    /// It may be, but has not been since it was unpaused, so nobody knows whether it has been silent.
    Unheard,
}

/// What the players of one room do to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Strain {
    /// Players who are behind and still take bytes.
    pressing: u32,
    /// Players who are read no further.
    paused: u32,
}

/// The strain of each room, by its id. A room that was closed has none.
#[derive(Debug, Default)]
pub(super) struct Strains {
    batches: Vec<Strain>,
    v1: Vec<Strain>,
}

impl Strains {
    fn get(&self, room: RoomRef) -> Strain {
        let (strains, id) = match room {
            RoomRef::Batches(id) => (&self.batches, id),
            RoomRef::V1(id) => (&self.v1, id),
        };
        strains.get(id as usize).copied().unwrap_or_default()
    }

    fn of(&mut self, room: RoomRef) -> &mut Strain {
        let (strains, id) = match room {
            RoomRef::Batches(id) => (&mut self.batches, id),
            RoomRef::V1(id) => (&mut self.v1, id),
        };
        if strains.len() <= id as usize {
            strains.resize(id as usize + 1, Strain::default());
        }
        &mut strains[id as usize]
    }
}

impl Shard {
    /// Whether the socket may be read now. If not, [`Shard::take_unpaused`] will name the slot when it may again.
    pub fn may_read(&mut self, slot: u32) -> bool {
        let now = self.now32();
        let connection = &mut self.connections[slot as usize];
        if connection.reading == Reading::Paused || matches!(connection.phase, Phase::Dead) {
            return false;
        }
        let mut room = None;
        let mut blocked = false;
        if let Phase::Open(player) = connection.phase {
            blocked = connection.outbox.answers() > OWN_ANSWERS;
            let player = &self.players[player as usize];
            room = player.room();
            if let Some(room) = room {
                let (gathered, halved) = match room {
                    RoomRef::Batches(id) => {
                        let room = &self.rooms[id];
                        (room.open_bytes(), room.batch().is_some())
                    }
                    RoomRef::V1(id) => {
                        let room = &self.v1.rooms[id];
                        (room.unserved(), room.is_serving())
                    }
                };
                let crowded = gathered >= self.batch_bytes / if halved { 2 } else { 1 };
                blocked |= crowded
                    || self.strains.get(room).pressing > 0
                        && connection.flood_level(now) > FLOOD_BURST;
            }
            blocked |= self.v1.is_broke(player.place, now);
        }
        if !blocked {
            connection.reading = Reading::Free;
            return true;
        }
        connection.reading = Reading::Paused;
        if let Some(room) = room {
            self.strains.of(room).paused += 1;
        }
        if matches!(room, Some(RoomRef::V1(_))) {
            // If it has sent too many packets, only its timer tells when it may go on.
            self.rearm(slot);
        }
        false
    }

    /// The socket of this slot did not take everything, but `progressed` if it took something.
    pub(super) fn fell_behind(&mut self, slot: u32, progressed: bool) {
        let now = self.now32();
        let Phase::Open(id) = self.connections[slot as usize].phase else {
            return;
        };
        let player = &mut self.players[id as usize];
        let before = player.pressure;
        player.pressure = match before {
            // Who was clear until now has taken everything so far.
            Pressure::Clear => Pressure::Behind {
                since: now,
                progress_at: now,
                pressing: true,
            },
            Pressure::Behind { since, .. } if progressed => Pressure::Behind {
                since,
                progress_at: now,
                pressing: true,
            },
            Pressure::Behind { .. } => return,
        };
        if !matches!(before, Pressure::Behind { pressing: true, .. }) {
            if let Some(room) = player.room() {
                self.strains.of(room).pressing += 1;
            }
            self.arm_player(id);
        }
    }

    /// The socket of this slot took everything there was.
    pub(super) fn caught_up(&mut self, slot: u32) {
        if let Phase::Open(id) = self.connections[slot as usize].phase {
            self.no_longer_pressing(id);
            let player = &mut self.players[id as usize];
            player.pressure = Pressure::Clear;
            let room = player.room();
            // Unless it was unpaused just now, with others.
            if self.connections[slot as usize].reading == Reading::Paused {
                self.unpause(slot, room);
            }
        }
        self.flushed(slot);
    }

    /// A player has caught up or stands still: either way nobody is slowed for it any longer.
    pub(super) fn no_longer_pressing(&mut self, id: PlayerId) {
        let player = &mut self.players[id as usize];
        if let Pressure::Behind { pressing, .. } = &mut player.pressure
            && std::mem::take(pressing)
            && let Some(room) = player.room()
        {
            self.relieve(room);
        }
    }

    /// One player less presses.
    pub(super) fn relieve(&mut self, room: RoomRef) {
        let strain = self.strains.of(room);
        strain.pressing -= 1;
        if strain.pressing == 0 {
            self.unpause_room(room);
        }
    }

    /// Ends the pause of one connection.
    pub(super) fn unpause(&mut self, slot: u32, room: Option<RoomRef>) {
        self.connections[slot as usize].reading = Reading::Unheard;
        self.unpaused.push(slot);
        if let Some(room) = room {
            self.strains.of(room).paused -= 1;
        }
    }

    /// Lets the paused players of a room be read again; whoever still has to wait is paused anew before its read.
    pub(super) fn unpause_room(&mut self, id: RoomRef) {
        let strain = self.strains.of(id);
        if strain.paused == 0 || planted::is(Fault::EndlessPause) {
            return;
        }
        strain.paused = 0;
        let now = self.now32();
        let before = self.unpaused.len();
        let unpause = |player: PlayerId| {
            if let Link::Here(slot) = self.players[player as usize].link {
                let reading = &mut self.connections[slot as usize].reading;
                if *reading == Reading::Paused {
                    *reading = Reading::Unheard;
                    self.unpaused.push(slot);
                }
            }
        };
        match id {
            RoomRef::Batches(id) => self.rooms[id].players().for_each(unpause),
            RoomRef::V1(id) => self.v1.rooms[id].members().for_each(unpause),
        }
        // Whoever has sent least comes first, and among equals not always the same one: what one batch takes must not
        // go to one flooder, time after time.
        let turns = &mut self.unpaused[before..];
        if turns.len() > 1 {
            turns.rotate_left(self.random.usize(..turns.len()));
            turns.sort_by_key(|&slot| self.connections[slot as usize].flood_level(now));
        }
    }
}
