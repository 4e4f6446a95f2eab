//! End to end: the real binary, real sockets, clients that nobody here wrote.
//!
//! Every test starts its own relay on a free port. Nothing here sleeps: a test waits for an event, and
//! [`DEADLINE`] only says when to give up on one that never comes.

mod addresses;
mod admin;
mod autobahn;
mod browser;
mod clients;
mod conformance;
mod deploy;
mod drain;
mod endings;
mod finding;
mod gate;
mod handshake;
mod http;
mod http2;
mod limits;
mod lingering;
mod logs;
mod observability;
mod openapi;
mod players;
mod proxies;
mod relay;
mod second;
mod secure;
mod sessions;
mod slow;
mod startup;
mod stream;
mod takeover;
mod tickets;
mod v1;
mod violations;
mod wire;

use std::time::{Duration, Instant};

/// How long an event may take before the test fails. Far above what any of them needs, also on a machine
/// that is busy with something else.
const DEADLINE: Duration = Duration::from_secs(30);

/// Bounds a loop that asks again and again until an answer changes.
struct Patience {
    start: Instant,
    waiting_for: &'static str,
}

fn patience(waiting_for: &'static str) -> Patience {
    Patience {
        start: Instant::now(),
        waiting_for,
    }
}

impl Patience {
    /// To be called in each round.
    fn check(&self) {
        assert!(
            self.start.elapsed() < DEADLINE,
            "in vain: {}",
            self.waiting_for
        );
    }
}
