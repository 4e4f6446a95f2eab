//! How the control plane itself does.
//!
//! Invariant: it is counted also where a request fails, and stays when the runtime begins anew.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

/// Why there is no answer, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Too many ask this reactor already.
    Full(usize),
    /// This one has ended.
    Gone(usize),
    /// This one did not answer in time.
    Late(usize),
}

/// Counts, since the process began.
#[derive(Debug, Default)]
pub struct Health {
    /// Times that it failed as a whole and began anew.
    failures: AtomicU64,
    /// Requests that were answered, refused (4xx), or could not be answered (5xx).
    requests: [AtomicU64; 3],
    /// Questions that no reactor answered: too many asked, it had ended, or it took too long.
    unanswered: [AtomicU64; 3],
    /// Connections now.
    connections: AtomicU64,
}

/// A connection, for as long as it is served.
#[derive(Debug)]
pub(super) struct Served<'h>(&'h Health);

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Health {
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answered(&self, status: StatusCode) {
        let kind = match status {
            status if status.is_server_error() => 2,
            status if status.is_client_error() => 1,
            _ => 0,
        };
        self.requests[kind].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unanswered(&self, why: Unanswered) {
        let kind = match why {
            Unanswered::Full(_) => 0,
            Unanswered::Gone(_) => 1,
            Unanswered::Late(_) => 2,
        };
        self.unanswered[kind].fetch_add(1, Ordering::Relaxed);
    }

    #[must_use]
    pub(super) fn serves(&self) -> Served<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Served(self)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Requests, by what came of them.
    pub(super) fn requests(&self) -> [(&'static str, u64); 3] {
        named(["answered", "refused", "failed"], &self.requests)
    }

    /// Questions that no reactor answered, by why.
    pub(super) fn questions_unanswered(&self) -> [(&'static str, u64); 3] {
        named(["full", "gone", "late"], &self.unanswered)
    }
}

fn named(names: [&'static str; 3], counts: &[AtomicU64; 3]) -> [(&'static str, u64); 3] {
    std::array::from_fn(|kind| (names[kind], counts[kind].load(Ordering::Relaxed)))
}
