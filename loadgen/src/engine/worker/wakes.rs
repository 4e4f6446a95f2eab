//! When players of `roomcast.v1` have something to do although nothing has come for them.
//!
//! Owns the queue. Must not know what is to be done.
//! Invariant: each player has at most one entry that counts, and it is not later than what it was set to last.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::client::Client;
use crate::engine::clock::Nanos;

/// A thread's players, by when each is looked after.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    heap: BinaryHeap<Reverse<(Nanos, u32)>>,
}

impl Wakes {
    /// The client is to be looked after at `at`. (An earlier time that was set stands: who comes too early sets anew.)
    #[inline]
    pub(super) fn set(&mut self, at: Nanos, index: u32, client: &mut Client) {
        if let Some(session) = client.speech.session()
            && at < session.wake_at
        {
            session.wake_at = at;
            self.heap.push(Reverse((at, index)));
        }
    }

    /// When the next is; `Nanos::MAX`: never.
    #[inline]
    pub(super) fn due(&self) -> Nanos {
        self.heap.peek().map_or(Nanos::MAX, |Reverse((at, _))| *at)
    }

    /// Takes the next client whose time has come, and when that was.
    pub(super) fn pop(&mut self, now: Nanos, clients: &mut [Client]) -> Option<(Nanos, u32)> {
        while self.due() <= now {
            let Reverse((at, index)) = self.heap.pop()?;
            if let Some(session) = clients[index as usize].speech.session()
                && session.wake_at == at
            {
                session.wake_at = Nanos::MAX;
                return Some((at, index));
            }
        }
        None
    }
}
