//! What must be true of a snapshot's tail: what was said since, for the host of then and from it.
//!
//! Owns: how far the tail that one guest is told has come in what was said. Must not know: who is in the room. Invariant: where a
//! change of hosts stands among what was said nobody knows, so what is between it and its neighbours may be of any host.

use super::ledger::GuestId;
use super::said::Said;

/// A snapshot, as its host made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Saved {
    /// Whose it is, and who that is in its room.
    pub(crate) guest: GuestId,
    pub(crate) host: u32,
    /// It had heard all that was for it before this place.
    pub(crate) heard: usize,
    /// What it had said itself from there on and before this place may be in it, or not.
    pub(crate) said: usize,
}

/// A tail that is being told.
#[derive(Debug)]
pub(crate) struct Tail {
    saved: Saved,
    /// Nothing before this place is still to come.
    next: usize,
    /// The host when the last of what was said was told, and all that came after it since.
    hosts: Vec<u32>,
}

impl Tail {
    pub(crate) fn behind(saved: Saved) -> Self {
        Self {
            saved,
            next: saved.heard,
            hosts: vec![saved.host],
        }
    }

    /// There is another host from here on.
    pub(crate) fn passes_to(&mut self, host: u32) {
        self.hosts.push(host);
    }

    /// Whether this must be told, whoever of them is the host. What it said to some alone may have been refused, and of what
    /// says nothing nobody knows which one was told.
    fn is_due(&self, at: usize, said: &Said) -> bool {
        let is_from =
            |host: u32| said.author == host && at >= self.saved.said && said.is_for_many();
        let is_his = |host: u32| said.is_for(host) || is_from(host);
        let may_be_missing = said.may_be_missing() || said.is_empty();
        !may_be_missing && self.hosts.iter().copied().all(is_his)
    }

    /// This was told: is it what comes next?
    pub(crate) fn told(&mut self, all: &[Said], author: u32, what: &[u8]) -> bool {
        let rest = all.iter().enumerate().skip(self.next);
        for (at, said) in rest {
            let is_his = |host: u32| said.is_for(host) || said.author == host;
            let is_that = said.author == author && said.what == what;
            if is_that && self.hosts.iter().copied().any(is_his) {
                self.next = at + 1;
                self.hosts.drain(..self.hosts.len() - 1);
                return true;
            }
            if self.is_due(at, said) {
                return false;
            }
        }
        false
    }

    /// That was all, up to this place: is anything missing?
    pub(crate) fn is_whole(&self, all: &[Said], until: usize) -> bool {
        let mut rest = all[..until].iter().enumerate().skip(self.next);
        !rest.any(|(at, said)| self.is_due(at, said))
    }
}
