//! Tickets whose signatures were found good: who comes back with one does not cost another verification.
//!
//! Owns: what they say, by their hashes. Must not know: keys, the time. Invariants: only what a key has signed gets in, so
//! forgers fill nothing; what was asked for last stays longest; the bound is that of `limits`.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;

use super::claims::Claims;
use crate::limits::{TICKET_SHARES, TICKETS_REMEMBERED};

/// What a ticket is known by: the ticket itself would be a secret kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hash([u8; 32]);

impl Hash {
    pub(super) fn of(ticket: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, ticket.as_bytes()).as_ref());
        Self(hash)
    }
}

type Claimed = HashMap<Hash, Arc<Claims>>;

/// A part of them. What was not asked for while `recent` filled up is forgotten.
#[derive(Debug, Default)]
struct Share {
    recent: Claimed,
    earlier: Claimed,
}

impl Share {
    fn remember(&mut self, hash: Hash, claims: Arc<Claims>) {
        // Two generations of that many at most.
        if self.recent.len() >= TICKETS_REMEMBERED / TICKET_SHARES / 2 {
            self.earlier = std::mem::take(&mut self.recent);
        }
        self.recent.insert(hash, claims);
    }
}

/// All of them, in shares with a lock each, so that reactors seldom wait for one another.
#[derive(Debug, Default)]
pub(super) struct Verified {
    shares: [Mutex<Share>; TICKET_SHARES],
}

impl Verified {
    /// What the ticket with this hash says, if its signature is known to be good.
    pub(super) fn find(&self, hash: &Hash) -> Option<Arc<Claims>> {
        let mut share = self.share(hash).lock();
        if let Some(claims) = share.recent.get(hash) {
            return Some(Arc::clone(claims));
        }
        let claims = share.earlier.remove(hash)?;
        share.remember(*hash, Arc::clone(&claims));
        Some(claims)
    }

    /// The signature of the ticket with this hash is good.
    pub(super) fn remember(&self, hash: Hash, claims: &Arc<Claims>) {
        self.share(&hash).lock().remember(hash, Arc::clone(claims));
    }

    fn share(&self, hash: &Hash) -> &Mutex<Share> {
        &self.shares[usize::from(hash.0[0]) % TICKET_SHARES]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let shares = self.shares.iter().map(Mutex::lock);
        shares
            .map(|share| share.recent.len() + share.earlier.len())
            .sum()
    }
}
