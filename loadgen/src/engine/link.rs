//! What the conductor and the threads say to each other.
//!
//! Owns the shapes. Must not know what either side does with them.
//! Invariant: channels are bounded, and a thread never waits for the conductor.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::clock::Nanos;
use super::measure::{Tally, Window};
use super::recorder::Recorder;
use super::socket::Failure;
use crate::outcome::Connections;

/// From the conductor.
#[derive(Debug)]
pub(crate) enum Command {
    /// Connect the first client only.
    First(SocketAddr),
    /// Connect all others from `start` on.
    Ramp { address: SocketAddr, start: Nanos },
    /// Send from `start` on.
    Traffic { start: Nanos, window: Window },
    /// End the traffic now.
    Stop,
    /// Close every connection, then end.
    Close,
}

/// From a thread.
#[derive(Debug)]
pub(crate) enum Event {
    /// The first client is in, or not.
    First(Result<(), Failure>),
    /// Every client is in or has failed.
    Ramped,
    /// A part of the time line.
    Interval(Box<IntervalPart>),
    /// No healthy client of the thread is connected any more, though there should be traffic.
    Deserted,
    /// The traffic has ended and everything has arrived.
    Drained,
    /// The end.
    Done(Box<Part>),
}

/// One thread's part of an interval.
#[derive(Debug)]
pub(crate) struct IntervalPart {
    /// Which interval of the measured time, from 0.
    pub(crate) index: usize,
    /// Latencies of the deliveries that arrived in it.
    pub(crate) latency: Box<Recorder>,
    pub(crate) offered: u64,
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    pub(crate) max_lag: Nanos,
}

/// One thread's part of the outcome.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) tally: Tally,
    pub(crate) connect: Recorder,
    pub(crate) tls: Recorder,
    pub(crate) join: Recorder,
    pub(crate) rejoin: Recorder,
    pub(crate) resume: Recorder,
    pub(crate) state_age: Recorder,
    pub(crate) host_change: Recorder,
    pub(crate) uncorrected: Recorder,
    pub(crate) misbehaving: Recorder,
    pub(crate) send_lag: Recorder,
    pub(crate) receive_wait: Recorder,
    pub(crate) connections: Connections,
    /// Close codes of healthy clients that lost their connection.
    pub(crate) ended_codes: BTreeMap<u16, u64>,
    /// When the first of them did; `Nanos::MAX`: none.
    pub(crate) first_ended: Nanos,
    pub(crate) accounting_overflow: bool,
    pub(crate) usage: ThreadUsage,
}

/// What a thread used between the ends of the measured time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ThreadUsage {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) cpu: Nanos,
    /// Runnable, but without a core.
    pub(crate) waiting: Nanos,
    pub(crate) wall: Nanos,
    pub(crate) max_lag: Nanos,
    pub(crate) max_iteration: Nanos,
}

/// What a thread shows of itself while it runs. Written by one thread, on cache lines of its
/// own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Gauges {
    pub(crate) connected: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) missing: AtomicU64,
    pub(crate) wrong: AtomicU64,
    /// The longest own lag since it was last taken.
    pub(crate) lag: AtomicU64,
}

impl Gauges {
    /// Sets a gauge.
    #[inline]
    pub(crate) fn set(gauge: &AtomicU64, value: u64) {
        gauge.store(value, Ordering::Relaxed);
    }

    /// This was the lag just now.
    #[inline]
    pub(crate) fn raise_lag(&self, lag: Nanos) {
        // Not one atomic step: against the conductor's taking, either may win.
        if lag > self.lag.load(Ordering::Relaxed) {
            self.lag.store(lag, Ordering::Relaxed);
        }
    }

    /// The longest lag since the last call.
    pub(crate) fn take_lag(&self) -> Nanos {
        self.lag.swap(0, Ordering::Relaxed)
    }

    /// Reads a gauge.
    pub(crate) fn get(gauge: &AtomicU64) -> u64 {
        gauge.load(Ordering::Relaxed)
    }
}
