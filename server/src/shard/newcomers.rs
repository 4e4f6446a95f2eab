//! Connections without a seat, oldest first: who has to go when there is no room for anybody new.
//!
//! Whoever opens connections and never finishes a handshake could otherwise keep players out for as long as
//! `--handshake-timeout`, again and again.

use std::collections::VecDeque;

use slab::Slab;

use super::connection::Connection;
use super::{EndReason, Shard};
use crate::limits::NEWCOMER_GRACE_MS;

/// In the order in which they came. The front is always somebody without a seat. That may be one that asks again and again, and
/// is in nobody's way: so those behind it that are settled are looked for as soon as they may be half of all.
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

impl Newcomer {
    /// Whether it is gone, or has a seat.
    fn is_settled(&self, connections: &Slab<Connection>) -> bool {
        let connection = connections.get(self.slot as usize);
        connection.is_none_or(|it| !it.is_new() || it.who.id() != self.id)
    }
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
        if self.newcomers.queue.len() > 2 * self.connections.len() {
            let connections = &self.connections;
            let queue = &mut self.newcomers.queue;
            queue.retain(|newcomer| !newcomer.is_settled(connections));
        }
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
        let queue = &mut self.newcomers.queue;
        while queue
            .pop_front_if(|newcomer| newcomer.is_settled(&self.connections))
            .is_some()
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::Phase;
    use super::super::fixture::members;
    use super::*;
    use crate::transport::Port;

    /// One connection has no seat and stays, for it asks again and again: those behind it are forgotten all the same.
    #[test]
    fn newcomers_are_no_more_than_connections_suggest() {
        let mut shard = members();
        let asks = shard.accept(Port::Plain, None);
        shard.connections[asks as usize].phase = Phase::Answered;
        for _ in 0..1_000 {
            let slot = shard.accept(Port::Plain, None);
            shard.drop_connection(slot, EndReason::ConnectionLost);
            shard.reap(|_| {});
        }
        let queue = &shard.newcomers.queue;
        let most = 2 * (shard.connections.len() + 1);
        assert!(queue.len() <= most + 1, "{}", queue.len());
        assert_eq!(queue.front().map(|it| it.slot), Some(asks));
    }
}
