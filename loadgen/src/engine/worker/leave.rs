//! How clients get out, of their own will or not; and those that misbehave on purpose.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame;

use super::{Stage, Worker};
use crate::engine::client::Phase;
use crate::engine::clock::{Nanos, nanos};
use crate::engine::plan::Role;
use crate::engine::schedule::{Period, Ring};

/// How long the closing handshake of one client may take.
const LEAVE_TIMEOUT: Nanos = 2_000_000_000;
/// What an end without a close frame is counted as (RFC 6455 section 7.4.1).
pub(super) const NO_CLOSE: u16 = 1006;

impl Worker {
    /// Sends a close frame; the client is out when the server has answered and closed.
    pub(super) fn leave(&mut self, index: u32) {
        self.part(index, CloseCode::NORMAL, false);
    }

    /// The server has sent a close frame.
    pub(super) fn server_closes(&mut self, index: u32, code: CloseCode) {
        let client = &mut self.clients[index as usize];
        match &mut client.phase {
            Phase::Leaving { answered } => {
                *answered = true;
                // Over TLS the last word is a close_notify.
                if !client.blocked {
                    self.flush(index);
                }
            }
            Phase::Joined => {
                if self.stage != Stage::Close {
                    self.count_disconnect(index, code.0);
                }
                // 1005 stands for no code and must not be sent itself.
                let echo = if code.is_valid_on_wire() {
                    code
                } else {
                    CloseCode::NORMAL
                };
                self.part(index, echo, true);
            }
            _ => {}
        }
    }

    /// Leaves the room: sends a close frame and waits for the end of the connection.
    fn part(&mut self, index: u32, code: CloseCode, answered: bool) {
        let client = &mut self.clients[index as usize];
        if !client.is_joined() {
            return;
        }
        let (healthy, begun) = (client.is_healthy(), client.begun);
        self.give_up(index, begun);
        let client = &mut self.clients[index as usize];
        client.skip_pending();
        client.phase = Phase::Leaving { answered };
        client.attempt = client.attempt.wrapping_add(1);
        let deadline = self.now.saturating_add(LEAVE_TIMEOUT);
        self.leaves.push_back((deadline, index, client.attempt));
        self.joined -= 1;
        self.joined_healthy -= usize::from(healthy);
        self.leaving += 1;
        let key = self.random.u32(..).to_le_bytes();
        frame::encode_close(&mut client.outbox, code, "", Some(key));
        self.resume(index);
        if !self.clients[index as usize].blocked {
            self.flush(index);
        }
    }

    /// The connection has ended.
    pub(super) fn ended(&mut self, index: u32) {
        match self.clients[index as usize].phase {
            Phase::Leaving { answered } => self.left(index, answered),
            Phase::Joined => {
                if self.stage != Stage::Close {
                    self.count_disconnect(index, NO_CLOSE);
                    let client = &self.clients[index as usize];
                    let truncated = client.is_healthy() && client.security.is_cut_short();
                    self.connections.truncated += u64::from(truncated);
                }
                self.lost(index);
            }
            _ => {}
        }
    }

    /// Gives a connection up at once.
    pub(super) fn lost(&mut self, index: u32) {
        let client = &self.clients[index as usize];
        match client.phase {
            Phase::Joined => {
                self.joined -= 1;
                self.joined_healthy -= usize::from(client.is_healthy());
            }
            Phase::Leaving { .. } => self.leaving -= 1,
            _ => {}
        }
        self.give_up(index, 0);
        self.clients[index as usize].reset();
    }

    /// A client that was leaving is out; `properly`: with the server's close frame and the end
    /// of the connection.
    pub(super) fn left(&mut self, index: u32, properly: bool) {
        if self.stage == Stage::Close {
            self.connections.close_failed += u64::from(!properly);
        }
        self.lost(index);
        if self.stage == Stage::Traffic && self.is_churning(index) {
            self.connect(index);
        }
    }

    /// The server ended a connection that should have lasted.
    pub(super) fn count_disconnect(&mut self, index: u32, code: u16) {
        self.count_end(index);
        if self.clients[index as usize].is_healthy() {
            *self.ended_codes.entry(code).or_default() += 1;
        }
        *self.connections.close_codes.entry(code).or_default() += 1;
    }

    /// The server broke this rule, so the connection is to be given up.
    pub(super) fn broke_protocol(&mut self, index: u32, rule: String) {
        *self.connections.violations.entry(rule).or_default() += 1;
        if self.clients[index as usize].is_joined() && self.stage != Stage::Close {
            self.count_end(index);
        }
    }

    fn count_end(&mut self, index: u32) {
        if self.clients[index as usize].is_healthy() {
            self.connections.disconnected += 1;
            self.first_ended = self.first_ended.min(self.now);
        } else {
            self.connections.disconnected_misbehaving += 1;
        }
    }

    /// Traffic begins: the slow stop reading, the others get their times.
    pub(super) fn begin_misbehaving(&mut self) {
        let scenario = &self.settings.scenario;
        let mut churners = Vec::new();
        for (client, index) in self.clients.iter_mut().zip(0..) {
            match client.plan.role {
                Role::Healthy => {}
                Role::Slow => client.paused = true,
                Role::Stalling => self.stall_at = self.start,
                Role::Churning => churners.push(index),
            }
        }
        if churners.is_empty() {
            return;
        }
        // All churners of the run share its rate; a thread has its part of both.
        let period = scenario.churners() as f64 / scenario.churn;
        let share = (period * 1e9) as Nanos / churners.len() as Nanos;
        let slots = (1..).map(|i| i * share).zip(churners).collect();
        self.churn = Ring::new(slots, Period::of_rate(1.0 / period), self.start);
    }

    /// What the misbehaving do at this time.
    pub(super) fn misbehave(&mut self) {
        while self.churn.due() <= self.now {
            let Some((_, index)) = self.churn.pop() else {
                return;
            };
            if self.clients[index as usize].is_joined() {
                self.connections.leaves += 1;
                self.leave(index);
            } else if self.is_away(index) {
                self.connect(index);
            }
        }
        if self.stall_at <= self.now {
            self.stall_at = self
                .stall_at
                .saturating_add(nanos(self.settings.scenario.stall));
            for index in 0..self.clients.len() {
                let client = &mut self.clients[index];
                match client.plan.role {
                    Role::Stalling if client.paused => self.resume(index as u32),
                    Role::Stalling => client.paused = client.is_joined() && !client.ending,
                    _ => {}
                }
            }
        }
    }

    pub(super) fn begin_close(&mut self) {
        self.stage = Stage::Close;
        self.ramp = None;
        for index in 0..self.clients.len() as u32 {
            let client = &mut self.clients[index as usize];
            if client.phase.is_entering() {
                client.reset();
                self.under_way -= 1;
            }
            self.leave(index);
        }
    }

    /// Nobody is connected any more.
    pub(super) fn is_closed(&self) -> bool {
        self.joined + self.leaving + self.under_way == 0
    }
}
