//! What operators order a shard to do: to put somebody out, to let nobody in from somewhere, to close a room, to say
//! something.
//!
//! Owns: which orders were carried out lately, and who may not come in. Must not know: who ordered it, or how. Invariant: an
//! order that comes twice is carried out once, so whoever did not hear the answer can order it again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use roomcast_protocol::frame::MessageKind;
use roomcast_protocol::v1::down::left;

use super::player::Link;
use super::sources::{Key, Source};
use super::tickets::Pass;
use super::{CloseReason, Shard};
use crate::limits::{BANS_MAX, ORDERS_REMEMBERED};
use crate::room::{RoomId, v1};
use crate::transport;

/// What a shard is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What comes under the same number is the same order.
    pub id: u64,
    /// What it says.
    pub what: Command,
}

/// What there is to be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// This connection ends, and its player leaves.
    Kick(u64),
    /// The player of that id in a room of roomcast.v1 leaves, also if it is away.
    KickPlayer(Arc<str>, u32),
    /// For so many ms nobody comes in from there, and who is here goes; 0 lifts that.
    Ban(Source, u64),
    /// All players of this room leave.
    CloseRoom(Arc<str>),
    /// A text for all players of this room.
    Say(Arc<str>, Arc<str>),
    /// A text for everybody in all rooms.
    Notice(Arc<str>),
}

/// What was ordered of a shard, as far as it still matters.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// The last ones, and how many players or rooms each concerned.
    done: VecDeque<(u64, usize)>,
    bans: Bans,
}

/// Who may not come in, and until when (ms, real).
#[derive(Debug, Default)]
struct Bans(HashMap<Key, u64>);

impl Bans {
    /// From there nobody comes in until then. False if there are too many bans.
    fn set(&mut self, key: Key, until: u64, now: u64) -> bool {
        if self.0.len() >= BANS_MAX {
            self.0.retain(|_, until| *until > now);
        }
        if self.0.len() >= BANS_MAX && !self.0.contains_key(&key) {
            return false;
        }
        self.0.insert(key, until);
        true
    }

    fn lift(&mut self, key: Key) -> bool {
        self.0.remove(&key).is_some()
    }

    fn holds(&self, key: Key, now: u64) -> bool {
        self.0.get(&key).is_some_and(|until| *until > now)
    }
}

impl Shard {
    /// Carries an order out; how many players or rooms it concerned, `None` if it can't be carried out.
    pub(super) fn obey(&mut self, order: &Order) -> Option<usize> {
        let mut done = self.orders.done.iter();
        if let Some((_, concerned)) = done.find(|(id, _)| *id == order.id) {
            return Some(*concerned);
        }
        let concerned = match &order.what {
            Command::Kick(id) => self.kick(*id),
            Command::KickPlayer(room, id) => self.kick_player(room, *id),
            Command::Ban(source, ms) => self.ban(*source, *ms)?,
            Command::CloseRoom(room) => self.end_room(room),
            Command::Say(room, text) => self.say_in(room, text)?,
            Command::Notice(text) => self.notice(text)?,
        };
        if self.orders.done.len() >= ORDERS_REMEMBERED {
            self.orders.done.pop_front();
        }
        self.orders.done.push_back((order.id, concerned));
        Some(concerned)
    }

    /// Where a connection with a seat comes from, or whose ticket it has.
    pub(super) fn whose(&self, id: u64) -> Option<Source> {
        let slot = self.slot_of(id)?;
        self.bearer_or_address(slot)
    }

    /// Whether nobody comes in from there, or with such a ticket.
    pub(super) fn is_banned(&self, slot: u32, pass: Pass) -> bool {
        let bans = &self.orders.bans;
        if bans.0.is_empty() {
            return false;
        }
        let address = self.connections[slot as usize].who.peer();
        let sources = [
            address.map(Source::Address),
            pass.bearer.map(|bearer| Source::Bearer(bearer.sub)),
        ];
        let mut keys = sources.into_iter().flatten().map(Source::own_key);
        keys.any(|key| bans.holds(key, self.real))
    }

    fn slot_of(&self, id: u64) -> Option<u32> {
        let mut connections = self.connections.iter();
        let (slot, _) = connections.find(|(_, connection)| connection.who.id() == id)?;
        Some(slot as u32).filter(|&slot| self.is_seated(slot))
    }

    fn kick(&mut self, id: u64) -> usize {
        let slot = self.slot_of(id);
        slot.map_or(0, |slot| self.put_out(vec![slot], CloseReason::PutOut))
    }

    fn kick_player(&mut self, room: &str, id: u32) -> usize {
        let room = self.v1.rooms.find(room);
        let player = room.and_then(|room| Some(room[room.seat_of(id)?].player));
        if let Some(player) = player {
            self.end_player(player, CloseReason::PutOut);
        }
        usize::from(player.is_some())
    }

    /// A player leaves, over whichever link it is reached.
    fn end_player(&mut self, player: u32, reason: CloseReason) {
        match self.players[player as usize].link {
            Link::Here(slot) => self.close(slot, reason),
            Link::Away { .. } => self.leave(player, left::KICKED),
        }
    }

    fn put_out(&mut self, slots: Vec<u32>, reason: CloseReason) -> usize {
        let count = slots.len();
        for slot in slots {
            self.close(slot, reason);
        }
        count
    }

    fn ban(&mut self, source: Source, ms: u64) -> Option<usize> {
        let key = source.own_key();
        if ms == 0 {
            return Some(usize::from(self.orders.bans.lift(key)));
        }
        let until = self.real.saturating_add(ms);
        if !self.orders.bans.set(key, until, self.real) {
            return None;
        }
        let slots = self.connections.iter().map(|(slot, _)| slot as u32);
        let here = slots.filter(|&slot| {
            let whose = self.bearer_or_address(slot).map(Source::own_key);
            self.is_seated(slot) && whose == Some(key)
        });
        let here = here.collect();
        Some(self.put_out(here, CloseReason::PutOut))
    }

    /// Away players leave too: nobody comes back to what was said there.
    fn end_room(&mut self, name: &str) -> usize {
        let raw = self.rooms.find(name).map(|room| room.players());
        let v1 = self.v1.rooms.find(name).map(|room| room.members());
        let all = raw.into_iter().flatten().chain(v1.into_iter().flatten());
        let players: Vec<u32> = all.collect();
        for &player in &players {
            self.end_player(player, CloseReason::RoomEnded);
        }
        players.len()
    }

    fn say_in(&mut self, room: &str, text: &str) -> Option<usize> {
        if text.len() > self.rules.max_message {
            return None;
        }
        if let Some(id) = self.rooms.place(room) {
            return Some(self.announce(id, text));
        }
        let id = self.v1.rooms.place(room)?;
        Some(self.v1.announce(id, text, self.now))
    }

    fn notice(&mut self, text: &str) -> Option<usize> {
        if text.len() > self.rules.max_message {
            return None;
        }
        let raw: Vec<RoomId> = self.rooms.iter().map(|(id, _)| id).collect();
        let v1: Vec<v1::RoomId> = self.v1.rooms.iter().map(|(id, _)| id).collect();
        let to_raw = raw.into_iter().map(|id| self.announce(id, text));
        let to_raw: usize = to_raw.sum();
        let to_v1 = v1.into_iter();
        let to_v1 = to_v1.map(|id| self.v1.announce(id, text, self.now));
        Some(to_raw + to_v1.sum::<usize>())
    }

    fn announce(&mut self, id: RoomId, text: &str) -> usize {
        let room = &mut self.rooms[id];
        let first = room.announce(&mut self.pool, |dialect, author, out| {
            transport::encode_message(dialect, out, author, MessageKind::Text, text.as_bytes());
        });
        if first {
            room.opens(self.residence.since);
            self.dirty.push(id);
        }
        self.rooms[id].seats()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::shard::Common;
    use crate::shard::fixture::{members, seated};

    fn order(id: u64, what: Command) -> Order {
        Order { id, what }
    }

    fn id_of(shard: &Shard, slot: u32) -> u64 {
        shard.connections[slot as usize].who.id()
    }

    #[test]
    fn an_order_that_comes_twice_is_carried_out_once() {
        let mut shard = members();
        let say = |id| order(id, Command::Say("arena".into(), "hello".into()));
        assert_eq!(shard.obey(&say(1)), Some(2));
        let said = shard.rooms[0].open_bytes();
        assert!(said > 0);
        assert_eq!(shard.obey(&say(1)), Some(2));
        assert_eq!(shard.rooms[0].open_bytes(), said);
        assert_eq!(shard.obey(&say(2)), Some(2));
        assert!(shard.rooms[0].open_bytes() > said);
        let nowhere = Command::Say("nowhere".into(), "hello".into());
        assert_eq!(shard.obey(&order(3, nowhere)), None);
        let long: Arc<str> = "x".repeat(Limits::default().max_message + 1).into();
        for what in [
            Command::Say("arena".into(), Arc::clone(&long)),
            Command::Notice(long),
        ] {
            assert_eq!(shard.obey(&order(4, what)), None, "more than a message");
        }
        for id in 10..10 + ORDERS_REMEMBERED as u64 {
            shard.obey(&order(id, Command::Kick(0)));
        }
        assert_eq!(shard.orders.done.len(), ORDERS_REMEMBERED);
    }

    #[test]
    fn who_is_kicked_goes_and_a_room_that_is_closed_is_empty() {
        let mut shard = members();
        let first = id_of(&shard, 0);
        assert_eq!(shard.obey(&order(1, Command::Kick(first))), Some(1));
        assert_eq!(shard.reason(0), Some(CloseReason::PutOut.into()));
        assert!(shard.is_seated(1));
        assert_eq!(shard.obey(&order(2, Command::Kick(first))), Some(0));
        let close = order(3, Command::CloseRoom("arena".into()));
        assert_eq!(shard.obey(&close), Some(1));
        assert_eq!(shard.reason(1), Some(CloseReason::RoomEnded.into()));
        assert_eq!(shard.rooms(), 0);
    }

    #[test]
    fn bans_hold_for_their_time_and_are_few() {
        let mut shard = Shard::new(Arc::new(Common::new(Limits::default(), 1)), 0, 0, 7);
        let address = |n: u32| Source::Address(std::net::Ipv4Addr::from(n).into());
        let ban = |n: u32, ms| Command::Ban(address(n), ms);
        let here = |n: u32| Some(std::net::Ipv4Addr::from(n).into());
        let come = |shard: &mut Shard, n: u32| {
            let slot = seated(shard, "arena");
            shard.connections[slot as usize]
                .who
                .comes_from(here(n).unwrap());
            slot
        };
        let (one, two) = (come(&mut shard, 1), come(&mut shard, 2));
        assert_eq!(shard.obey(&order(1, ban(1, 1_000))), Some(1));
        assert!(!shard.is_seated(one) && shard.is_seated(two));
        assert!(shard.is_banned(one, Pass::default()) && !shard.is_banned(two, Pass::default()));
        shard.advance(999, 999);
        assert!(shard.is_banned(one, Pass::default()));
        shard.advance(1_000, 1_000);
        assert!(!shard.is_banned(one, Pass::default()));
        for n in 10..10 + BANS_MAX as u32 {
            assert_eq!(shard.obey(&order(u64::from(n), ban(n, 1_000))), Some(0));
        }
        assert_eq!(shard.obey(&order(2, ban(3, 1_000))), None, "too many");
        assert_eq!(shard.obey(&order(3, ban(10, 0))), Some(1), "lifted");
        assert_eq!(shard.obey(&order(4, ban(3, 1_000))), Some(0));
    }
}
