//! What has to happen by a certain time, or else.
//!
//! Owns the queue. Must not know what happens then.
//! Invariant: all of a queue's deadlines are equally far away when they are set, so that they are in order.

use std::collections::VecDeque;

use crate::engine::client::Client;
use crate::engine::clock::Nanos;

/// Deadlines of clients, each for one attempt of theirs.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// (Deadline, client, attempt).
    queue: VecDeque<(Nanos, u32, u32)>,
}

impl Deadlines {
    /// What the client attempts now has until `at`.
    pub(super) fn set(&mut self, at: Nanos, index: u32, client: &Client) {
        self.queue.push_back((at, index, client.attempt));
    }

    /// When the next is; `Nanos::MAX`: never.
    #[inline]
    pub(super) fn due(&self) -> Nanos {
        self.queue.front().map_or(Nanos::MAX, |&(at, ..)| at)
    }

    /// Takes the next client whose time was up by `now`, and whose attempt is still the same.
    pub(super) fn pop(&mut self, now: Nanos, clients: &[Client]) -> Option<u32> {
        while self.due() <= now {
            let (_, index, attempt) = self.queue.pop_front()?;
            if clients[index as usize].attempt == attempt {
                return Some(index);
            }
        }
        None
    }
}
