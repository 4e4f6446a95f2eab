//! How connections end: those that leave, and what the server ended itself.
//!
//! Owns who is leaving and the counts of the ways out. Must not know sockets, nor who misbehaves when.
//! Invariant: an end that the server made is counted once, and not in the close stage.

use std::collections::BTreeMap;

use super::deadlines::Deadlines;
use crate::engine::client::Client;
use crate::engine::clock::Nanos;
use crate::outcome::Connections;

/// How long the closing handshake of one client may take.
const LEAVE_TIMEOUT: Nanos = 2_000_000_000;

/// A thread's ways out.
#[derive(Debug)]
pub(super) struct Endings {
    pub(super) deadlines: Deadlines,
    /// Clients whose close frame is on its way.
    pub(super) leaving: usize,
    /// What came of the connections, as far as they ended.
    pub(super) connections: Connections,
    /// Close codes of healthy clients that lost their connection, and when the first did.
    pub(super) codes: BTreeMap<u16, u64>,
    pub(super) first: Nanos,
}

impl Endings {
    /// Nobody has left.
    pub(super) fn new() -> Self {
        Self {
            deadlines: Deadlines::default(),
            leaving: 0,
            connections: Connections::default(),
            codes: BTreeMap::new(),
            first: Nanos::MAX,
        }
    }

    /// The client leaves.
    pub(super) fn begin(&mut self, index: u32, client: &Client, now: Nanos) {
        self.leaving += 1;
        let deadline = now.saturating_add(LEAVE_TIMEOUT);
        self.deadlines.set(deadline, index, client);
    }

    /// The server ended a connection that should have lasted.
    pub(super) fn count(&mut self, client: &Client, code: u16, now: Nanos) {
        self.count_end(client, now);
        if client.is_healthy() {
            *self.codes.entry(code).or_default() += 1;
        }
        *self.connections.close_codes.entry(code).or_default() += 1;
    }

    /// The server broke this rule; `ends`: the connection, which should have lasted, ends by that.
    pub(super) fn count_violation(
        &mut self,
        client: &Client,
        rule: String,
        ends: bool,
        now: Nanos,
    ) {
        *self.connections.violations.entry(rule).or_default() += 1;
        if ends {
            self.count_end(client, now);
        }
    }

    fn count_end(&mut self, client: &Client, now: Nanos) {
        if client.is_healthy() {
            self.connections.disconnected += 1;
            self.first = self.first.min(now);
        } else {
            self.connections.disconnected_misbehaving += 1;
        }
    }
}
