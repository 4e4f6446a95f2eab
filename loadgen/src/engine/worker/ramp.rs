//! The opening of a thread's connections: which is next, and what came of those before.
//!
//! Owns the pace, the deadlines and the counts of the way in. Must not know sockets.
//! Invariant: no more are under way at a time than was asked for, and each client has one turn.

use std::net::SocketAddr;

use super::deadlines::Deadlines;
use crate::engine::clock::Nanos;
use crate::engine::recorder::Recorder;
use crate::engine::schedule::Period;
use crate::engine::socket::Failure;
use crate::outcome::Connections;
use crate::scenario::Scenario;

/// Failures of one thread after which it opens no further connections: this many, or a tenth of
/// its clients if that is more.
const FAILURES_MAX: u64 = 16;

/// How far the opening is.
#[derive(Debug)]
enum Opening {
    /// At most the first client was connected.
    First,
    /// All are, at a pace.
    Paced(Pace),
    /// All have had their turn.
    Over,
}

#[derive(Debug)]
struct Pace {
    start: Nanos,
    period: Period,
    /// The next client.
    next: usize,
    /// How many may be under way.
    concurrent: usize,
}

/// What the ramp says about the next client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Its turn.
    Of(u32),
    /// Its turn, but too many others have failed.
    Forfeit,
}

/// A thread's way in.
#[derive(Debug)]
pub(super) struct Ramp {
    /// Which of the threads this is, and of how many.
    thread: (usize, usize),
    clients: usize,
    opening: Opening,
    /// Where they connect to.
    pub(super) address: Option<SocketAddr>,
    pub(super) deadlines: Deadlines,
    pub(super) under_way: usize,
    pub(super) connect: Recorder,
    pub(super) tls: Recorder,
    pub(super) join: Recorder,
    pub(super) rejoin: Recorder,
    pub(super) resume: Recorder,
    /// What came of the connections, as far as they came in or did not.
    pub(super) connections: Connections,
}

impl Ramp {
    /// Of one of `threads`, which has so many clients.
    pub(super) fn new(index: usize, threads: usize, clients: usize) -> Self {
        Self {
            thread: (index, threads),
            clients,
            opening: Opening::First,
            address: None,
            deadlines: Deadlines::default(),
            under_way: 0,
            connect: Recorder::new(),
            tls: Recorder::new(),
            join: Recorder::new(),
            rejoin: Recorder::new(),
            resume: Recorder::new(),
            connections: Connections::default(),
        }
    }

    /// Every client has its turn from `start` on.
    pub(super) fn begin(&mut self, address: SocketAddr, start: Nanos, scenario: &Scenario) {
        let (_, threads) = self.thread;
        self.address = Some(address);
        self.opening = Opening::Paced(Pace {
            start,
            period: Period::of_rate(scenario.connect_rate),
            next: 0,
            concurrent: scenario.connect_concurrency.div_ceil(threads),
        });
    }

    /// When the next connection is to be opened; `Nanos::MAX`: not now.
    pub(super) fn due(&self) -> Nanos {
        match &self.opening {
            Opening::Paced(pace)
                if pace.next < self.clients && self.under_way < pace.concurrent =>
            {
                let (index, threads) = self.thread;
                let all = pace.next * threads + index;
                pace.start + pace.period.offset(all as u64)
            }
            _ => Nanos::MAX,
        }
    }

    /// Takes the next turn, if there is one at `now`.
    pub(super) fn pop(&mut self, now: Nanos) -> Option<Turn> {
        if self.due() > now {
            return None;
        }
        let Opening::Paced(pace) = &mut self.opening else {
            return None;
        };
        let client = pace.next;
        pace.next += 1;
        let limit = FAILURES_MAX.max(self.clients as u64 / 10);
        if self.connections.failed_total() > limit {
            return Some(Turn::Forfeit);
        }
        Some(Turn::Of(client as u32))
    }

    /// Whether only the first client has been connected yet.
    pub(super) fn is_at_the_first(&self) -> bool {
        matches!(self.opening, Opening::First)
    }

    /// Whether this is the time in which a failure is one of the ramp.
    pub(super) fn is_paced(&self) -> bool {
        matches!(self.opening, Opening::Paced(_))
    }

    /// Tells, once, that every client is in or has failed.
    pub(super) fn is_just_over(&mut self) -> bool {
        let over = matches!(&self.opening, Opening::Paced(pace) if pace.next == self.clients)
            && self.under_way == 0;
        if over {
            self.end();
        }
        over
    }

    /// Nobody has a turn any more.
    pub(super) fn end(&mut self) {
        self.opening = Opening::Over;
    }

    /// A client of the ramp did not get in.
    pub(super) fn count_failure(&mut self, failure: &Failure) {
        self.connections.refused += u64::from(failure.is_refusal());
        let failed = &mut self.connections.failed;
        *failed.entry(failure.to_string()).or_default() += 1;
    }
}
