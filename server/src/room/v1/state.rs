//! What players say of keys: values, their ends, and who gets them.

use std::collections::BTreeSet;

use roomcast_protocol::v1::up::{KeyAudience, StateAudience};
use roomcast_protocol::v1::{self, Payload, PlayerId, down};
use slab::Slab;

use super::groups::{Groups, groups_of};
use super::host::Host;
use super::player::Player;
use super::speak::{Effect, Named};
pub(super) use super::states::To;
use super::states::{Ears, States, Telling, Value};
use super::{Room, Rules, Seat};
use crate::planted::{self, Fault};

/// Whom who sits here is to audiences. No method of the room, for the states are written to meanwhile.
pub(super) fn ears_of<'r>(
    players: &Slab<Player>,
    groups: &'r Option<Box<Groups>>,
    host: &Host,
    seat: Seat,
) -> Ears<'r> {
    Ears {
        player: players[seat as usize].id,
        groups: groups_of(groups, seat),
        is_host: host.is_at(seat),
    }
}

/// The states of a room, which has none until somebody speaks of a key. No method of the room, for the same reason.
fn states_of(states: &mut Option<Box<States>>, ticks: bool) -> &mut States {
    states.get_or_insert_with(|| Box::new(States::new(ticks)))
}

impl Room {
    /// A key has a value.
    pub(super) fn set_state(
        &mut self,
        named: Named,
        (payload, by_host): (Payload<'_>, bool),
        now: u32,
        rules: &Rules,
    ) -> Effect {
        let (name, writer) = self.names(named);
        let (after, leaves) = (self.log.position(), self.leaves_at(now));
        let states = states_of(&mut self.states, self.ticks.is_some());
        let before = states.table().value(name).map(|(_, len)| len);
        let len = payload.bytes().len();
        // Who stays as large as it was needs no look at the bounds: that is what is said twenty times a second.
        if before.is_none_or(|before| len > before) {
            let (count, bytes) = states.table().held(name.0);
            let count = count + usize::from(!states.table().counts(name));
            let more = len - before.unwrap_or(0);
            let bounds = rules.states.of(named.room);
            let room = states.table().bytes() + more;
            if count > bounds.count || bytes + more > bounds.bytes || room > rules.states.room.bytes
            {
                return Effect::RefusedState(named.key, down::refused::LIMIT);
            }
        }
        let packet = down::Packet::State {
            author: PlayerId::new(name.0),
            key: name.1,
            payload,
            by_host,
        };
        let when = states.now(writer, after, leaves);
        let slot = states.slot_of(name, when);
        let to = states.say(slot, Value::Here, len, when, |out| packet.encode(out));
        self.call_to(to);
        Effect::Said
    }

    /// A key has no value any more.
    pub(super) fn delete_state(&mut self, named: Named, now: u32) -> Effect {
        let (name, writer) = self.names(named);
        let (after, leaves) = (self.log.position(), self.leaves_at(now));
        let Some(states) = &mut self.states else {
            return Effect::None;
        };
        let Some((slot, _)) = states.table().value(name) else {
            return Effect::None;
        };
        let when = states.now(writer, after, leaves);
        let to = states.say(slot, Value::Gone, 0, when, |out| removed(name).encode(out));
        self.call_to(to);
        Effect::Said
    }

    /// A key goes to others from now on.
    pub(super) fn readdress(
        &mut self,
        seat: Seat,
        number: u64,
        audience: KeyAudience,
        now: u32,
        rules: &Rules,
    ) -> Effect {
        let KeyAudience {
            key, room, stays, ..
        } = audience;
        let (name, writer) = self.names(Named { seat, key, room });
        let to = match audience.to {
            StateAudience::Others => To::Others,
            StateAudience::All => To::All,
            StateAudience::Group(group) if planted::is(Fault::GroupOff) => To::Group(group + 1),
            StateAudience::Group(group) => To::Group(group),
            StateAudience::Host => To::Host,
        };
        if room && !self.settings.keys_by_all && !self.host.is_at(seat) {
            return self.refuse(writer, number, down::refused::NOT_ALLOWED, now);
        }
        let (after, leaves) = (self.log.position(), self.leaves_at(now));
        let states = states_of(&mut self.states, self.ticks.is_some());
        let is_new = !states.table().counts(name);
        if is_new && states.table().held(name.0).0 >= rules.states.of(room).count {
            return self.refuse(writer, number, down::refused::LIMIT, now);
        }
        let when = states.now(writer, after, leaves);
        let slot = states.slot_of(name, when);
        let before = states.readdress(slot, to, stays, &encoded(removed(name)), when);
        before
            .into_iter()
            .chain([to])
            .for_each(|to| self.call_to(to));
        Effect::Said
    }

    /// Somebody leaves: its keys go, before anybody is told, but those that stay.
    pub(super) fn forget_states(&mut self, id: u32) -> Vec<(v1::Key, Box<[u8]>, To)> {
        let Some(states) = &mut self.states else {
            return Vec::new();
        };
        if planted::is(Fault::GhostState) {
            return Vec::new();
        }
        let mut staying = Vec::new();
        for slot in states.table().of(id) {
            if let Some(key) = states.table().get(slot)
                && key.stays
                && key.value == Value::Here
            {
                staying.push((key.name.1, key.packet.clone(), key.to));
            }
            states.remove(slot);
        }
        staying
    }

    /// What somebody left behind that was to stay is the room's from now on, as far as there is room for it.
    pub(super) fn inherit(
        &mut self,
        left: u32,
        staying: Vec<(v1::Key, Box<[u8]>, To)>,
        now: u32,
        rules: &Rules,
    ) {
        let (after, leaves) = (self.log.position(), self.leaves_at(now));
        for (key, packet, to) in staying {
            let Some(states) = &mut self.states else {
                return;
            };
            let Some(Ok(down::Packet::State { payload, .. })) = down::Packets::new(&packet).next()
            else {
                continue;
            };
            let name = (0, key);
            let before = states.table().value(name).map(|(_, len)| len);
            let (count, bytes) = states.table().held(0);
            let len = payload.bytes().len();
            let bytes = bytes + len - before.unwrap_or(0);
            let bounds = rules.states.of(true);
            let count = count + usize::from(!states.table().counts(name));
            if count > bounds.count || bytes > bounds.bytes {
                continue;
            }
            let packet = down::Packet::State {
                author: None,
                key,
                payload,
                by_host: false,
            };
            let when = states.now(left, after, leaves);
            let slot = states.slot_of(name, when);
            states.readdress(slot, to, false, &encoded(removed(name)), when);
            let when = states.now(left, after, leaves);
            let to = states.say(slot, Value::Here, len, when, |out| packet.encode(out));
            self.call_to(to);
        }
    }

    /// A key as the room knows it, and the id of who speaks of it.
    fn names(&self, named: Named) -> ((u32, u32), u32) {
        let id = self.players[named.seat as usize].id;
        let owner = if named.room { 0 } else { id };
        ((owner, named.key), id)
    }

    /// The values that a player is welcomed with.
    pub(super) fn values_for(&self, seat: Seat) -> impl Iterator<Item = &[u8]> {
        let ears = self.ears(seat);
        let keys = self.states.iter().flat_map(|states| states.table().iter());
        keys.filter(move |(_, key)| {
            key.value == Value::Here && key.telling(ears) == Telling::Packet
        })
        .map(|(_, key)| &*key.packet)
    }

    /// Whom somebody is to audiences.
    pub(super) fn ears(&self, seat: Seat) -> Ears<'_> {
        ears_of(&self.players, &self.groups, &self.host, seat)
    }

    /// Of what was said of keys the oldest is about to be let go of, or all if they `rest`: whoever has not got it has marks
    /// instead, and a count of what those take the place of.
    pub(super) fn mark_stragglers(&mut self, rest: bool) {
        while let Some(states) = &mut self.states
            && let Some(seat) = states.next_straggler()
        {
            let lags = self.players.get(seat as usize).is_some_and(Player::lags);
            if lags && states.misses(seat, rest) {
                let ears = ears_of(&self.players, &self.groups, &self.host, seat);
                states.falls_behind(seat);
                states.mark_new(seat, ears);
            }
        }
    }

    /// Who sits here is about to get other keys than it does.
    pub(super) fn keep_ears(&mut self, seat: Seat) {
        self.settle(seat);
        let ears = ears_of(&self.players, &self.groups, &self.host, seat);
        if let Some(states) = &mut self.states {
            states.will_hear_others(seat, ears);
        }
    }

    /// Keys that go to who sits here go to others from now on, or the other way about. Its ears were kept before.
    pub(super) fn change_ears(&mut self, seat: Seat, change: impl FnOnce(&mut States, Ears<'_>)) {
        let ears = ears_of(&self.players, &self.groups, &self.host, seat);
        if let Some(states) = &mut self.states {
            change(states, ears);
        }
        self.watch(seat);
    }

    /// A player joins and leaves groups, all or none of them.
    pub(super) fn regroup(
        &mut self,
        seat: Seat,
        number: u64,
        (only, groups): (bool, v1::Groups<'_>),
        now: u32,
        rules: &Rules,
    ) -> Effect {
        let id = self.players[seat as usize].id;
        let before = groups_of(&self.groups, seat);
        let mut after: BTreeSet<u32> = before.iter().copied().filter(|_| !only).collect();
        for (group, is_in) in groups.iter() {
            if is_in {
                after.insert(group);
            } else {
                after.remove(&group);
            }
        }
        let left: Vec<u32> = before
            .iter()
            .copied()
            .filter(|group| !after.contains(group))
            .collect();
        after.retain(|group| before.binary_search(group).is_err());
        if before.len() - left.len() + after.len() > rules.groups_max {
            return self.refuse(id, number, down::refused::LIMIT, now);
        }
        if left.is_empty() && after.is_empty() {
            return Effect::None;
        }
        self.keep_ears(seat);
        let own = self.groups.get_or_insert_default();
        left.iter().for_each(|group| {
            own.leave(seat, id, *group);
        });
        after.iter().for_each(|group| {
            own.join(seat, id, *group);
        });
        self.change_ears(seat, |states, ears| {
            let left = left.iter().map(|group| To::Group(*group));
            left.for_each(|group| states.exit(seat, ears, group));
            let joined = after.iter().map(|group| To::Group(*group));
            joined.for_each(|group| states.enter(seat, group));
        });
        Effect::Said
    }
}

/// The packet that says that a key has no value.
pub(super) fn removed((owner, key): (u32, u32)) -> down::Packet<'static> {
    down::Packet::Removed {
        author: PlayerId::new(owner),
        key,
    }
}

fn encoded(packet: down::Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    bytes
}
