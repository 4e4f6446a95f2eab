//! Connections without a seat, oldest first: who has to go when there is no room for anybody new.
//!
//! Whoever opens connections and never finishes a handshake could otherwise keep players out for as long as
//! `--handshake-timeout`, again and again.

use std::collections::VecDeque;

use super::connection::Phase;
use super::{DisconnectReason, Shard};
use crate::limits::NEWCOMER_GRACE_MS;

/// Slots in the order in which they were opened, each with its deadline, which tells it from a later connection in the
/// same slot. The front is always somebody without a seat, so this holds what came within one handshake timeout at most.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    queue: VecDeque<(u32, u32)>,
}

impl Shard {
    /// Remembers a connection that was just opened.
    pub(super) fn remember_newcomer(&mut self, slot: u32, deadline: u32) {
        self.forget_settled();
        self.newcomers.queue.push_back((slot, deadline));
    }

    /// Ends the connection that has been without a seat for longest, before its time. False if nobody has been for at
    /// least [`NEWCOMER_GRACE_MS`].
    pub fn evict_newcomer(&mut self) -> bool {
        self.forget_settled();
        let limits = &self.common.limits;
        let grace = NEWCOMER_GRACE_MS.min(limits.handshake_ms / 2);
        let Some(&(slot, deadline)) = self.newcomers.queue.front() else {
            return false;
        };
        let age = limits
            .handshake_ms
            .wrapping_sub(deadline.wrapping_sub(self.now32()));
        if (age as i32) < grace as i32 {
            return false;
        }
        self.newcomers.queue.pop_front();
        self.drop_connection(slot, DisconnectReason::HandshakeTimeout);
        true
    }

    fn forget_settled(&mut self) {
        let connections = &self.connections;
        let settled = |&(slot, deadline): &(u32, u32)| {
            connections.get(slot as usize).is_none_or(|connection| {
                !matches!(connection.phase, Phase::Hello | Phase::Handshake(_))
                    || connection.deadline != deadline
            })
        };
        while self.newcomers.queue.front().is_some_and(settled) {
            self.newcomers.queue.pop_front();
        }
    }
}
