//! One timer for each connection: the next moment at which it has to be looked at, whatever for. (Players have timers of
//! their own, see `player`.)

use roomcast_protocol::upgrade::Refusal;

use super::connection::Phase;
use super::player::Place;
use super::pressure::Reading;
use super::{Action, CloseReason, EndReason, Shard};
use crate::limits::HEARD_WITHIN_MS;
use crate::transport;

/// Milliseconds from `now` until `since + span`, 0 if that is past. Times wrap; distances are below 2^31 ms.
pub(super) fn left(now: u32, since: u32, span: u32) -> u32 {
    span.saturating_sub(now.wrapping_sub(since))
}

impl Shard {
    /// Does what the timers ask for. What is to be written waits for the next iteration, see [`Shard::has_work`].
    pub fn expire(&mut self) {
        let mut expired = std::mem::take(&mut self.expired);
        self.timers.expire(self.now, &mut expired);
        for slot in expired.drain(..) {
            self.look(slot);
        }
        self.player_timers.expire(self.now, &mut expired);
        for player in expired.drain(..) {
            self.look_at_player(player);
        }
        self.v1.expire(self.now, &mut expired);
        self.expire_impairments();
        self.expired = expired;
        self.look_at_pressed();
    }

    /// Ends a connection of [`Shard::take_silent`] whose socket was read: a player's if there was `nothing`, one whose
    /// request head is late if that is still not whole (a trickle does not save it).
    pub fn convict(&mut self, slot: u32, nothing: bool) {
        let connection = &self.connections[slot as usize];
        match connection.phase {
            Phase::Open(player) => {
                let silent = self.now32().wrapping_sub(connection.heard_at);
                if nothing && silent >= self.silence(self.players[player as usize].place) {
                    self.close(slot, CloseReason::Idle);
                }
            }
            Phase::Handshake(_) => self.refuse_for(
                slot,
                Refusal::HeadTimeout,
                false,
                EndReason::HandshakeTimeout,
            ),
            Phase::Hello | Phase::Closing(..) | Phase::Dead => {}
        }
    }

    /// Milliseconds within which somebody in this place has to be heard.
    fn silence(&self, place: Place) -> u32 {
        match place {
            Place::V1 { room, seat } if !self.v1.rooms[room][seat].raw => HEARD_WITHIN_MS,
            _ => self.common.limits.idle_ms,
        }
    }

    /// Arms the timer for the earliest thing this connection waits for.
    pub(super) fn rearm(&mut self, slot: u32) {
        let now = self.now32();
        let limits = &self.common.limits;
        let connection = &self.connections[slot as usize];
        let until_deadline = connection.deadline.wrapping_sub(now) as i32;
        let until_deadline = until_deadline.max(0) as u32;
        let wait = match connection.phase {
            Phase::Hello | Phase::Handshake(_) | Phase::Closing(..) => until_deadline,
            Phase::Open(player) => {
                let silent = now.wrapping_sub(connection.heard_at);
                let ping = if silent < limits.ping_ms {
                    limits.ping_ms - silent
                } else {
                    limits.ping_ms
                };
                let mut wait = ping;
                let place = self.players[player as usize].place;
                match place {
                    Place::V1 { room, seat } => wait = self.v1_wait(connection, room, seat, ping),
                    Place::Door { .. } => wait = until_deadline,
                    Place::Room { .. } | Place::Echo => {}
                }
                // Who was not read lately may have been anything but silent. It is asked again, and not in every iteration.
                if connection.reading == Reading::Free {
                    wait = wait.min(left(now, connection.heard_at, self.silence(place)));
                }
                if connection.draining || connection.stays {
                    wait = wait.min(until_deadline);
                }
                if let Some(quota) = self.quota_wait(connection, slot) {
                    wait = wait.min(quota);
                }
                wait
            }
            Phase::Dead => return,
        };
        self.timers.arm(slot, self.now + u64::from(wait));
    }

    /// The timer of a connection has expired.
    fn look(&mut self, slot: u32) {
        let now = self.now32();
        let connection = &mut self.connections[slot as usize];
        let overdue = now.wrapping_sub(connection.deadline) as i32 >= 0;
        match connection.phase {
            // Without TLS nothing can be said to a peer that expects it.
            Phase::Hello | Phase::Handshake(_) if overdue && connection.is_shaking_hands() => {
                self.drop_connection(slot, EndReason::HandshakeTimeout);
            }
            // Its head may wait in the socket: the process stood still, or had much to do.
            Phase::Handshake(_) if overdue => self.silent.push(slot),
            // The reactor answers in this very iteration.
            Phase::Closing(..) if overdue => self.actions.push(Action::Weigh(slot)),
            Phase::Open(player) => {
                let silent = now.wrapping_sub(connection.heard_at);
                if connection.draining && overdue {
                    return self.close(slot, CloseReason::Drain);
                }
                if connection.stays && overdue {
                    return self.close(slot, CloseReason::StayOver);
                }
                let place = self.players[player as usize].place;
                self.look_at_quota(slot);
                let connection = &self.connections[slot as usize];
                if overdue && matches!(place, Place::Door { .. }) {
                    return self.close(slot, CloseReason::NoJoin);
                }
                if connection.reading == Reading::Free && silent >= self.silence(place) {
                    self.silent.push(slot);
                    return self.rearm(slot);
                }
                if let Place::V1 { room, seat } = place
                    && self.look_at_v1(slot, room, seat)
                {
                    return self.rearm(slot);
                }
                if silent >= self.common.limits.ping_ms && self.is_clear(slot) {
                    let connection = &mut self.connections[slot as usize];
                    connection.outbox.push_own(transport::encode_ping);
                    self.list(slot);
                }
                self.rearm(slot);
            }
            Phase::Hello | Phase::Handshake(_) | Phase::Closing(..) => self.rearm(slot),
            Phase::Dead => {}
        }
    }
}
