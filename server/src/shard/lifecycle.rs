//! How connections begin and end, one reason each.

use std::collections::HashMap;
use std::net::IpAddr;

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame;
use roomcast_protocol::upgrade::Refusal;

use super::connection::{Closing, Connection, Phase};
use super::ebb::Ebb;
use super::exchange::Exchange;
use super::identity::Identity;
use super::sources::Counted;
use super::{Action, CloseReason, DisconnectReason, EndReason, Handover, Shard};
use crate::delivery::Outbox;
use crate::limits::{DRAIN_ROOM_MS, EBB_FIRST_LOOK_MS, SESSION_ENDED_MS, UP_VERDICT_MS};
use crate::transport::{Heard, Port, Security};

impl Shard {
    /// The peer has ended its side of TCP.
    pub fn end_of_input(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        connection.end_of_input = true;
        match connection.phase {
            Phase::Answered => self.hang_up(slot, EndReason::Answered),
            Phase::Announced(..)
            | Phase::Hello
            | Phase::Handshake(_)
            | Phase::Exchange(_)
            | Phase::Http2(_)
            | Phase::Open(_) => {
                let reason = match &connection.security {
                    Security::Tls(tls) if !tls.is_handshaking() && tls.heard() == Heard::More => {
                        EndReason::TlsTruncated
                    }
                    _ => EndReason::PeerGone,
                };
                self.hang_up(slot, reason);
            }
            Phase::Closing(Closing::Linger, _) => self.actions.push(Action::Weigh(slot)),
            // What is left to say is said in this iteration's flush, then it ends.
            Phase::Closing(..) => {
                connection.close_on(Closing::Flush);
                self.list(slot);
            }
            Phase::Dead => {}
        }
    }

    /// A read or write failed, or the peer reset the connection.
    pub fn failed(&mut self, slot: u32) {
        self.drop_connection(slot, EndReason::ConnectionLost);
    }

    /// The home reactor's mailbox took no more: answer 503 instead.
    pub fn refuse_hand_off(&mut self, handover: Handover) -> u32 {
        self.refuse_seat(handover, Refusal::ServerFull, EndReason::Overloaded)
    }

    /// Answers a connection that was to be adopted, or that comes back because it was not.
    pub(super) fn refuse_seat(
        &mut self,
        handover: Handover,
        refusal: Refusal,
        reason: impl Into<DisconnectReason>,
    ) -> u32 {
        let counted = handover.counted();
        let (who, security, unsent, source) = handover.into_parts();
        self.depart(source, counted);
        let slot = self.open(who, security, Phase::Handshake(None));
        self.connections[slot as usize].outbox.push_sealed(&unsent);
        if counted == Counted::Seated {
            self.common.return_seat();
        }
        self.refuse_for(slot, refusal, false, reason);
        slot
    }

    /// A new connection, from `peer` if that is known. Returns its slot, valid until [`Shard::reap`] names it.
    pub fn accept(&mut self, port: Port, peer: Option<IpAddr>) -> u32 {
        let id = self.new_id();
        self.counters.accepted_tls += u64::from(port == Port::Tls);
        let who = Identity::new(id, peer, self.real);
        let phase = match port {
            Port::Plain => Phase::Handshake(None),
            Port::Tls => Phase::Hello,
        };
        self.open(who, Security::Plain, phase)
    }

    /// Of another connection: no other shard makes this one, and this one never again.
    fn new_id(&mut self) -> u64 {
        self.counters.accepted += 1;
        self.counters.accepted * self.common.reactors as u64 + self.index as u64
    }

    fn open(&mut self, who: Identity, security: Security, phase: Phase) -> u32 {
        let mut handshake_ms = self.common.limits.handshake_ms;
        if self.draining {
            handshake_ms = handshake_ms.min(self.common.limits.close_ms);
        }
        let deadline = self.now32().wrapping_add(handshake_ms);
        let connection = Connection::new(who, security, phase, self.now32(), deadline);
        let slot = self.insert(connection);
        self.timers.arm(slot, self.now + u64::from(handshake_ms));
        self.remember_newcomer(slot);
        self.count_newcomer(slot);
        slot
    }

    /// A connection without a socket, from where the one in this slot comes from: requests will carry its bytes.
    pub(super) fn connect_carried(&mut self, slot: u32) -> u32 {
        let id = self.new_id();
        let peer = self.connections[slot as usize].who.peer();
        let now = self.now32();
        let deadline = now.wrapping_add(self.common.limits.handshake_ms);
        let who = Identity::new(id, peer, self.real);
        let phase = Phase::Handshake(None);
        let mut connection = Connection::new(who, Security::Plain, phase, now, deadline);
        connection.carried = true;
        // Its session takes what is written, not a socket.
        connection.writable = false;
        self.insert(connection)
    }

    /// The same for a request of another reactor, which has the socket.
    pub(super) fn connect_remote(&mut self, who: Identity, exchange: Exchange) -> u32 {
        let now = self.now32();
        let phase = Phase::Exchange(Box::new(exchange));
        let deadline = now.wrapping_add(UP_VERDICT_MS);
        let mut connection = Connection::new(who, Security::Plain, phase, now, deadline);
        connection.carried = true;
        connection.writable = false;
        let slot = self.insert(connection);
        self.rearm(slot);
        slot
    }

    /// Ends all players over `spread_ms`, and refuses new ones: each room at its own random moment, all of it within
    /// [`DRAIN_ROOM_MS`], so that none plays on in two processes. Told again, it goes on as it was told first.
    pub fn drain(&mut self, spread_ms: u32) {
        if std::mem::replace(&mut self.draining, true) {
            return;
        }
        self.v1.end();
        self.give_up_the_away();
        let slots: Vec<u32> = self
            .connections
            .iter()
            .map(|(slot, _)| slot as u32)
            .collect();
        let grace = self.common.limits.close_ms;
        let within_room = DRAIN_ROOM_MS.min(spread_ms);
        let mut rooms = HashMap::new();
        for slot in slots {
            let connection = &mut self.connections[slot as usize];
            if let Phase::Http2(_) = connection.phase {
                self.drain_http2(slot);
                continue;
            }
            if connection.is_new() {
                // They will only be told 503; nobody waits for them longer than for a close frame.
                let left = connection.deadline.wrapping_sub(self.now as u32) as i32;
                if left > grace as i32 {
                    connection.deadline = (self.now as u32).wrapping_add(grace);
                    self.rearm(slot);
                }
            } else if matches!(connection.phase, Phase::Open(_)) {
                let room = match connection.phase {
                    Phase::Open(player) => self.players[player as usize].room(),
                    _ => None,
                };
                let last = spread_ms - within_room;
                let begin = match room {
                    Some(room) => *rooms
                        .entry(room)
                        .or_insert_with(|| self.random.u32(0..=last)),
                    None => self.random.u32(0..=last),
                };
                let stay = begin + self.random.u32(0..=within_room);
                connection.draining = true;
                connection.deadline = (self.now as u32).wrapping_add(stay);
                self.rearm(slot);
            }
        }
    }

    /// The time within which all players were to be sent away is over: whoever is still here goes now.
    pub fn end_stays(&mut self) {
        let slots: Vec<u32> = self
            .connections
            .iter()
            .map(|(slot, _)| slot as u32)
            .collect();
        for slot in slots {
            if self.is_seated(slot) {
                self.close(slot, CloseReason::Drain);
            }
        }
    }

    /// The process ends and waits for nobody any longer: whoever is still here ends with it.
    pub fn abandon(&mut self) {
        self.draining = true;
        self.v1.end();
        self.give_up_the_away();
        let slots: Vec<u32> = self
            .connections
            .iter()
            .map(|(slot, _)| slot as u32)
            .collect();
        for slot in slots {
            if self.remote(slot).is_some() {
                // It ends where its connection is.
                self.bury(slot);
                continue;
            }
            self.drop_connection(slot, CloseReason::Drain);
            self.farewells.say(
                slot,
                &self.connections[slot as usize],
                &self.common,
                self.real,
            );
        }
    }

    /// Ends a seated connection from our side: close frame, then TCP.
    pub(super) fn close(&mut self, slot: u32, reason: CloseReason) {
        self.close_saying(slot, reason, reason.close().1);
    }

    /// The same, with a text of its own in the close frame.
    pub(super) fn close_saying(&mut self, slot: u32, reason: CloseReason, text: &str) {
        self.part(slot, reason, None);
        if reason == CloseReason::SlowConsumer {
            self.connections[slot as usize].outbox.truncate();
        }
        let connection = &mut self.connections[slot as usize];
        let (code, _) = reason.close();
        connection
            .outbox
            .push_own(|out| frame::encode_close(out, code, text, None));
        // Whoever broke the protocol is not waited for: its next frame means nothing.
        let step = match reason.violation() {
            Some(_) => Closing::Flush,
            None => Closing::AwaitPeer,
        };
        self.begin_closing(slot, step, reason);
    }

    /// The peer asked for the end: its code comes back, then TCP ends, our side first.
    pub(super) fn answer_close(&mut self, slot: u32, code: Option<CloseCode>) {
        self.part(slot, EndReason::PeerClosed, code);
        let connection = &mut self.connections[slot as usize];
        connection.outbox.push_own(|out| match code {
            Some(code) => frame::encode_close(out, code, "", None),
            None => frame::encode(out, frame::Opcode::Close, &[]),
        });
        self.begin_closing(slot, Closing::Flush, EndReason::PeerClosed);
    }

    /// From here on only what is queued is sent, for as long as `ebb` says.
    pub(super) fn begin_closing(
        &mut self,
        slot: u32,
        step: Closing,
        reason: impl Into<DisconnectReason>,
    ) {
        self.start_closing(slot, step, reason);
        self.list(slot);
    }

    fn start_closing(&mut self, slot: u32, step: Closing, reason: impl Into<DisconnectReason>) {
        self.note(slot, reason, None);
        self.forget_ebb(slot);
        self.forget_streams(slot);
        self.forget_question(slot);
        let is_answer = self.streams.has(slot) || self.links.has(slot);
        let now = self.now32();
        let connection = &mut self.connections[slot as usize];
        connection.phase = Phase::Closing(step, Box::new(Ebb::new(now)));
        let close_ms = self.common.limits.close_ms;
        let first_look = match connection.carried {
            true if is_answer => close_ms,
            // Who asks again is told why.
            true if self.draining => close_ms,
            true => SESSION_ENDED_MS,
            false => EBB_FIRST_LOOK_MS.min(close_ms),
        };
        connection.deadline = now.wrapping_add(first_look);
        if connection.carried && !is_answer {
            self.end_session(slot);
        }
        self.rearm(slot);
    }

    /// The peer is gone, it seems: nothing more is said, and the connection ends as soon as the peer has what the kernel
    /// holds for it, most often at once.
    fn hang_up(&mut self, slot: u32, reason: EndReason) {
        self.part(slot, reason, None);
        self.connections[slot as usize].outbox = Outbox::default();
        self.start_closing(slot, Closing::Linger, reason);
        self.actions.push(Action::Weigh(slot));
    }

    /// Ends a connection at once; nothing more is sent, and what has not arrived may never do.
    pub(super) fn drop_connection(&mut self, slot: u32, reason: impl Into<DisconnectReason>) {
        self.part(slot, reason, None);
        self.bury(slot);
    }

    /// Counts the one reason for which this connection ends. To be called before it has left its room. `said` is the peer's close code, if it closed.
    pub(super) fn note(
        &mut self,
        slot: u32,
        reason: impl Into<DisconnectReason>,
        said: Option<CloseCode>,
    ) {
        let connection = &mut self.connections[slot as usize];
        let reason = reason.into();
        if connection.reason.is_some() || matches!(connection.phase, Phase::Dead) {
            return;
        }
        connection.reason = Some(reason);
        self.counters.ends.note(reason);
        self.remember_for_the_end(slot, said);
    }

    /// Leaves the connection to be reaped.
    pub(super) fn bury(&mut self, slot: u32) {
        self.forget_ebb(slot);
        self.forget_streams(slot);
        if self.connections[slot as usize].carried {
            self.forget_session(slot);
            self.forget_question(slot);
            self.forget_stream(slot);
            self.end_link(slot);
        }
        let connection = &mut self.connections[slot as usize];
        if !matches!(connection.phase, Phase::Dead) {
            connection.phase = Phase::Dead;
            self.dead.push(slot);
        }
    }

    /// The outbox of a closing connection is clear: on to the next step.
    pub(super) fn flushed(&mut self, slot: u32) {
        if self.say_goodbye(slot) {
            return;
        }
        self.drained(slot);
        self.credit_link(slot);
        self.drained_http2(slot);
        if self.v1.impairments.held(slot) > 0 {
            return;
        }
        let connection = &mut self.connections[slot as usize];
        let Phase::Closing(step, ebb) = &mut connection.phase else {
            return;
        };
        if connection.carried {
            // It has no socket, only its time.
            if self.streams.has(slot) {
                self.finish_stream(slot);
            } else if self.links.has(slot) {
                self.bury(slot);
            }
            return;
        }
        match step {
            Closing::AwaitPeer | Closing::Flush if connection.end_of_input => {
                *step = Closing::Linger;
                self.actions.push(Action::Weigh(slot));
            }
            Closing::Flush => {
                *step = Closing::Linger;
                ebb.is_shut = true;
                self.actions.push(Action::ShutdownWrite(slot));
            }
            Closing::AwaitPeer | Closing::Linger => {}
        }
    }
}
