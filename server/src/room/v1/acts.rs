//! What a host may do to its room and to those in it.

use std::collections::BTreeMap;

use roomcast_protocol::v1::down::{self, left, refused};
use roomcast_protocol::v1::{PlayerId, Token, power, up};

use super::log::Audience;
use super::speak::Effect;
use super::{Room, Rules, Seat};
use crate::limits::{BARRED_MAX, TRIPS_PER_PACKET};
use crate::planted::{self, Fault};

/// What hosts have done in a room that is remembered.
#[derive(Debug, Default)]
pub(super) struct Acted {
    /// The tokens of those who were put out.
    barred: Vec<Token>,
    /// Round-trip times by the ids of players, µs; None until the host asks.
    trips: Option<BTreeMap<u32, u32>>,
}

impl Acted {
    /// Who has this token was put out.
    fn bar(&mut self, token: Token) {
        if self.barred.len() >= BARRED_MAX {
            self.barred.remove(0);
        }
        self.barred.push(token);
    }

    /// The player with this id is gone.
    pub(super) fn forget(&mut self, id: u32) {
        if let Some(trips) = &mut self.trips {
            trips.remove(&id);
        }
    }
}

impl Room {
    /// Does what the host on `seat` asks for.
    pub(super) fn act(
        &mut self,
        seat: Seat,
        number: u64,
        act: up::Act<'_>,
        now: u32,
        rules: &Rules,
    ) -> Effect {
        let done = match act {
            up::Act::HandOver(id) => self.hand_over(id, now, rules).map(|()| Effect::Said),
            up::Act::Kick(id) => self.kick(seat, id, now, rules),
            up::Act::Lock(locked) => self.lock(locked, now),
            up::Act::Close => self.may(power::CLOSE).map(|()| Effect::Close),
            up::Act::Snapshot { seq, state } => self
                .may_keep(seq, state.len(), rules)
                .map(|()| Effect::Keep(number)),
            up::Act::Trips => Ok(Effect::Trips),
            _ => Err(refused::NOT_OFFERED),
        };
        done.unwrap_or_else(|reason| self.refuse_to(seat, number, reason, now))
    }

    /// Whether this room's host has a power.
    fn may(&self, power: u64) -> Result<(), u64> {
        match u64::from(self.settings.powers) & power {
            0 => Err(refused::NOT_ALLOWED),
            _ => Ok(()),
        }
    }

    fn kick(&mut self, seat: Seat, id: PlayerId, now: u32, rules: &Rules) -> Result<Effect, u64> {
        self.may(power::KICK)?;
        let whom = self.seat_of(id.get()).ok_or(refused::PLAYER_GONE)?;
        if whom == seat {
            return Err(refused::NOT_ALLOWED);
        }
        let player = &self.players[whom as usize];
        let (place, token) = (player.player, player.token());
        if !planted::is(Fault::Unbarred) {
            self.acted.get_or_insert_default().bar(token);
        }
        self.leave(whom, left::KICKED, now, rules);
        Ok(Effect::PutOut(place))
    }

    fn lock(&mut self, locked: bool, now: u32) -> Result<Effect, u64> {
        self.may(power::LOCK)?;
        if std::mem::replace(&mut self.is_locked, locked) == locked {
            return Ok(Effect::None);
        }
        self.say(0, Audience::All, down::Packet::Locked(locked), now);
        Ok(Effect::Said)
    }

    /// Whether somebody new is kept out.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Whether who has this token was put out.
    pub fn bars(&self, token: &Token) -> bool {
        let acted = self.acted.as_ref();
        acted.is_some_and(|acted| acted.barred.contains(token))
    }

    /// Puts out everybody but who sits here, with all that was said; answers who that is, by their places in the shard.
    pub fn clear_but(&mut self, seat: Seat) -> Vec<u32> {
        if planted::is(Fault::HalfClosed) {
            return Vec::new();
        }
        let others = self.players.iter();
        let others = others.filter(|(index, _)| *index != seat as usize);
        let others = others.map(|(_, player)| player.player).collect();
        for index in (0..self.order.len()).rev() {
            let other = self.order[index];
            if other != seat {
                self.order.remove(index);
                self.rounds.close_gap(index);
                let player = self.players.remove(other as usize);
                self.property_bytes -= player.properties.bytes();
            }
        }
        self.states = None;
        self.groups = None;
        others
    }

    /// Somebody says its round-trip time, µs; 0: it has none yet.
    #[inline]
    pub(super) fn note_trip(&mut self, seat: Seat, trip: u64) {
        let acted = self.acted.as_mut();
        if let Some(trips) = acted.and_then(|acted| acted.trips.as_mut()) {
            let id = self.players[seat as usize].id;
            trips.insert(id, trip.min(u64::from(u32::MAX)) as u32);
        }
    }

    /// Tells everybody's round-trip time, in as many packets as it takes: of those who have said one since that was asked for
    /// first. Rooms in which nobody asks keep none.
    pub fn trips(&mut self, tell: &mut dyn FnMut(down::Packet<'_>)) {
        let acted = self.acted.get_or_insert_default();
        let trips = acted.trips.get_or_insert_default();
        let known: Vec<(PlayerId, u64)> = trips
            .iter()
            .filter(|(_, trip)| **trip > 0)
            .filter_map(|(id, trip)| Some((PlayerId::new(*id)?, u64::from(*trip))))
            .collect();
        let mut buffer = Vec::new();
        let none = known.is_empty().then_some(&[][..]);
        for some in known.chunks(TRIPS_PER_PACKET).chain(none) {
            if let Ok(trips) = down::Trips::encode(some.iter().copied(), &mut buffer) {
                tell(down::Packet::Trips(trips));
            }
        }
    }
}
