//! What players say: each packet becomes entries of the log, or is refused.

use roomcast_protocol::v1::{Change, Changed, Key, List, Owner, Payload, PlayerId, down, up};

use super::log::{Audience, Said};
use super::properties::Unchanged;
use super::{Room, Rules, Seat};
use crate::planted::{self, Fault};

/// What is left to do for whoever carries the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Something was appended to the log.
    Said,
    /// A ping is to be answered.
    Pong {
        /// Its echo.
        echo: u64,
        /// With what ticks need.
        ticks: bool,
    },
    /// A state under this key was not taken, for one of the reasons of [`down::refused`].
    RefusedState(Key, u64),
    /// The player wants a bad network; if it does not get one, this packet is to be refused.
    Impair(u64, up::Impairment),
    /// The player with this place in the shard was put out.
    PutOut(u32),
    /// The room is to be closed.
    Close,
    /// The packet is a snapshot that may be kept, if there is place for it; else it is to be refused.
    Keep(u64),
    /// Everybody's round-trip times are to be told.
    Trips,
    /// The player wants to go.
    Leave,
    /// It is in the room already.
    JoinedTwice,
}

/// Whose key it is that a player speaks of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    /// Who speaks.
    pub seat: Seat,
    pub key: Key,
    /// It is the room's.
    pub room: bool,
}

impl Room {
    /// Does what a packet of the player on `seat` asks for.
    pub fn hear(&mut self, seat: Seat, packet: up::Packet<'_>, now: u32, rules: &Rules) -> Effect {
        let player = &mut self.players[seat as usize];
        let id = player.id;
        let number = if packet.is_numbered() {
            player.count(now)
        } else {
            0
        };
        let by_host = match packet.term() {
            None => false,
            Some(term) if self.host.is_at(seat) && self.host.term() == term => true,
            Some(_) if planted::is(Fault::Unfenced) => true,
            Some(_) => return self.refuse_any(id, number, packet, down::refused::NOT_HOST, now),
        };
        match packet {
            up::Packet::Event {
                to,
                droppable,
                payload,
                ..
            } => self.event((id, by_host), number, to, droppable, payload, now),
            up::Packet::Properties { owner, changes, .. } => {
                self.write((seat, by_host), number, owner, changes, now, rules)
            }
            up::Packet::Ping { echo, trip, ticks } => {
                self.note_trip(seat, trip);
                Effect::Pong { echo, ticks }
            }
            up::Packet::Impair(to) if rules.impairment => Effect::Impair(number, to),
            up::Packet::Leave => Effect::Leave,
            up::Packet::Join(_) => Effect::JoinedTwice,
            up::Packet::State { key, room, .. } | up::Packet::Delete { key, room, .. }
                if room && !by_host && !self.settings.keys_by_all =>
            {
                Effect::RefusedState(key, down::refused::NOT_ALLOWED)
            }
            up::Packet::State {
                key, room, payload, ..
            } => self.set_state(Named { seat, key, room }, (payload, by_host), now, rules),
            up::Packet::Delete { key, room, .. } => {
                self.delete_state(Named { seat, key, room }, now)
            }
            up::Packet::Willing { willing, visible } => {
                match self.declare(seat, (willing, visible), now, rules) {
                    true => Effect::Said,
                    false => Effect::None,
                }
            }
            up::Packet::Act { act, .. } => self.act(seat, number, act, now, rules),
            up::Packet::Groups { only, groups } => {
                self.regroup(seat, number, (only, groups), now, rules)
            }
            up::Packet::Audience(audience) => self.readdress(seat, number, audience, now, rules),
            // What else there is, this relay has not built.
            _ => self.refuse(id, number, down::refused::NOT_OFFERED, now),
        }
    }

    /// A raw player on `seat` says something.
    pub fn hear_raw(&mut self, seat: Seat, payload: Payload<'_>, now: u32) {
        let id = self.players[seat as usize].id;
        self.event((id, false), 0, up::Audience::Others, false, payload, now);
    }

    fn event(
        &mut self,
        (id, by_host): (u32, bool),
        number: u64,
        to: up::Audience<'_>,
        droppable: bool,
        payload: Payload<'_>,
        now: u32,
    ) -> Effect {
        let mut present = Vec::new();
        let audience = match to {
            up::Audience::Others => {
                self.call_all();
                Audience::Others
            }
            up::Audience::All => {
                self.call_all();
                Audience::All
            }
            up::Audience::Host if self.host.id().is_none() => {
                return self.refuse(id, number, down::refused::PLAYER_GONE, now);
            }
            up::Audience::Host => {
                if let Some(seat) = self.host.seat() {
                    self.call_by_name(seat);
                }
                Audience::One(self.host.id().map_or(0, PlayerId::get))
            }
            up::Audience::One(player) => {
                let Some(seat) = self.seat_of(player.get()) else {
                    return self.refuse(id, number, down::refused::PLAYER_GONE, now);
                };
                self.call_by_name(seat);
                Audience::One(player.get())
            }
            up::Audience::List(players) => {
                for player in players.iter().map(PlayerId::get) {
                    if let Some(seat) = self.seat_of(player) {
                        self.call_by_name(seat);
                        present.push(player);
                    }
                }
                Audience::List(&present)
            }
            up::Audience::Group(group) => {
                let groups = self.groups.take();
                let players = groups.as_ref().map_or(&[][..], |it| it.players(group));
                present.reserve_exact(players.len());
                for &(player, seat) in players.iter().filter(|(player, _)| *player != id) {
                    self.call_by_name(seat);
                    present.push(player);
                }
                self.groups = groups;
                match present.is_empty() {
                    true => return Effect::None,
                    false => Audience::List(&present),
                }
            }
            _ => return self.refuse(id, number, down::refused::NOT_OFFERED, now),
        };
        let Some(author) = PlayerId::new(id) else {
            return Effect::None;
        };
        let packet = down::Packet::Event {
            author,
            payload,
            by_host,
            addressed: matches!(audience, Audience::One(_) | Audience::List(_)),
        };
        let said = Said {
            author: id,
            audience,
            droppable,
            at: now,
        };
        self.log.append(said, |out| packet.encode(out));
        Effect::Said
    }

    /// Changes properties of `owner`, all or none.
    fn write(
        &mut self,
        (seat, by_host): (Seat, bool),
        number: u64,
        owner: Owner,
        changes: List<'_, Change<'_>>,
        now: u32,
        rules: &Rules,
    ) -> Effect {
        let author = PlayerId::new(self.players[seat as usize].id);
        let id = author.map_or(0, PlayerId::get);
        let version = self.log.seq() + 1;
        let whose = owner.map(|owner| self.seat_of(owner.get()));
        let properties = match whose {
            None if by_host || self.settings.properties_by_all => &mut self.properties,
            Some(Some(owner)) if by_host || owner == seat => {
                &mut self.players[owner as usize].properties
            }
            None | Some(Some(_)) => {
                return self.refuse(id, number, down::refused::NOT_ALLOWED, now);
            }
            Some(None) => return self.refuse(id, number, down::refused::PLAYER_GONE, now),
        };
        let before = properties.bytes();
        let mut bounds = rules.properties;
        let elsewhere = self.property_bytes - before;
        bounds.bytes = bounds
            .bytes
            .min(rules.property_bytes_max.saturating_sub(elsewhere));
        match properties.change(changes, version, bounds) {
            Ok(()) => self.property_bytes = elsewhere + properties.bytes(),
            Err(Unchanged::Guard) => return self.refuse(id, number, down::refused::GUARD, now),
            Err(Unchanged::Limit) => return self.refuse(id, number, down::refused::LIMIT, now),
        }
        let mut buffer = Vec::new();
        let changed = changes.iter().map(|change| Changed {
            key: change.key,
            version,
            value: change.value,
        });
        if let Ok(changes) = List::encode(changed, &mut buffer) {
            let packet = down::Packet::Properties {
                owner,
                author,
                changes,
            };
            self.say(id, Audience::All, packet, now);
        }
        Effect::Said
    }

    /// The answer to a ping, at the relay's time (µs).
    pub fn pong(
        &mut self,
        seat: Seat,
        (echo, ticks): (u64, bool),
        time: u64,
    ) -> down::Packet<'static> {
        if !ticks {
            return down::Packet::Pong { echo, time };
        }
        down::Packet::PongTicks {
            echo,
            time,
            superseded: { self.states.as_ref() }.map_or(0, |states| states.superseded(seat)),
            slack: self.tell_slack(seat),
        }
    }

    /// Refuses a packet of the player on `seat` that whoever carries it could not do.
    pub fn refuse_to(&mut self, seat: Seat, number: u64, reason: u64, now: u32) -> Effect {
        self.refuse(self.players[seat as usize].id, number, reason, now)
    }

    /// Tells a player that its packet had no effect: an entry for it alone, so that a resume repeats it.
    pub(super) fn refuse(&mut self, id: u32, number: u64, reason: u64, now: u32) -> Effect {
        let packet = down::Packet::Refused {
            number,
            reason,
            detail: "",
        };
        self.say(id, Audience::One(id), packet, now);
        Effect::Said
    }

    /// The same, of a packet that may be a state's, which has no number.
    fn refuse_any(
        &mut self,
        id: u32,
        number: u64,
        packet: up::Packet<'_>,
        reason: u64,
        now: u32,
    ) -> Effect {
        match packet {
            up::Packet::State { key, .. } | up::Packet::Delete { key, .. } => {
                Effect::RefusedState(key, reason)
            }
            _ => self.refuse(id, number, reason, now),
        }
    }

    /// Where the player of this id sits.
    pub fn seat_of(&self, id: u32) -> Option<Seat> {
        self.place_of(id).map(|index| self.order[index])
    }

    /// Where in the order of ids a player is.
    pub(super) fn place_of(&self, id: u32) -> Option<usize> {
        let id_of = |seat: &Seat| self.players[*seat as usize].id;
        self.order.binary_search_by_key(&id, id_of).ok()
    }
}
