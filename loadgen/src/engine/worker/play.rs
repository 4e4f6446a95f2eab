//! How clients of `roomcast.v1` get to be players, and what they say beside their messages.

use std::io;

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame;

use super::Worker;
use super::hear::News;
use crate::engine::client::Phase;
use crate::engine::clock::Nanos;
use crate::engine::session::{Session, Speech};
use crate::engine::socket::Failure;
use crate::engine::tls::Security;
use crate::engine::wire::{seal_and_write, write_some};
use crate::scenario::Scenario;

/// How soon a player is looked after again who could not do what was due: its socket is full.
const AGAIN: Nanos = 1_000_000;
/// How soon one who does not read just now.
const PAUSED: Nanos = 250_000_000;

impl Worker {
    /// The connection is open, asked for at `since`: joins.
    pub(super) fn greet(&mut self, index: u32, (connecting_since, since): (Nanos, Nanos)) {
        let now = self.io.now();
        let Scenario { size, play, .. } = &self.settings.scenario;
        let client = &mut self.clients[index as usize];
        let layout = self.traffic.layouts[client.plan.room as usize];
        client.phase = Phase::Greeting {
            connecting_since,
            since,
        };
        match client.speech.session() {
            Some(session) => session.open(now),
            None => {
                let session = Session::new((client.plan.member, layout), *size, play, now);
                client.speech = Speech::V1(Some(Box::new(session)));
            }
        }
        self.flush(index);
    }

    /// A player has heard something, and may have something to say to it.
    pub(super) fn heard(&mut self, index: u32, news: &News) {
        self.take_news(index, news);
        let client = &mut self.clients[index as usize];
        let live = client.speech.session().is_some_and(|s| s.is_live());
        if let Phase::Greeting {
            connecting_since,
            since,
        } = client.phase
            && live
        {
            if client.speech.is_lost() {
                self.back(index, connecting_since);
            } else {
                self.joined(index, (connecting_since, since));
                self.entered(Ok(()));
            }
        }
        self.leave_snapshot(index);
        if self.clients[index as usize].blocked {
            self.rewake(index);
        } else {
            self.flush(index);
        }
    }

    /// Writes the player's next message. Tells whether there was one.
    pub(super) fn flush_session(&mut self, index: u32) -> io::Result<bool> {
        let client = &mut self.clients[index as usize];
        if client.stream.is_none() {
            return Ok(false);
        }
        let now = match client.pending() {
            0 => self.io.now(),
            _ => self.io.stamp(),
        };
        let room = self.rooms[client.plan.room as usize].number;
        let Some(batch) = self
            .traffic
            .say((index, client), room, &mut self.random, now)
        else {
            self.rewake(index);
            return Ok(false);
        };
        // The machine has them now, whatever becomes of this write.
        client.begun = batch;
        client.begun_skipped = client.skipped;
        let out = &self.traffic.writing.out;
        let Some(stream) = &mut client.stream else {
            return Ok(false);
        };
        let (written, whole) = match &mut client.security {
            Security::Plain => {
                let written = write_some(stream, out)?;
                client.outbox.extend_from_slice(&out[written..]);
                client.rest = client.outbox.len();
                (written, written == out.len())
            }
            Security::Tls(tls) => {
                let written = seal_and_write(stream, tls, out, &mut self.io.sealed)?;
                (written, tls.unsent.is_empty())
            }
        };
        self.timeline.bytes_out += written as u64;
        if whole {
            self.traffic.count_begun(client, now);
        }
        Ok(true)
    }

    /// Remembers when the player has to be looked after next.
    pub(super) fn rewake(&mut self, index: u32) {
        let now = self.io.now();
        let client = &mut self.clients[index as usize];
        let is_pending = client.pending() > 0 || self.traffic.values.are_pending(index);
        let waiting = client.is_joined() && is_pending;
        let Some(session) = client.speech.session() else {
            return;
        };
        let due = session.due(now, waiting);
        self.wakes.set(due.max(now + AGAIN), index, client);
    }

    /// Looks after the players whose time has come.
    pub(super) fn wake_players(&mut self) {
        while let Some((due, index)) = self.wakes.pop(self.io.now(), &mut self.clients) {
            let now = self.io.now();
            let client = &mut self.clients[index as usize];
            let (paused, blocked) = (client.paused, client.blocked);
            if client.speech.is_lost() && !client.phase.is_entering() {
                self.come_back(index);
                continue;
            }
            let Some(session) = client.speech.session() else {
                continue;
            };
            if paused {
                // Who does not read would take the relay for dead.
                self.wakes.set(now + PAUSED, index, client);
            } else if !session.wake(due, now) {
                self.ended(index);
            } else if blocked {
                self.rewake(index);
            } else {
                self.flush(index);
            }
        }
    }

    /// The server broke a rule: says so, and gives the connection up.
    pub(super) fn hang_up(&mut self, index: u32, code: CloseCode, rule: String) {
        let key = self.random.u32(..).to_le_bytes();
        let client = &mut self.clients[index as usize];
        frame::encode_close(&mut client.outbox, code, "", Some(key));
        self.flush(index);
        if self.clients[index as usize].phase.is_entering() {
            return self.failed(index, Failure::Broke(rule));
        }
        self.broke_protocol(index, rule);
        self.lost(index);
    }

    /// Queues the last word of a player who goes.
    pub(super) fn say_goodbye(&mut self, index: u32) {
        let now = self.io.now();
        let key = self.random.u32(..).to_le_bytes();
        let client = &mut self.clients[index as usize];
        let Some(session) = client.speech.session() else {
            return;
        };
        session.leave();
        let mut message = Vec::new();
        if session.transmit(now, &mut message) {
            let opcode = frame::Opcode::Binary;
            frame::encode_masked(&mut client.outbox, opcode, &message, key);
        }
    }
}
