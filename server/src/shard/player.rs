//! Players: who sits where, how they are reached, and what waits for them.
//!
//! Owns: a player's place, link, dialect, lanes and pressure. Must not know: sockets, TLS, what a frame looks like.
//! Invariant: each place that ends a connection takes its player off it once, by [`Shard::part`]: the player is then
//! gone (`leave`), or away with its seat kept (`detach`).

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::down::left;

use super::connection::{Closing, Phase};
use super::pressure::{Pressure, Reading};
use super::{CloseReason, DisconnectReason, Shard};
use crate::delivery::{Dialect, Lanes};
use crate::limits::{Limits, STALLED_AFTER_MS};
use crate::room::{RoomId, v1};

/// A player's place in its shard, valid until it leaves.
pub(super) type PlayerId = u32;

/// Where a player sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A member of a room, on that seat.
    Room { room: RoomId, seat: u32 },
    /// At the door of a roomcast.v1 room: its first packet is awaited.
    Door { room: v1::RoomId },
    /// In a roomcast.v1 room, on that seat.
    V1 { room: v1::RoomId, seat: v1::Seat },
    /// Hears itself.
    Echo,
}

/// A room of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RoomRef {
    Batches(RoomId),
    V1(v1::RoomId),
}

/// How a player is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// By the connection in this slot.
    Here(u32),
    /// Not at all; the seat is kept until then.
    Away { until: u32 },
}

/// One player of a shard. Times are the low 32 bits of the shard's milliseconds, compared by distance.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) place: Place,
    pub(super) link: Link,
    pub(super) dialect: Dialect,
    pub(super) lanes: Lanes,
    pub(super) pressure: Pressure,
}

impl Player {
    pub(super) fn room(&self) -> Option<RoomRef> {
        match self.place {
            Place::Room { room, .. } => Some(RoomRef::Batches(room)),
            Place::V1 { room, .. } => Some(RoomRef::V1(room)),
            Place::Door { .. } | Place::Echo => None,
        }
    }

    /// Milliseconds until it has to be looked at, and whatever for.
    fn due(&self, now: u32, limits: &Limits) -> Option<(u32, Due)> {
        let left = |since: u32, span: u32| span.saturating_sub(now.wrapping_sub(since));
        match (self.link, self.pressure) {
            (Link::Away { until }, _) => {
                let left = (until.wrapping_sub(now) as i32).max(0);
                Some((left as u32, Due::Lost))
            }
            (Link::Here(_), Pressure::Clear) => None,
            (
                Link::Here(slot),
                Pressure::Behind {
                    since,
                    progress_at,
                    pressing,
                },
            ) => {
                let slow = (left(since, limits.congested_ms_max), Due::Slow(slot));
                let stalled = (left(progress_at, STALLED_AFTER_MS), Due::Stalled);
                Some(if pressing && stalled.0 < slow.0 {
                    stalled
                } else {
                    slow
                })
            }
        }
    }
}

/// What a player is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// It did not come back in time.
    Lost,
    /// The connection in this slot has been behind for as long as it may.
    Slow(u32),
    /// It takes nothing any more: nobody is slowed for it any longer.
    Stalled,
}

/// For how long a player of this dialect whose connection ends for this reason keeps its seat (ms). In raw rooms nobody
/// can come back.
fn grace(
    dialect: Dialect,
    #[cfg_attr(not(feature = "test-dialect"), expect(unused_variables))] reason: DisconnectReason,
) -> Option<u32> {
    match dialect {
        Dialect::Raw => None,
        #[cfg(feature = "test-dialect")]
        Dialect::Test => {
            use super::EndReason::{ConnectionLost, PeerGone};
            let lost = matches!(reason, DisconnectReason::End(ConnectionLost | PeerGone));
            lost.then_some(super::reattach::GRACE_MS)
        }
    }
}

impl Shard {
    /// A player of the connection in this slot takes a place.
    pub(super) fn enter(&mut self, slot: u32, room: Option<RoomId>, dialect: Dialect) -> PlayerId {
        let id = self.players.vacant_key() as PlayerId;
        let place = room.map_or(Place::Echo, |room| Place::Room {
            room,
            seat: self.rooms[room].join(id, dialect),
        });
        self.place(slot, place, dialect)
    }

    /// A player of the connection in this slot has a place.
    pub(super) fn place(&mut self, slot: u32, place: Place, dialect: Dialect) -> PlayerId {
        self.players.insert(Player {
            place,
            link: Link::Here(slot),
            dialect,
            lanes: Lanes::default(),
            pressure: Pressure::Clear,
        }) as PlayerId
    }

    /// Notes that a connection ends for this reason, and takes its player off it, if it has one. `said` is the peer's
    /// close code, if it closed.
    pub(super) fn part(
        &mut self,
        slot: u32,
        reason: impl Into<DisconnectReason>,
        said: Option<CloseCode>,
    ) {
        let reason = reason.into();
        self.note(slot, reason, said);
        let connection = &mut self.connections[slot as usize];
        let Phase::Open(id) = connection.phase else {
            return;
        };
        // Until the caller has decided how it ends; its player must not be taken off twice.
        connection.phase = Phase::Closing(Closing::Flush, Box::default());
        let player = &self.players[id as usize];
        let grace = match player.place {
            Place::V1 { room, seat } => self.v1_grace(room, seat, reason, said),
            Place::Room { .. } | Place::Door { .. } | Place::Echo => {
                grace(player.dialect, reason).ok_or(left::LEFT)
            }
        };
        match grace {
            Ok(grace) if !self.draining => self.detach(id, slot, grace),
            Ok(_) => self.leave(id, left::GRACE_OVER),
            Err(why) => self.leave(id, why),
        }
    }

    /// Ends the link; the seat is kept. What comes for the player goes into its lanes.
    fn detach(&mut self, id: PlayerId, slot: u32, grace_ms: u32) {
        let until = self.now32().wrapping_add(grace_ms);
        self.unburden(id, slot);
        let player = &mut self.players[id as usize];
        player.link = Link::Away { until };
        if let Place::V1 { room, seat } = player.place {
            self.detach_v1(room, seat);
        }
        self.arm_player(id);
    }

    /// Gives up the seat, and with it what waits: that leaves with the connection, if there is one. `why` is one of the
    /// reasons of [`left`].
    pub(super) fn leave(&mut self, id: PlayerId, why: u64) {
        if let Link::Here(slot) = self.players[id as usize].link {
            self.unburden(id, slot);
            let outbox = &mut self.connections[slot as usize].outbox;
            self.players[id as usize].lanes.leave_to(outbox);
        }
        self.player_timers.disarm(id);
        let player = self.players.remove(id as usize);
        match player.place {
            Place::V1 { room, seat } => return self.leave_v1(room, seat, player.link, why),
            Place::Door { room } => self.leave_door(room),
            Place::Room { room, seat } => {
                if let Some(moved) = self.rooms[room].leave(seat) {
                    self.players[moved as usize].place = Place::Room { room, seat };
                }
                self.close_if_empty(room);
            }
            Place::Echo => {}
        }
        self.common.return_seat();
    }

    /// Nobody waits any longer for a player who loses its connection, and that waits for nobody.
    pub(super) fn unburden(&mut self, id: PlayerId, slot: u32) {
        let room = self.players[id as usize].room();
        let pressure = std::mem::replace(&mut self.players[id as usize].pressure, Pressure::Clear);
        if self.connections[slot as usize].reading == Reading::Paused {
            // What it still has to say, its close frame above all, may be read.
            self.unpause(slot, room);
        }
        if let (Some(room), Pressure::Behind { pressing: true, .. }) = (room, pressure) {
            self.relieve(room);
        }
    }

    /// Forgets a room that nobody is in any longer.
    pub(super) fn close_if_empty(&mut self, id: RoomId) {
        let room = &mut self.rooms[id];
        if room.is_empty() {
            room.discard_open(&mut self.pool);
            self.rooms.close_if_empty(id);
        }
    }

    /// Ends all players who are away: nobody waits for them any longer.
    pub(super) fn give_up_the_away(&mut self) {
        let away = |(id, player): (usize, &Player)| match player.link {
            Link::Away { .. } => Some(id as PlayerId),
            Link::Here(_) => None,
        };
        let away: Vec<PlayerId> = self.players.iter().filter_map(away).collect();
        for id in away {
            self.leave(id, left::GRACE_OVER);
        }
    }

    /// Arms the timer for the earliest thing this player waits for, if there is one.
    pub(super) fn arm_player(&mut self, id: PlayerId) {
        let player = &self.players[id as usize];
        if let Some((wait, _)) = player.due(self.now32(), &self.common.limits) {
            self.player_timers.arm(id, self.now + u64::from(wait));
        }
    }

    /// The timer of a player has expired.
    pub(super) fn look_at_player(&mut self, id: PlayerId) {
        let Some(player) = self.players.get(id as usize) else {
            return;
        };
        match player.due(self.now32(), &self.common.limits) {
            Some((0, Due::Lost)) => self.leave(id, left::GRACE_OVER),
            Some((0, Due::Slow(slot))) => match self.players[id as usize].place {
                Place::V1 { room, seat } => self.reset(slot, room, seat),
                _ => self.close(slot, CloseReason::SlowConsumer),
            },
            Some((0, Due::Stalled)) => {
                self.no_longer_pressing(id);
                self.arm_player(id);
            }
            Some(_) => self.arm_player(id),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_player_is_small() {
        // A program has one dialect, which takes no space.
        let most = if size_of::<Dialect>() == 0 { 40 } else { 48 };
        assert!(size_of::<Player>() <= most, "{} bytes", size_of::<Player>());
    }
}
