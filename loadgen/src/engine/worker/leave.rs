//! How clients get out, of their own will or not; and those that misbehave on purpose.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame;

use super::{Stage, Worker};
use crate::engine::client::Phase;
use crate::engine::plan::Role;
use crate::engine::socket::Failure;

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
                    self.endings.count(client, code.0, self.io.now());
                }
                if let Some(session) = client.speech.session() {
                    session.ended(Some(code));
                }
                // 1005 stands for no code and must not be sent itself.
                let echo = if code.is_valid_on_wire() {
                    code
                } else {
                    CloseCode::NORMAL
                };
                self.part(index, echo, true);
            }
            Phase::Greeting { .. } => self.failed(index, Failure::Closed(code)),
            _ => {}
        }
    }

    /// Leaves the room: sends a close frame and waits for the end of the connection.
    fn part(&mut self, index: u32, code: CloseCode, answered: bool) {
        let client = &mut self.clients[index as usize];
        if !client.is_joined() {
            return;
        }
        let counted = self.stage != Stage::Close;
        self.traffic.give_up((index, client), client.begun, counted);
        client.skip_pending();
        client.phase = Phase::Leaving { answered };
        client.attempt = client.attempt.wrapping_add(1);
        self.present.leave(client);
        self.endings.begin(index, client, self.io.now());
        if !answered {
            self.say_goodbye(index);
        }
        let client = &mut self.clients[index as usize];
        let key = self.random.u32(..).to_le_bytes();
        frame::encode_close(&mut client.outbox, code, "", Some(key));
        self.io.resume(index, client);
        if !client.blocked {
            self.flush(index);
        }
    }

    /// The connection has ended.
    pub(super) fn ended(&mut self, index: u32) {
        match self.clients[index as usize].phase {
            Phase::Leaving { answered } => self.left(index, answered),
            Phase::Joined => {
                if self.stage != Stage::Close {
                    let client = &self.clients[index as usize];
                    self.endings.count(client, NO_CLOSE, self.io.now());
                    let truncated = client.is_healthy() && client.security.is_cut_short();
                    self.endings.connections.truncated += u64::from(truncated);
                }
                if let Some(session) = self.clients[index as usize].speech.session() {
                    session.ended(None);
                }
                if self.returns(index) {
                    return self.lose(index);
                }
                self.lost(index);
            }
            Phase::Greeting { .. } => self.failed(index, Failure::Ended),
            _ => {}
        }
    }

    /// Gives a connection up at once.
    pub(super) fn lost(&mut self, index: u32) {
        let client = &mut self.clients[index as usize];
        match client.phase {
            Phase::Joined => self.present.leave(client),
            Phase::Leaving { .. } => self.endings.leaving -= 1,
            _ if client.speech.is_lost() => self.present.leave(client),
            _ => {}
        }
        let counted = self.stage != Stage::Close;
        self.traffic.give_up((index, client), 0, counted);
        client.reset();
    }

    /// A client that was leaving is out; `properly`: with the server's close frame and the end
    /// of the connection.
    pub(super) fn left(&mut self, index: u32, properly: bool) {
        if self.stage == Stage::Close {
            self.endings.connections.close_failed += u64::from(!properly);
        }
        if self.returns(index) {
            self.endings.leaving -= 1;
            self.present.enter(&self.clients[index as usize]);
            return self.lose(index);
        }
        self.lost(index);
        let churning = self.clients[index as usize].plan.role == Role::Churning;
        if self.stage.is_traffic() && churning {
            self.connect(index);
        }
    }

    /// The server broke this rule, so the connection is to be given up.
    pub(super) fn broke_protocol(&mut self, index: u32, rule: String) {
        let client = &self.clients[index as usize];
        let ends = client.is_joined() && self.stage != Stage::Close;
        self.endings
            .count_violation(client, rule, ends, self.io.now());
    }

    /// What the misbehaving do at this time.
    pub(super) fn misbehave(&mut self) {
        while let Some(index) = self.misbehaviour.pop_churner(self.io.now()) {
            match self.clients[index as usize].phase {
                Phase::Joined => {
                    self.endings.connections.leaves += 1;
                    self.leave(index);
                }
                Phase::Away => self.connect(index),
                _ => {}
            }
        }
        if self.misbehaviour.stall(self.io.now()) {
            for (client, index) in self.clients.iter_mut().zip(0..) {
                match client.plan.role {
                    Role::Stalling if client.paused => self.io.resume(index, client),
                    Role::Stalling => client.paused = client.is_joined() && !client.ending,
                    _ => {}
                }
            }
        }
    }

    pub(super) fn begin_close(&mut self) {
        self.stage = Stage::Close;
        self.ramp.end();
        for index in 0..self.clients.len() as u32 {
            let client = &mut self.clients[index as usize];
            let entering = client.phase.is_entering();
            self.ramp.under_way -= usize::from(entering);
            if client.speech.is_lost() {
                self.lost(index);
            } else if entering {
                client.reset();
            } else {
                self.leave(index);
            }
        }
    }

    /// Nobody is connected any more.
    pub(super) fn is_closed(&self) -> bool {
        self.present.all + self.endings.leaving + self.ramp.under_way == 0
    }
}
