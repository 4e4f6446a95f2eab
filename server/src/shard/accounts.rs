//! Whether what a shard counts is what it has. Only tests ask: the simulation does after each iteration.
//!
//! Owns: what must agree between connections, players, rooms, lists and timers when an iteration is over. Must not know:
//! how they came to differ. Invariant: asking changes nothing.

use std::collections::BTreeMap;

use super::Shard;
use super::connection::{Connection, Phase};
use super::player::{Link, Place, RoomRef};
use super::pressure::{Pressure, Reading};

/// Whose account is wrong, and what about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{of:?}: {what}")]
pub struct Imbalance {
    of: Of,
    what: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Shard,
    Connection(u32),
    Player(u32),
    Room(RoomRef),
}

impl Of {
    fn must(self, holds: bool, what: &'static str) -> Result<(), Imbalance> {
        let imbalance = Imbalance { of: self, what };
        if holds { Ok(()) } else { Err(imbalance) }
    }
}

/// Whether both are of the same, each once.
fn are_the_same(these: impl Iterator<Item = u32>, those: impl Iterator<Item = u32>) -> bool {
    let [mut these, mut those]: [Vec<u32>; 2] = [these.collect(), those.collect()];
    these.sort_unstable();
    those.sort_unstable();
    these == those
}

impl Shard {
    /// Whether its accounts agree with each other, between two iterations.
    ///
    /// # Errors
    ///
    /// The first thing that does not.
    pub fn accounts(&self) -> Result<(), Imbalance> {
        self.connections_agree()?;
        self.players_agree()?;
        self.raw_rooms_agree()?;
        self.v1_rooms_agree()?;
        self.lists_agree()?;
        self.sums_agree()
    }

    /// A connection and its player name each other; it has a timer until it is dead, and whoever is paused is awaited.
    fn connections_agree(&self) -> Result<(), Imbalance> {
        for (slot, connection) in &self.connections {
            let of = Of::Connection(slot as u32);
            let armed = self.timers.is_armed(slot as u32);
            let dead = matches!(connection.phase, Phase::Dead);
            of.must(armed || dead, "nothing will wake it")?;
            of.must(connection.outbox.is_accounted(), "its outbox")?;
            if let Phase::Open(id) = connection.phase {
                let link = self.players.get(id as usize).map(|player| player.link);
                of.must(link == Some(Link::Here(slot as u32)), "its player")?;
                let paused = connection.reading == Reading::Paused;
                of.must(
                    !paused || self.is_awaited(slot as u32, connection, id),
                    "its pause",
                )?;
            }
        }
        Ok(())
    }

    /// Whether something will end the pause of a connection. What a ticket or roomcast.v1 allows in a while is the timer's.
    fn is_awaited(&self, slot: u32, connection: &Connection, id: u32) -> bool {
        let goes_on = match self.players[id as usize].place {
            Place::Room { room, .. } => {
                let gathers = self.rooms[room].has_open() || self.rooms[room].batch().is_some();
                gathers || self.strains.is_looked_at(RoomRef::Batches(room))
            }
            Place::V1 { .. } => true,
            Place::Door { .. } | Place::Echo => false,
        };
        goes_on || connection.guarded || !self.is_clear(slot)
    }

    /// A player is where it seems to be; whom the clock owes something has a timer.
    fn players_agree(&self) -> Result<(), Imbalance> {
        for (id, player) in &self.players {
            let of = Of::Player(id as u32);
            of.must(player.lanes.is_accounted(), "its lanes")?;
            let logged = matches!(player.place, Place::V1 { .. });
            of.must(!logged || player.lanes.is_clear(), "what the log has")?;
            let awaited = match player.link {
                Link::Here(slot) => {
                    let connection = self.connections.get(slot as usize);
                    let phase = connection.map(|connection| &connection.phase);
                    let here = matches!(phase, Some(&Phase::Open(open)) if open as usize == id);
                    of.must(here, "its connection")?;
                    player.pressure != Pressure::Clear
                }
                Link::Away { .. } => {
                    of.must(player.pressure == Pressure::Clear, "away, it is behind")?;
                    true
                }
            };
            let armed = self.player_timers.is_armed(id as u32);
            of.must(!awaited || armed, "nothing will wake it")?;
        }
        Ok(())
    }

    /// Whoever is in a raw room sits where it thinks it does, and what is gathered there will be frozen.
    fn raw_rooms_agree(&self) -> Result<(), Imbalance> {
        let mut members = 0;
        for (id, room) in self.rooms.iter() {
            let of = Of::Room(RoomRef::Batches(id));
            for (seat, player) in room.seated() {
                members += 1;
                let there = self.players.get(player as usize).map(|player| player.place);
                of.must(there == Some(Place::Room { room: id, seat }), "a seat")?;
            }
            of.must(!room.is_empty(), "nobody is there")?;
            let listed = self.dirty.contains(&id);
            of.must(listed || !room.has_open(), "what it gathers")?;
        }
        let places = self.players.iter().map(|(_, player)| player.place);
        let seats = places.filter(|place| matches!(place, Place::Room { .. }));
        Of::Shard.must(members == seats.count(), "members of raw rooms")
    }

    /// The same for rooms that speak roomcast.v1, with who is away and who stands at a door.
    fn v1_rooms_agree(&self) -> Result<(), Imbalance> {
        let (mut players, mut at_doors, mut logged) = (0, 0, 0);
        for (id, room) in self.v1.rooms.iter() {
            let of = Of::Room(RoomRef::V1(id));
            for (seat, player, away) in room.seated() {
                players += 1;
                let player = self.players.get(player as usize);
                let there = player.map(|player| player.place);
                of.must(there == Some(Place::V1 { room: id, seat }), "a seat")?;
                let link = player.map(|player| player.link);
                of.must(
                    matches!(link, Some(Link::Away { .. })) == away,
                    "who is away",
                )?;
            }
            at_doors += room.at_door as usize;
            logged += room.log_counted();
            of.must(!room.is_empty(), "nobody is there")?;
            of.must(room.is_accounted(), "its players, log or properties")?;
            of.must(self.v1.will_look_at(id, room), "what was said there")?;
            of.must(room.is_everybody_called(), "whose turn it is")?;
            of.must(room.is_at_rest(), "whose turn it was")?;
        }
        Of::Shard.must(logged == self.v1.log_bytes(), "bytes of logs")?;
        let tagged = self
            .v1
            .rooms
            .iter()
            .filter(|(_, room)| room.tag().is_some());
        let tagged = tagged.map(|(id, _)| id);
        Of::Shard.must(
            are_the_same(tagged, self.listed.ids()),
            "rooms that are listed",
        )?;
        let places = || self.players.iter().map(|(_, player)| player.place);
        let seats = places().filter(|place| matches!(place, Place::V1 { .. }));
        Of::Shard.must(players == seats.count(), "players of roomcast.v1")?;
        let doors = places().filter(|place| matches!(place, Place::Door { .. }));
        Of::Shard.must(at_doors == doors.count(), "who stands at doors")
    }

    /// What is marked is on its list, once, and nobody else is.
    fn lists_agree(&self) -> Result<(), Imbalance> {
        let slots = |marked: fn(&Connection) -> bool| {
            let connections = self.connections.iter();
            let marked = connections.filter(move |(_, connection)| marked(connection));
            marked.map(|(slot, _)| slot as u32)
        };
        let must = |holds, what| Of::Shard.must(holds, what);
        must(self.flush.is_over(), "a write goes on")?;
        let listed = self.flush.listed.iter().copied();
        must(
            are_the_same(listed, slots(|it| it.listed)),
            "who is to be written",
        )?;
        let guarded = self.guards.slots();
        must(
            are_the_same(guarded, slots(|it| it.guarded)),
            "who has a guard",
        )?;
        let armed = slots(|_| true).filter(|&slot| self.timers.is_armed(slot));
        must(armed.count() == self.timers.armed(), "a timer of nobody")?;
        let ids = self.players.iter().map(|(id, _)| id as u32);
        let armed = ids.filter(|&id| self.player_timers.is_armed(id));
        must(
            armed.count() == self.player_timers.armed(),
            "a timer of nobody",
        )?;
        let known = |slot: u32| self.connections.contains(slot as usize);
        must(self.unread.slots().all(known), "unread bytes of nobody")?;
        // Connections without a socket are those of sessions, requests of other reactors, and streams.
        let carried =
            slots(|it| it.carried && !matches!(it.phase, Phase::Dead | Phase::Exchange(_)))
                .filter(|slot| !self.streams.has(*slot) && !self.links.has(*slot));
        must(
            are_the_same(self.sessions.slots(), carried),
            "who has a session",
        )?;
        let running = self.rooms.iter().filter(|(_, room)| room.batch().is_some());
        let running = running.map(|(id, _)| id);
        let fanouts = self.flush.fanouts().iter().copied();
        must(are_the_same(fanouts, running), "running fan-outs")
    }

    /// What is counted for many is the sum of what each has.
    fn sums_agree(&self) -> Result<(), Imbalance> {
        let mut strains = BTreeMap::new();
        for (_, player) in &self.players {
            let Some(room) = player.room() else { continue };
            let presses = matches!(player.pressure, Pressure::Behind { pressing: true, .. });
            let paused = matches!(player.link, Link::Here(slot)
                if self.connections[slot as usize].reading == Reading::Paused);
            if presses || paused {
                let (pressing, waiting) = strains.entry(room).or_insert((0, 0));
                *pressing += u32::from(presses);
                *waiting += u32::from(paused);
            }
        }
        Of::Shard.must(strains == self.strains.all(), "strains of rooms")?;
        let entries = self.connections.iter().filter_map(|(slot, connection)| {
            let Phase::Closing(_, ebb) = &connection.phase else {
                return None;
            };
            let (place, bytes) = ebb.entry()?;
            Some((slot as u32, place, bytes))
        });
        Of::Shard.must(self.lingering.are(entries), "who lingers")?;
        Of::Shard.must(self.pool.is_accounted(), "bytes of spare batches")
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::members;
    use super::*;

    fn say(shard: &mut Shard, slot: u32) {
        shard.receive(slot, &mut [0x82, 0x81, 0, 0, 0, 0, b'!']);
    }

    #[test]
    fn what_agrees_is_not_found() {
        let mut shard = members();
        assert_eq!(shard.accounts(), Ok(()));
        say(&mut shard, 0);
        assert_eq!(shard.accounts(), Ok(()));
    }

    #[test]
    fn planted_imbalances_are_found() {
        type Plant = fn(&mut Shard);
        let rows: [(Plant, &str); 14] = [
            (|it| it.timers.disarm(0), "nothing will wake it"),
            (|it| it.timers.arm(9, 1_000), "a timer of nobody"),
            (|it| it.player_timers.arm(9, 1_000), "a timer of nobody"),
            (|it| it.players[0].link = Link::Here(1), "its player"),
            (
                |it| it.connections[0].reading = Reading::Paused,
                "its pause",
            ),
            (|it| it.connections[0].listed = true, "who is to be written"),
            (|it| it.connections[0].guarded = true, "who has a guard"),
            (|it| it.set_aside(9, vec![1]), "unread bytes of nobody"),
            (|it| it.players[0].place = Place::Echo, "a seat"),
            (
                |it| {
                    say(it, 0);
                    it.dirty.clear();
                },
                "what it gathers",
            ),
            (
                |it| {
                    say(it, 0);
                    it.rooms[0].freeze();
                },
                "running fan-outs",
            ),
            (
                |it| {
                    it.fell_behind(0, true);
                    it.player_timers.disarm(0);
                },
                "nothing will wake it",
            ),
            (
                |it| {
                    it.fell_behind(0, true);
                    it.players[0].pressure = Pressure::Clear;
                },
                "strains of rooms",
            ),
            (
                |it| {
                    it.v1.rooms.open("attic");
                },
                "nobody is there",
            ),
        ];
        for (plant, what) in rows {
            let mut shard = members();
            plant(&mut shard);
            let found = shard.accounts().map_err(|imbalance| imbalance.what);
            assert_eq!(found, Err(what));
        }
    }
}
