//! Connections without a seat, oldest first: who has to go when there is no room for anybody new.
//!
//! Whoever opens connections and never finishes a handshake could otherwise keep players out for as long as
//! `--handshake-timeout`, again and again.

use std::collections::VecDeque;

use super::{EndReason, Shard};
use crate::limits::NEWCOMER_GRACE_MS;

/// In the order in which they came. The front is always somebody without a seat, so this holds what came within one
/// handshake timeout at most.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    queue: VecDeque<Newcomer>,
}

#[derive(Debug)]
struct Newcomer {
    slot: u32,
    /// Tells it from a later connection in the same slot.
    id: u64,
    /// When it came (ms).
    since: u64,
}

/// Why a connection is closed as it comes, without an answer, which would cost what there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// As many connections as there may be have no seat, or are told why.
    Crowded,
    /// The mailbox of the reactor that it was dealt to is full.
    Undealt,
}

impl Shard {
    /// A connection that has no slot is closed.
    pub fn leave_unanswered(&mut self, why: Unanswered) {
        let counters = &mut self.counters;
        match why {
            Unanswered::Crowded => counters.crowded += 1,
            Unanswered::Undealt => counters.undealt += 1,
        }
        self.tell_unanswered(why);
    }

    /// Remembers a connection that was just opened.
    pub(super) fn remember_newcomer(&mut self, slot: u32) {
        self.forget_settled();
        let id = self.connections[slot as usize].who.id();
        self.newcomers.queue.push_back(Newcomer {
            slot,
            id,
            since: self.now,
        });
    }

    /// Ends the connection that has been without a seat for longest, before its time. False if nobody has been for at
    /// least [`NEWCOMER_GRACE_MS`].
    pub fn evict_newcomer(&mut self) -> bool {
        self.forget_settled();
        let grace = NEWCOMER_GRACE_MS.min(self.common.limits.handshake_ms / 2);
        let oldest = self.newcomers.queue.front();
        let Some(&Newcomer { slot, .. }) =
            oldest.filter(|newcomer| self.now >= newcomer.since + u64::from(grace))
        else {
            return false;
        };
        self.newcomers.queue.pop_front();
        self.drop_connection(slot, EndReason::HandshakeTimeout);
        true
    }

    /// Ends a connection whose TLS handshake can't be complete in time, before more is spent on it.
    pub fn refuse_handshake(&mut self, slot: u32) {
        if self.handshake(slot).is_some() {
            self.drop_connection(slot, EndReason::HandshakeRefused);
        }
    }

    fn forget_settled(&mut self) {
        let connections = &self.connections;
        let settled = |newcomer: &Newcomer| {
            connections
                .get(newcomer.slot as usize)
                .is_none_or(|connection| !connection.is_new() || connection.who.id() != newcomer.id)
        };
        while self.newcomers.queue.front().is_some_and(settled) {
            self.newcomers.queue.pop_front();
        }
    }
}
