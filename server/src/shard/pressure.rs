//! Backpressure: who is behind, who is read no further for that, and in which order reading goes on.
//!
//! Owns: the pressure of each player, the reading of each connection, and their sums for each room. Must not know: what
//! is written or read. Invariant: a room's strain is the number of its players who press, and of those who are paused.
//!
//! A player *presses* while it is behind and still takes bytes: as long as one does, whoever floods its room is paused,
//! and the room as a whole says little, by however many connections; but each player is always read a trickle. Who takes nothing for a second presses no longer, so that it slows nobody until it is evicted.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Shard;
use super::connection::Phase;
use super::player::{Link, Place, PlayerId, RoomRef};
use crate::limits::{
    FLOOD_BURST, FLOOD_REMEMBERED, HANDSHAKE_READ, OWN_ANSWERS, PRESSED_BYTES_PER_MS,
    PRESSED_LOOK_MS, RECEIVE_BUFFER, TRICKLE, TRICKLE_BYTES_PER_MS, TRICKLE_MIN,
};
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

/// Leaky bucket of what a room has said since somebody in it presses.
#[derive(Debug, Clone, Copy)]
struct Said {
    level: u32,
    /// As of then.
    at: u32,
}

impl Said {
    fn level(self, now: u32) -> u32 {
        let leaked = now
            .wrapping_sub(self.at)
            .saturating_mul(PRESSED_BYTES_PER_MS);
        self.level.saturating_sub(leaked)
    }
}

/// The strain of each room, by its id. A room that was closed has none.
#[derive(Debug, Default)]
pub(super) struct Strains {
    batches: Vec<Strain>,
    v1: Vec<Strain>,
    /// Those in which somebody presses.
    pressed: BTreeMap<RoomRef, Said>,
    /// When whoever is paused in one of these is tried again (ms).
    look_at: Option<u64>,
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

    /// Where there is any: how many press, and how many are paused.
    pub(super) fn all(&self) -> BTreeMap<RoomRef, (u32, u32)> {
        let batches = (0u32..).zip(&self.batches);
        let batches = batches.map(|(id, strain)| (RoomRef::Batches(id), strain));
        let v1 = (0u32..).zip(&self.v1);
        let all = batches.chain(v1.map(|(id, strain)| (RoomRef::V1(id), strain)));
        all.filter(|(_, strain)| **strain != Strain::default())
            .map(|(room, strain)| (room, (strain.pressing, strain.paused)))
            .collect()
    }

    /// How many press, and how many are paused, in all rooms together.
    pub(super) fn sums(&self) -> (u64, u64) {
        let all = self.batches.iter().chain(&self.v1);
        all.fold((0, 0), |(pressing, paused), strain| {
            let (more, others) = (u64::from(strain.pressing), u64::from(strain.paused));
            (pressing + more, paused + others)
        })
    }

    /// Whether somebody presses in this room, and whoever is paused there will be tried again.
    pub(super) fn is_looked_at(&self, room: RoomRef) -> bool {
        self.pressed.contains_key(&room) && self.look_at.is_some()
    }

    /// One more presses.
    fn press(&mut self, room: RoomRef, now: u32) {
        let strain = self.of(room);
        strain.pressing += 1;
        if strain.pressing == 1 {
            self.pressed.insert(room, Said { level: 0, at: now });
        }
    }

    /// One less does. Whether it was the last.
    fn relieve(&mut self, room: RoomRef) -> bool {
        let strain = self.of(room);
        strain.pressing -= 1;
        let last = strain.pressing == 0;
        if last {
            self.pressed.remove(&room);
            self.look_at = self.look_at.filter(|_| !self.pressed.is_empty());
        }
        last
    }

    /// What a room has said goes to its players.
    pub(super) fn say(&mut self, room: RoomRef, bytes: usize, now: u32) {
        if self.are_any()
            && let Some(said) = self.pressed.get_mut(&room)
        {
            let level = said.level(now).saturating_add(bytes as u32);
            *said = Said {
                level: level.min(FLOOD_REMEMBERED),
                at: now,
            };
        }
    }

    /// Whether somebody presses anywhere.
    pub(super) fn are_any(&self) -> bool {
        !self.pressed.is_empty()
    }

    /// Bytes that a room has said beyond the sustainable rate.
    fn said(&self, room: RoomRef, now: u32) -> u32 {
        self.pressed.get(&room).map_or(0, |said| said.level(now))
    }

    /// When whoever is paused because somebody presses is tried again (ms).
    pub(super) fn look_at(&self) -> Option<u64> {
        self.look_at
    }
}

impl Shard {
    /// How many bytes the socket may be read now. If none, [`Shard::take_unpaused`] will name the slot when it may be read
    /// again.
    pub fn may_read(&mut self, slot: u32) -> usize {
        let connection = &mut self.connections[slot as usize];
        if connection.reading == Reading::Paused {
            return 0;
        }
        let player = match &connection.phase {
            &Phase::Open(player) => player,
            Phase::Announced(_, decoder) => return Self::wants_of_header(decoder.as_deref()),
            Phase::Hello | Phase::Handshake(_) | Phase::Exchange(_) | Phase::Answered => {
                return HANDSHAKE_READ;
            }
            Phase::Http2(_) | Phase::Closing(..) => return RECEIVE_BUFFER,
            Phase::Dead => return 0,
        };
        let mut most = RECEIVE_BUFFER;
        if connection.outbox.answers() > OWN_ANSWERS {
            most = 0;
        }
        let player = &self.players[player as usize];
        let place = player.place;
        let room = player.room();
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
            if gathered >= self.batch_bytes / if halved { 2 } else { 1 } {
                most = 0;
            }
            if self.strains.get(room).pressing > 0 {
                most = most.min(self.may_press(slot, room, gathered));
            }
        }
        let over_quota = self.is_over_quota(slot);
        if most == 0 || over_quota || self.v1.is_broke(place, self.now32()) {
            self.counters.delayed += u64::from(over_quota);
            self.pause(slot, room);
            if over_quota {
                // Only its timer tells when it may go on.
                self.rearm(slot);
            }
            return 0;
        }
        self.connections[slot as usize].reading = Reading::Free;
        most
    }

    /// Bytes that may be read of a player in whose room somebody presses, and that has gathered so much.
    #[cold]
    fn may_press(&self, slot: u32, room: RoomRef, gathered: usize) -> usize {
        let now = self.now32();
        let connection = &self.connections[slot as usize];
        // What has not been heard was counted when it came.
        let unread = self.unread.of(slot) as u32;
        let level = connection.flood_level(now).saturating_sub(unread);
        let own = FLOOD_BURST.saturating_sub(level);
        // The next byte may complete what has come of a message, and all of that is said at once.
        let begun = connection.decoder.buffered() as u32;
        let room = match self.strains.said(room, now).saturating_add(gathered as u32) {
            // Or who writes large messages would never be heard.
            0 => FLOOD_BURST,
            said => FLOOD_BURST.saturating_sub(said).saturating_sub(begun),
        };
        let most = own.min(room);
        if most >= TRICKLE {
            return most as usize;
        }
        let unheard = now.wrapping_sub(connection.heard_at);
        let trickle = unheard.saturating_mul(TRICKLE_BYTES_PER_MS).min(TRICKLE);
        let most = own.min(trickle.saturating_sub(begun));
        if most >= TRICKLE_MIN {
            most as usize
        } else {
            0
        }
    }

    /// Reads a connection no further.
    fn pause(&mut self, slot: u32, room: Option<RoomRef>) {
        self.connections[slot as usize].reading = Reading::Paused;
        let Some(room) = room else { return };
        let strain = self.strains.of(room);
        strain.paused += 1;
        if strain.pressing > 0 {
            // Of who is slowed for others nobody else tells when it may go on.
            let soon = self.now + PRESSED_LOOK_MS;
            self.strains.look_at.get_or_insert(soon);
        }
        if matches!(room, RoomRef::V1(_)) {
            // If it has sent too many packets, only its timer tells when it may go on.
            self.rearm(slot);
        }
    }

    /// Tries those again who are paused where somebody presses: since then some of what was said has been forgotten.
    pub(super) fn look_at_pressed(&mut self) {
        if self.strains.look_at.is_none_or(|at| self.now < at) {
            return;
        }
        self.strains.look_at = None;
        let rooms: Vec<RoomRef> = self.strains.pressed.keys().copied().collect();
        for room in rooms {
            self.unpause_room(room);
        }
    }

    /// The socket of this slot did not take everything, but `progressed` if it took something.
    pub(super) fn fell_behind(&mut self, slot: u32, progressed: bool) {
        let now = self.now32();
        let Phase::Open(id) = self.connections[slot as usize].phase else {
            return;
        };
        let player = &mut self.players[id as usize];
        if let Place::V1 { room, seat } = player.place
            && !self.v1.rooms[room].presses(seat)
        {
            return;
        }
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
                self.strains.press(room, now);
            }
            self.arm_player(id);
        }
    }

    /// A player who was in no room until now has come to one: if it presses, on that one.
    pub(super) fn brings_pressure(&mut self, id: PlayerId) {
        let player = &self.players[id as usize];
        if let (Pressure::Behind { pressing: true, .. }, Some(room)) =
            (player.pressure, player.room())
        {
            self.strains.press(room, self.now32());
        }
    }

    /// The socket of this slot took everything there was for its player, who was behind, or paused.
    pub(super) fn caught_up(&mut self, slot: u32, id: PlayerId) {
        self.no_longer_pressing(id);
        let player = &mut self.players[id as usize];
        player.pressure = Pressure::Clear;
        let room = player.room();
        // Unless it was unpaused just now, with others.
        if self.connections[slot as usize].reading == Reading::Paused {
            self.unpause(slot, room);
        }
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
        if self.strains.relieve(room) {
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

    /// Slots that may be read again though no edge will say so, in the order in which they are to be; empties the list.
    pub fn take_unpaused(&mut self, into: &mut Vec<u32>) {
        self.set_sessions_aside();
        // Whoever has sent least comes first, and among equals who has not been heard for longest: what one batch takes
        // must not go to one flooder, time after time, nor must anybody wait for luck.
        let now = self.now32();
        self.unpaused.sort_by_key(|&slot| {
            let connection = &self.connections[slot as usize];
            let unheard = now.wrapping_sub(connection.heard_at);
            (connection.flood_level(now), Reverse(unheard))
        });
        into.append(&mut self.unpaused);
    }

    /// Lets the paused players of a room be read again; whoever still has to wait is paused anew before its read.
    pub(super) fn unpause_room(&mut self, id: RoomRef) {
        let strain = self.strains.of(id);
        if strain.paused == 0 || planted::is(Fault::EndlessPause) {
            return;
        }
        strain.paused = 0;
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
    }
}
