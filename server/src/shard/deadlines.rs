//! One timer for each connection: the next moment at which it has to be looked at, whatever for. (Players have timers of
//! their own, see `player`.)

use roomcast_protocol::upgrade::Refusal;

use super::connection::{Closing, Phase};
use super::player::Place;
use super::pressure::Reading;
use super::{Action, CloseReason, EndReason, Shard};
use crate::limits::{HEARD_WITHIN_MS, SESSION_SILENCE_MS};
use crate::transport;

/// Milliseconds from `now` until `since + span`, 0 if that is past. Times wrap; distances are below 2^31 ms.
pub(super) fn left(now: u32, since: u32, span: u32) -> u32 {
    span.saturating_sub(now.wrapping_sub(since))
}

/// What a connection is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Its TLS handshake is not complete, or its proxy has not announced it: nothing can be said to a peer that expects it.
    Handshake,
    /// Its request head is not whole, or waits in the socket: the process stood still, or had much to do.
    Head,
    /// It is closing: what has its peer taken? The reactor answers in the same iteration.
    Weighing,
    /// Its request's content is not whole, or has no answer yet.
    Exchange,
    /// No other request has come since the last one was answered.
    Answered,
    /// It speaks HTTP/2, and is to say that it is there.
    Http2,
    /// Its stay, or its time at a door, is over.
    End(CloseReason),
    /// It seems to have been silent for too long.
    Silence,
    /// It has waited for long enough for having sent too much.
    Unpause,
    /// It is to be told that the relay is there.
    KeepAlive,
    /// It has not been heard for a while: it is asked for a pong.
    Ping,
    /// It is to be told how many of its packets were applied.
    Ack,
}

/// Of how many kinds things are that the clock may have for one connection at once: an end, reading, a heartbeat, an
/// acknowledgement.
const DUES: usize = 4;

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
        self.heed_revocations();
        self.expire_impairments();
        self.expired = expired;
        self.look_at_pressed();
        self.publish_listing();
    }

    /// Ends a connection of [`Shard::take_silent`] whose socket was read: a player's if there was `nothing`, one whose
    /// request head or join is late if that is still not whole (a trickle does not save it).
    pub fn convict(&mut self, slot: u32, nothing: bool) {
        let connection = &self.connections[slot as usize];
        match connection.phase {
            Phase::Open(player) => {
                let now = self.now32();
                let place = self.players[player as usize].place;
                let overdue = now.wrapping_sub(connection.deadline) as i32 >= 0;
                if overdue && matches!(place, Place::Door { .. }) {
                    return self.close(slot, CloseReason::NoJoin);
                }
                let silent = now.wrapping_sub(connection.heard_at);
                if nothing && silent >= self.silence(place, false) {
                    self.close(slot, CloseReason::Idle);
                }
            }
            Phase::Handshake(_) => self.refuse_for(
                slot,
                Refusal::HeadTimeout,
                false,
                EndReason::HandshakeTimeout,
            ),
            Phase::Announced(..)
            | Phase::Hello
            | Phase::Exchange(_)
            | Phase::Answered
            | Phase::Http2(_)
            | Phase::Closing(..)
            | Phase::Dead => {}
        }
    }

    /// Milliseconds within which somebody in this place has to be heard, whose bytes are carried by requests or not.
    fn silence(&self, place: Place, carried: bool) -> u32 {
        match place {
            Place::V1 { room, seat } if !self.v1.rooms[room][seat].is_raw() => HEARD_WITHIN_MS,
            _ if carried => SESSION_SILENCE_MS,
            _ => self.common.limits.idle_ms,
        }
    }

    /// All that the clock has for a connection, with the milliseconds that are left of each (0: it is due), in the order in
    /// which it is heeded. What is not here wakes nobody and does nothing to anybody.
    fn dues(&self, slot: u32) -> [Option<(Due, u32)>; DUES] {
        let now = self.now32();
        let connection = &self.connections[slot as usize];
        let until = |at: u32| (at.wrapping_sub(now) as i32).max(0) as u32;
        let only = |due| [Some((due, until(connection.deadline))), None, None, None];
        let player = match connection.phase {
            Phase::Announced(..) | Phase::Hello | Phase::Handshake(_)
                if connection.is_shaking_hands() =>
            {
                return only(Due::Handshake);
            }
            Phase::Announced(..) | Phase::Hello | Phase::Handshake(_) => return only(Due::Head),
            Phase::Exchange(_) => return only(Due::Exchange),
            Phase::Answered => return only(Due::Answered),
            Phase::Http2(_) => return only(Due::Http2),
            Phase::Closing(..) => return only(Due::Weighing),
            Phase::Dead => return [None; DUES],
            Phase::Open(player) => player,
        };
        let place = self.players[player as usize].place;
        let end = match place {
            _ if connection.draining => Some(CloseReason::Drain),
            _ if connection.stays => Some(CloseReason::StayOver),
            Place::Door { .. } => Some(CloseReason::NoJoin),
            Place::Room { .. } | Place::V1 { .. } | Place::Echo => None,
        };
        let heard_at = connection.heard_at;
        let silence = self.silence(place, connection.carried);
        let silence = (Due::Silence, left(now, heard_at, silence));
        let reading = match connection.reading {
            Reading::Free => Some(silence),
            Reading::Paused => self
                .allowed_in(slot, place)
                .map(|wait| (Due::Unpause, wait)),
            // It may have been anything but silent.
            Reading::Unheard => None,
        };
        let heartbeat = match self.v1.keep_alive_at(place) {
            Some(at) => Some((Due::KeepAlive, until(at))),
            // Requests say that somebody is there, whether or not what they brought has been heard.
            None if connection.carried => Some(silence),
            // Its end is near anyway.
            None if matches!(place, Place::Door { .. }) => None,
            None => Some((Due::Ping, left(now, heard_at, self.common.limits.ping_ms))),
        };
        [
            end.map(|reason| (Due::End(reason), until(connection.deadline))),
            reading,
            heartbeat,
            self.v1.ack_at(place).map(|at| (Due::Ack, until(at))),
        ]
    }

    /// Arms the timer for the earliest thing that the clock has for this connection.
    pub(super) fn rearm(&mut self, slot: u32) {
        let dues = self.dues(slot).into_iter().flatten();
        let waits = dues.filter_map(|(due, left)| match (due, left) {
            // It was asked; it is asked again if it stays silent, and not in every iteration.
            (Due::Ping, 0) => Some(self.common.limits.ping_ms),
            // What it waits for now is not the clock's.
            (Due::Unpause, 0) => None,
            _ => Some(left),
        });
        if let Some(wait) = waits.min() {
            self.timers.arm(slot, self.now + u64::from(wait));
        }
    }

    /// The timer of a connection has expired: heeds what is due.
    fn look(&mut self, slot: u32) {
        let dues = self.dues(slot).into_iter().flatten();
        for (due, _) in dues.filter(|&(_, left)| left == 0) {
            match due {
                Due::Handshake => return self.drop_connection(slot, EndReason::HandshakeTimeout),
                // Of a stream nothing waits in a socket.
                Due::Head if self.connections[slot as usize].carried => {
                    return self.convict(slot, true);
                }
                Due::Head => return self.silent.push(slot),
                Due::Exchange => return self.end_exchange(slot),
                Due::Answered => {
                    return self.begin_closing(slot, Closing::Flush, EndReason::Answered);
                }
                Due::Http2 => return self.look_at_http2(slot),
                Due::Weighing if self.connections[slot as usize].carried => {
                    return self.bury(slot);
                }
                Due::Weighing => return self.actions.push(Action::Weigh(slot)),
                // As a head, its join may wait in the socket, if it has one.
                Due::End(CloseReason::NoJoin) if !self.connections[slot as usize].carried => {
                    return self.silent.push(slot);
                }
                Due::End(reason) => return self.close(slot, reason),
                Due::Silence if self.connections[slot as usize].carried => {
                    return self.close(slot, CloseReason::Idle);
                }
                Due::Silence => {
                    self.silent.push(slot);
                    break;
                }
                Due::Unpause => self.end_pause(slot),
                Due::KeepAlive | Due::Ack => {
                    self.owe(slot, due);
                    self.list(slot);
                }
                Due::Ping if self.is_clear(slot) => {
                    let outbox = &mut self.connections[slot as usize].outbox;
                    outbox.push_own(transport::encode_ping);
                    self.list(slot);
                }
                Due::Ping => {}
            }
        }
        self.rearm(slot);
    }

    /// Milliseconds until a paused connection may be read again as far as its own quota and budget go; `None` if it has
    /// neither.
    fn allowed_in(&self, slot: u32, place: Place) -> Option<u32> {
        let now = self.now32();
        let waits = [self.quota_wait(slot), self.v1.budget_wait(place, now)];
        waits.into_iter().flatten().max()
    }

    /// A connection may be read again that is paused.
    fn end_pause(&mut self, slot: u32) {
        if let Phase::Open(player) = self.connections[slot as usize].phase {
            let room = self.players[player as usize].room();
            self.unpause(slot, room);
        }
    }

    /// A player of roomcast.v1 is to be told what is due.
    fn owe(&mut self, slot: u32, due: Due) {
        let now = self.now32();
        if let Some((room, seat)) = self.seat_of(slot) {
            let player = &mut self.v1.rooms[room][seat];
            match due {
                Due::KeepAlive => player.keep_alive(now),
                _ => player.owe_ack(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{members, write};
    use super::*;
    use crate::transport::Port;

    fn of(shard: &Shard, slot: u32) -> Vec<(Due, u32)> {
        shard.dues(slot).into_iter().flatten().collect()
    }

    #[test]
    fn the_clock_has_something_for_every_state() {
        let mut shard = members();
        let limits = shard.common.limits.clone();
        let silence = (Due::Silence, limits.idle_ms);
        let ping = (Due::Ping, limits.ping_ms);
        assert_eq!(of(&shard, 0), [silence, ping]);
        // Who was not read may have said anything.
        shard.connections[0].reading = Reading::Unheard;
        assert_eq!(of(&shard, 0), [ping]);
        shard.connections[0].reading = Reading::Paused;
        assert_eq!(of(&shard, 0), [ping]);
        shard.connections[0].reading = Reading::Free;
        let plain = shard.accept(Port::Plain, None);
        assert_eq!(of(&shard, plain), [(Due::Head, limits.handshake_ms)]);
        let tls = shard.accept(Port::Tls, None);
        assert_eq!(of(&shard, tls), [(Due::Handshake, limits.handshake_ms)]);
        let door = shard.accept(Port::Plain, None);
        let player = shard.stand_at_door(door, "lobby");
        shard.connections[door as usize].phase = Phase::Open(player);
        let join = (Due::End(CloseReason::NoJoin), limits.handshake_ms);
        assert_eq!(of(&shard, door), [join, silence]);
        shard.drain(0);
        let gone = (Due::End(CloseReason::Drain), 0);
        assert_eq!(of(&shard, 0), [gone, silence, ping]);
        shard.close(0, CloseReason::Drain);
        assert_eq!(of(&shard, 0)[0].0, Due::Weighing);
        shard.bury(0);
        assert_eq!(of(&shard, 0), []);
    }

    /// Milliseconds from now until its timer wakes somebody, whatever for, if nothing is heard.
    fn wakes(shard: &mut Shard) -> u64 {
        let before = shard.now;
        let at = shard.next_deadline().expect("somebody has a timer");
        shard.advance(at, at);
        shard.expire();
        at - before
    }

    #[test]
    fn who_is_silent_is_pinged_once_and_then_asked_for() {
        let mut shard = members();
        let limits = shard.common.limits.clone();
        shard.drop_connection(1, EndReason::ConnectionLost);
        shard.reap(|_| {});
        let mut waited = 0;
        while waited < u64::from(limits.ping_ms) {
            waited += wakes(&mut shard);
        }
        assert!(waited < u64::from(limits.ping_ms) + 100, "{waited}");
        assert!(!shard.is_clear(0), "a ping");
        write(&mut shard);
        let mut silent = Vec::new();
        while waited < u64::from(limits.idle_ms) {
            shard.take_silent(&mut silent);
            assert!(silent.is_empty(), "after {waited} ms");
            waited += wakes(&mut shard);
            write(&mut shard);
        }
        shard.take_silent(&mut silent);
        assert_eq!(silent, [0]);
        // It is asked again soon: what it sent may not have been read.
        assert!(wakes(&mut shard) < 100);
    }
}
