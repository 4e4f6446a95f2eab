//! Players who lose their connection and come back.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::client::{Next, after};

use super::hear::News;
use super::leave::NO_CLOSE;
use super::traffic::Traffic;
use super::{Stage, Worker};
use crate::engine::client::Phase;
use crate::engine::clock::Nanos;
use crate::engine::plan::Role;
use crate::engine::socket::{self, Failure};

/// Within what time a player tries again, at a random moment (section 11 of docs/PROTOCOL.md).
const BACK_WITHIN: Nanos = 1_000_000_000;

impl Worker {
    /// Cuts the connections whose turn it is.
    pub(super) fn cut_connections(&mut self) {
        while let Some(index) = self.misbehaviour.pop_drop(self.io.now()) {
            let client = &self.clients[index as usize];
            if client.is_joined()
                && let Some(stream) = &client.stream
            {
                socket::reset_at_close(stream);
                self.endings.connections.drops += 1;
                self.lose(index);
            }
        }
    }

    /// Whether a player whose connection the server has ended comes back, as a game's would. The healthy do not: theirs
    /// should not have ended, and what they then miss is the server's fault.
    pub(super) fn returns(&mut self, index: u32) -> bool {
        let client = &mut self.clients[index as usize];
        let is_slow = matches!(client.plan.role, Role::Slow | Role::Stalling);
        let may = client.speech.session().is_some_and(|s| s.may_return());
        is_slow && may && self.stage.is_traffic()
    }

    /// The connection is gone, the player is not: it will be back.
    pub(super) fn lose(&mut self, index: u32) {
        let now = self.io.now();
        let client = &mut self.clients[index as usize];
        // What was begun is kept by the machine, and sent again.
        self.traffic.count_begun(client, now);
        client.disconnect();
        if let Some(session) = client.speech.session() {
            session.lose();
        }
        let (room, member) = (client.plan.room, client.plan.member);
        let Traffic {
            values, measure, ..
        } = &mut self.traffic;
        measure.excuse_values(values.ledger.row(room, member).begin_anew());
        self.come_back_later(index);
    }

    fn come_back_later(&mut self, index: u32) {
        let wait = self.random.u64(..BACK_WITHIN);
        let client = &mut self.clients[index as usize];
        self.wakes.set(self.io.now() + wait, index, client);
    }

    /// It is time for a player to come back.
    pub(super) fn come_back(&mut self, index: u32) {
        if self.stage != Stage::Close && matches!(self.clients[index as usize].phase, Phase::Away) {
            self.connect(index);
        }
    }

    /// A player did not get back in.
    pub(super) fn not_back(&mut self, index: u32, failure: &Failure) {
        let code = match failure {
            Failure::Closed(code) => Some(*code),
            Failure::Broke(_) => Some(CloseCode::MALFORMED_PACKET),
            _ => None,
        };
        let client = &mut self.clients[index as usize];
        client.disconnect();
        if let Some(session) = client.speech.session() {
            session.lose();
        }
        self.endings.connections.resumes_failed += 1;
        if after(code) == Next::Stop {
            let code = code.map_or(NO_CLOSE, |code| code.0);
            let client = &self.clients[index as usize];
            if self.stage != Stage::Close {
                self.endings.count(client, code, self.io.now());
            }
            return self.lost(index);
        }
        self.come_back_later(index);
    }

    /// A player is back, on a connection begun at `connecting_since`.
    pub(super) fn back(&mut self, index: u32, connecting_since: Nanos) {
        let client = &mut self.clients[index as usize];
        client.phase = Phase::Joined;
        client.paused = client.plan.role == Role::Slow && self.stage.is_traffic();
        self.ramp.under_way -= 1;
        let Some(session) = client.speech.session() else {
            return;
        };
        if session.settle() {
            let took = self.io.now() - connecting_since;
            self.ramp.resume.record(took);
            self.endings.connections.resumes += 1;
        }
    }

    /// What a player has heard about itself.
    pub(super) fn take_news(&mut self, index: u32, news: &News) {
        let client = &self.clients[index as usize];
        let connections = &mut self.endings.connections;
        match (news.resets, client.is_healthy()) {
            (0, _) => {}
            (resets, true) => connections.resets += resets,
            (resets, false) => connections.resets_misbehaving += resets,
        }
        self.traffic.take_back(client, news.dropped);
        if let Some(term) = news.crowned
            && self.settings.scenario.play.loses_hosts()
            && let Some(session) = self.clients[index as usize].speech.session()
        {
            session.crowned(term);
        }
    }
}
