//! A room that speaks roomcast.v1: players who may lose their connection and come back.
//!
//! Owns: who is in the room, what was said lately, properties, states, and how far everybody has got. Must not know: sockets,
//! frame headers, TLS, the clock. Invariants: a player gets every entry that was for it between its *joined* and its *left*,
//! once and in order, on however many connections, or a *reset* says that it did not; and of every key that is addressed to
//! it the newest value, in the end.
//!
//! There is no batch here: the log is what was said in this iteration and before, and every player reads it from its own
//! position. Who keeps up, who is behind and who comes back differ in nothing else.

mod accounts;
mod acts;
mod budget;
mod called;
mod calls;
mod give;
mod groups;
mod host;
mod listing;
mod log;
mod noted;
mod player;
mod properties;
mod serve;
mod share;
mod snapshot;
mod speak;
mod state;
mod states;
mod ticks;
mod welcome;

use std::ops::{Index, IndexMut};
use std::rc::Rc;
use std::sync::Arc;

use roomcast_protocol::v1::{
    Life, List, Name, Pairs, PlayerId, Property, TICK_HZ_MAX, Token, down, power, up,
};
use slab::Slab;

use self::acts::Acted;
pub use self::budget::{Budget, Rate, Spent};
use self::calls::Rounds;
pub use self::calls::Served;
use self::groups::Groups;
pub use self::host::Candidacy;
use self::host::Host;
pub use self::listing::Standing;
use self::log::{Audience, Log, Said};
pub use self::player::Player;
pub use self::properties::Bounds;
use self::properties::Properties;
pub use self::serve::{Behind, Bundle};
pub use self::share::{Share, Shared};
use self::snapshot::Keeping;
pub use self::speak::Effect;
use self::states::States;
use self::ticks::Ticks;
pub use self::welcome::Occasion;
pub use super::table::RoomId;
use super::table::{self, Named};
use crate::limits::{LOG_REACH_MS, RESETS_APART_MS};
use crate::planted;

/// The rooms of one shard that speak roomcast.v1. One is open while somebody is in it or at its door.
pub type Rooms = table::Rooms<Room>;

/// Where a player is in its room, valid until it leaves.
pub type Seat = u32;

/// What holds in all rooms of the process.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Players of one room.
    pub players_max: usize,
    /// How long an away player keeps its seat, ms.
    pub grace_ms: u32,
    /// How long a host that is away keeps the role, ms.
    pub host_grace_ms: u32,
    /// The process ends: nobody becomes a host any more.
    pub is_ending: bool,
    /// Players may ask for a bad network.
    pub impairment: bool,
    /// Packets of one player.
    pub rate: Rate,
    /// Bytes of one message up.
    pub message_max: usize,
    /// Properties of one owner.
    pub properties: Bounds,
    /// Bytes of the properties of a room and all its players.
    pub property_bytes_max: usize,
    /// Groups of one player.
    pub groups_max: usize,
    /// Keys and values.
    pub states: StateBounds,
    /// Bytes of a snapshot.
    pub snapshot_bytes_max: usize,
    /// The same of all that the shard keeps.
    pub snapshots_bytes_max: usize,
    /// Bytes of the log.
    pub log_bytes_max: usize,
    /// Bytes of all logs of the shard.
    pub logs_bytes_max: usize,
    /// Bytes that a player may be behind.
    pub behind_max: u64,
}

/// How much there may be of states.
#[derive(Debug, Clone, Copy)]
pub struct StateBounds {
    /// Of one player's.
    pub player: Bounds,
    /// Keys of the room's own, and bytes of all that are in the room.
    pub room: Bounds,
}

impl StateBounds {
    /// Those for a key of the room, or of a player.
    fn of(&self, room: bool) -> Bounds {
        if room { self.room } else { self.player }
    }
}

/// What holds in one room, as its creator wished within the [`Rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    players_max: u32,
    grace_ms: u32,
    /// How long a host that is away keeps the role.
    host_grace_ms: u32,
    /// Raw players are let in too.
    raw: bool,
    /// Everybody writes the room's properties, and its keys, and not its host alone.
    properties_by_all: bool,
    keys_by_all: bool,
    /// Ticks in a second; 0: what is said leaves at once.
    tick_hz: u8,
    /// What the host may do.
    powers: u8,
}

/// How a player that lost its connection comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// It goes on where it was.
    Resumed,
    /// It is welcomed anew; if it wanted to go on, this is why it can't.
    Welcomed(Option<u64>),
}

/// Players and what they say.
#[derive(Debug)]
pub struct Room {
    name: Rc<str>,
    life: Life,
    settings: Settings,
    /// Under what it is listed.
    tag: Option<Arc<str>>,
    players: Slab<Player>,
    /// Where they sit, ids ascending.
    order: Vec<Seat>,
    last_id: u32,
    host: Host,
    keeping: Keeping,
    /// Nobody new is let in.
    is_locked: bool,
    /// What its hosts have done. None in most rooms.
    acted: Option<Box<Acted>>,
    properties: Properties,
    /// Bytes of all properties, those of players too.
    property_bytes: usize,
    log: Log,
    /// None where what is said leaves at once.
    ticks: Option<Box<Ticks>>,
    /// None until somebody says one.
    states: Option<Box<States>>,
    /// None until somebody joins one.
    groups: Option<Box<Groups>>,
    /// Bytes of the log as they were last counted.
    log_counted: usize,
    /// Bytes of the log when the last round began.
    frozen: u64,
    rounds: Rounds,
    /// Connections at the door: their join has not come yet.
    pub at_door: u32,
    /// Listed for the next round, or waiting for a tick.
    pub dirty: bool,
    /// Its timer is armed.
    pub timed: bool,
    /// It has had a first player in this life.
    is_alive: bool,
}

impl Room {
    fn new(name: Rc<str>) -> Self {
        Self {
            name,
            life: Life([0; 8]),
            settings: Settings {
                players_max: 0,
                grace_ms: 0,
                host_grace_ms: 0,
                raw: false,
                properties_by_all: true,
                keys_by_all: true,
                tick_hz: 0,
                powers: 0,
            },
            tag: None,
            players: Slab::new(),
            order: Vec::new(),
            last_id: 0,
            host: Host::NOBODY,
            keeping: Keeping::default(),
            is_locked: false,
            acted: None,
            properties: Properties::default(),
            property_bytes: 0,
            log: Log::default(),
            ticks: None,
            states: None,
            groups: None,
            log_counted: 0,
            frozen: 0,
            rounds: Rounds::default(),
            at_door: 0,
            dirty: false,
            timed: false,
            is_alive: false,
        }
    }

    /// Players, away ones included.
    pub fn players(&self) -> usize {
        self.order.len()
    }

    /// Whether another player would be too many.
    pub fn is_full(&self) -> bool {
        self.players() >= self.settings.players_max as usize
    }

    /// All players, by their places in the shard.
    pub fn members(&self) -> impl Iterator<Item = u32> + '_ {
        self.players.iter().map(|(_, player)| player.player)
    }

    /// Whether raw players are let in too.
    pub fn lets_raw_in(&self) -> bool {
        self.settings.raw
    }

    /// How long whoever lost its connection keeps its seat, ms.
    pub fn grace_ms(&self) -> u32 {
        self.settings.grace_ms
    }

    /// Nobody is here or at the door: the room can go.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty() && self.at_door == 0
    }

    /// Its name.
    pub fn name(&self) -> &Rc<str> {
        &self.name
    }

    /// Begins a new life of the room in place `id`, now (ms), with what its first player wishes for.
    pub fn create(
        &mut self,
        life: Life,
        wishes: roomcast_protocol::v1::Pairs<'_>,
        (id, now): (RoomId, u64),
        rules: &Rules,
    ) {
        debug_assert!(self.order.is_empty(), "the last life is over");
        let most = rules.players_max as u32;
        let wished = |key| {
            wishes
                .number(key)
                .map(|wish| wish.min(u64::from(u32::MAX)) as u32)
        };
        *self = Self {
            life,
            settings: Settings {
                players_max: wished(roomcast_protocol::v1::setting::PLAYERS_MAX)
                    .map_or(most, |wish| wish.clamp(1, most)),
                grace_ms: wished(roomcast_protocol::v1::setting::GRACE_MS)
                    .map_or(rules.grace_ms, |wish| wish.min(rules.grace_ms)),
                host_grace_ms: wished(roomcast_protocol::v1::setting::HOST_GRACE_MS)
                    .map_or(rules.host_grace_ms, |wish| wish.min(rules.grace_ms)),
                raw: wished(roomcast_protocol::v1::setting::RAW) == Some(1),
                properties_by_all: wished(roomcast_protocol::v1::setting::PROPERTIES_BY_ALL)
                    != Some(0),
                keys_by_all: wished(roomcast_protocol::v1::setting::KEYS_BY_ALL) != Some(0),
                tick_hz: wished(roomcast_protocol::v1::setting::TICK_HZ)
                    .map_or(0, |wish| u64::from(wish).min(TICK_HZ_MAX))
                    as u8,
                powers: wished(roomcast_protocol::v1::setting::POWERS)
                    .map_or(power::ALL, |wish| u64::from(wish) & power::ALL)
                    as u8,
            },
            tag: listing::tag_of(wishes),
            timed: self.timed,
            log_counted: self.log_counted,
            is_alive: true,
            at_door: self.at_door,
            dirty: self.dirty,
            ..Self::new(Rc::clone(&self.name))
        };
        self.set_ticks(u32::from(self.settings.tick_hz), id, now);
    }

    /// Ends the life of a room whose last player is gone. True if it had one.
    pub fn end_life(&mut self) -> bool {
        self.order.is_empty() && std::mem::take(&mut self.is_alive)
    }

    /// Seats somebody new, who has the place `player` in the shard. It gets what is said from now on.
    pub fn join(
        &mut self,
        player: u32,
        join: &up::Join<'_>,
        (token, candidacy): (Token, Candidacy),
        now: u32,
        rules: &Rules,
    ) -> Seat {
        self.last_id += 1;
        let id = self.last_id;
        let mut player = Player::new(id, player, join.name, token);
        player.candidacy = candidacy;
        let version = self.log.seq() + 1;
        for Property { key, value } in join.properties {
            // Those that are too much are left out; what was taken stands in the welcome.
            let _ = self.set(&mut player.properties, key, value, version, rules);
        }
        let mut buffer = Vec::new();
        let properties = roomcast_protocol::v1::List::encode(player.properties.iter(), &mut buffer);
        if let (Some(id), Ok(properties)) = (PlayerId::new(id), properties) {
            let name = join.name;
            let joined = down::Packet::Joined {
                id,
                name,
                properties,
            };
            self.tell_others(id.get(), joined, now);
        }
        player.got_to(self.log.position());
        player.told(self.log.seq());
        player.comes(now);
        if self.players.len() == self.players.capacity() {
            // Doubling would leave half of the room's memory unused. Few rooms grow for long.
            let more = self.players.len() / 8 + 1;
            self.players.reserve_exact(more);
            self.order.reserve_exact(more);
        }
        let seat = self.players.insert(player) as Seat;
        self.order.push(seat);
        self.forget_slack(seat);
        if let Some(states) = &mut self.states {
            states.welcome(seat);
        }
        if self.stand(seat, now, rules) && join.back.is_some() {
            self.keeping.ask();
        }
        seat
    }

    /// Seats somebody who speaks no roomcast.v1, and so has no name. The token is told to nobody.
    pub fn join_raw(&mut self, player: u32, token: Token, now: u32, rules: &Rules) -> Seat {
        let join = up::Join {
            minor: 0,
            mode: up::Mode::Any,
            back: None,
            name: Name::NONE,
            properties: List::EMPTY,
            wishes: Pairs::EMPTY,
        };
        let candidacy = Candidacy::Unknowing;
        let seat = self.join(player, &join, (token, candidacy), now, rules);
        self.players[seat as usize].set_raw();
        seat
    }

    /// The player with this token.
    pub fn find(&self, token: &Token) -> Option<Seat> {
        // All are looked at, so that the time tells nothing.
        let players = self.players.iter();
        players.fold(None, |found, (seat, player)| {
            if player.has_token(token) {
                Some(seat as Seat)
            } else {
                found
            }
        })
    }

    /// Whether a cursor of this life names what has not been said yet: no honest client has such a one.
    pub fn is_behind(&self, cursor: up::Cursor) -> bool {
        cursor.life == self.life && cursor.seq > self.log.seq()
    }

    /// A player has another connection; of `join` its version counts, and its cursor.
    pub fn attach(
        &mut self,
        seat: Seat,
        join: &up::Join<'_>,
        spectates: bool,
        now: u32,
        rules: &Rules,
    ) -> Return {
        let returned = self.reach(seat, join.back.and_then(|back| back.cursor), now);
        self.stands_again(seat, (join.minor, spectates), now, rules);
        returned
    }

    /// How a player with another connection goes on.
    fn reach(&mut self, seat: Seat, cursor: Option<up::Cursor>, now: u32) -> Return {
        let player = &mut self.players[seat as usize];
        let was_away = player.comes(now);
        player.budget = Budget::default();
        player.forget_owed();
        let id = player.id;
        if was_away && let Some(id) = PlayerId::new(id) {
            self.tell_others(id.get(), down::Packet::Back(id), now);
        }
        let player = &mut self.players[seat as usize];
        let forgotten = player.forgive();
        let reached = cursor.map(|cursor| {
            let here = cursor.life == self.life;
            let heard = planted::heard_up_to(cursor.seq, self.log.seq());
            let position = here.then(|| self.log.after(heard));
            (cursor.seq, position.flatten())
        });
        match reached {
            Some((seq, Some(position))) if !forgotten => {
                player.position = position;
                player.told(seq);
                player.lossy = self.log.distance(position);
                player.owe_resumed();
                if self.host.is_at(seat) {
                    self.keeping.host_returns(seq >= self.host.seq());
                }
                if let Some(states) = &mut self.states {
                    states.resume(seat);
                }
                self.watch(seat);
                Return::Resumed
            }
            Some(_) => Return::Welcomed(Some(down::reset::LOG)),
            None => Return::Welcomed(None),
        }
    }

    /// A player has lost its connection and keeps its seat.
    pub fn detach(&mut self, seat: Seat, now: u32, rules: &Rules) {
        let player = &mut self.players[seat as usize];
        player.goes(now);
        player.forget_owed();
        if let Some(id) = PlayerId::new(player.id) {
            self.tell_others(id.get(), down::Packet::Away(id), now);
        }
        self.host_detached(seat, now, rules);
    }

    /// A player is gone, for one of the reasons of [`down::left`].
    pub fn leave(&mut self, seat: Seat, reason: u64, now: u32, rules: &Rules) {
        if let Some(index) = self.place_of(self.players[seat as usize].id) {
            self.order.remove(index);
            self.rounds.close_gap(index);
        }
        let player = self.players.remove(seat as usize);
        if let Some(groups) = &mut self.groups {
            groups.leave_all(seat, player.id);
        }
        if let Some(acted) = &mut self.acted {
            acted.forget(player.id);
        }
        let staying = self.forget_states(player.id);
        self.property_bytes -= player.properties.bytes();
        if let Some(id) = PlayerId::new(player.id) {
            self.tell_others(id.get(), down::Packet::Left { id, reason }, now);
        }
        self.inherit(player.id, staying, now, rules);
        self.host_left(player.id, now, rules);
        if self.players.is_empty() {
            self.players = Slab::new();
            self.order = Vec::new();
        }
    }

    /// Lets go of what nobody can ask for any more.
    pub fn forget(&mut self, now: u32) {
        let mut position = self.log.position();
        let mut until = now;
        for (seat, player) in &self.players {
            match player.away_since() {
                None => position = position.min(self.position(seat as Seat)),
                // What its client has had, nobody knows: at its end, what was on its way was lost.
                Some(since) if now.wrapping_sub(since) > now.wrapping_sub(until) => until = since,
                Some(_) => {}
            }
        }
        let position = position.min(self.tail_begins().unwrap_or(u64::MAX));
        self.log.forget(position, until.wrapping_sub(LOG_REACH_MS));
        if !self.is_serving() && !self.dirty {
            self.rest_turns();
            self.mark_stragglers(true);
            if let Some(states) = &mut self.states {
                states.rest();
            }
        }
    }

    /// Milliseconds until [`Room::forget`] may have something to do; None if nothing was said lately.
    pub fn forgets_in(&self, now: u32) -> Option<u32> {
        // Until more is said, a snapshot may hold all of the log.
        let is_held = self.tail_begins() == Some(self.log.first());
        let Some(oldest) = self.log.oldest().filter(|_| !is_held) else {
            let states = self.states.as_ref();
            let is_restless = self.dirty
                || self.is_serving()
                || self.rounds.has_called()
                || states.is_some_and(|states| states.is_restless());
            return is_restless.then_some(LOG_REACH_MS / 4);
        };
        let age = now.wrapping_sub(oldest);
        // An entry more or less does not matter: a busy room is looked at four times in a reach.
        Some((LOG_REACH_MS + 1).saturating_sub(age).max(LOG_REACH_MS / 4))
    }

    /// Lets go of the oldest that is more than so many bytes.
    pub fn shorten_log(&mut self, most: usize) {
        self.log.shorten(most);
    }

    /// How the bytes that the log holds, with its index, have changed since it was last asked.
    pub fn log_grew(&mut self) -> isize {
        let before = std::mem::replace(&mut self.log_counted, self.log.held());
        self.log_counted as isize - before as isize
    }

    /// Bytes that the log held when it was last asked.
    pub fn log_counted(&self) -> usize {
        self.log_counted
    }

    /// Notes that a player is too far behind, and answers whether it may be welcomed anew instead of being closed.
    pub fn may_be_reset(&mut self, seat: Seat, now: u32) -> bool {
        let player = &mut self.players[seat as usize];
        player.may_be_reset(now, RESETS_APART_MS)
    }

    /// What the relay's operator says, to everybody, now (ms).
    pub fn announce(&mut self, text: &str, now: u32) {
        self.say(0, Audience::All, down::Packet::Notice(text), now);
    }

    /// What the room says about a player, to all others.
    fn tell_others(&mut self, about: u32, packet: down::Packet<'_>, now: u32) {
        self.say(about, Audience::Others, packet, now);
    }

    /// Appends an entry.
    fn say(&mut self, author: u32, audience: Audience<'_>, packet: down::Packet<'_>, now: u32) {
        match audience {
            Audience::One(id) => self
                .seat_of(id)
                .into_iter()
                .for_each(|seat| self.call_by_name(seat)),
            Audience::Others | Audience::All | Audience::List(_) => self.call_all(),
        }
        let said = Said {
            author,
            audience,
            droppable: false,
            at: now,
        };
        self.log.append(said, |out| packet.encode(out));
    }

    /// Sets one property of somebody who joins.
    fn set(
        &mut self,
        properties: &mut Properties,
        key: Name<'_>,
        value: roomcast_protocol::v1::Payload<'_>,
        version: u64,
        rules: &Rules,
    ) -> Result<(), properties::Unchanged> {
        let mut buffer = Vec::new();
        let change = roomcast_protocol::v1::Change {
            key,
            guard: roomcast_protocol::v1::Guard::Any,
            value: Some(value),
        };
        let Ok(changes) = roomcast_protocol::v1::List::encode([change], &mut buffer) else {
            return Err(properties::Unchanged::Limit);
        };
        let before = properties.bytes();
        if self.property_bytes + key.as_str().len() + value.bytes().len() > rules.property_bytes_max
        {
            return Err(properties::Unchanged::Limit);
        }
        properties.change(changes, version, rules.properties)?;
        self.property_bytes += properties.bytes() - before;
        Ok(())
    }
}

impl Index<Seat> for Room {
    type Output = Player;

    fn index(&self, seat: Seat) -> &Player {
        &self.players[seat as usize]
    }
}

impl IndexMut<Seat> for Room {
    fn index_mut(&mut self, seat: Seat) -> &mut Player {
        &mut self.players[seat as usize]
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
    use super::*;

    #[test]
    fn a_room_is_small() {
        // Ten players have one.
        assert!(size_of::<Room>() <= 400, "{} bytes", size_of::<Room>());
    }
}
