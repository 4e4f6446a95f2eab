//! What a run says about itself while it goes on.
//!
//! Owns the shape of it. Must not know who looks, nor how it is shown.
//! Invariant: everything here is so far; nothing is corrected afterwards.

use std::time::Duration;

/// What the run is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Opening connections.
    Ramp,
    /// All connected, nobody sends.
    Settle,
    /// Traffic that is not measured.
    Warmup,
    /// The measured time.
    Measure,
    /// Waiting for stragglers.
    Drain,
    /// Closing every connection.
    Close,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// What it is busy with.
    pub stage: Stage,
    /// Since that stage began.
    pub stage_elapsed: Duration,
    /// How long that stage is planned to take (at most, for ramp, drain and close).
    pub stage_planned: Duration,
    /// Clients that are connected now.
    pub connected: usize,
    /// Clients that could not connect so far.
    pub connect_failed: u64,
    /// Clients of the run.
    pub clients: usize,
    /// Messages written so far, warm-up included.
    pub sent: u64,
    /// Deliveries so far, warm-up and misbehaving clients included.
    pub delivered: u64,
    /// Messages per second since the last snapshot.
    pub send_rate: f64,
    /// Deliveries per second since the last snapshot.
    pub delivery_rate: f64,
    /// Median latency of the last whole interval of the measured time, if there was one.
    pub p50: Option<Duration>,
    /// 99th percentile of the same.
    pub p99: Option<Duration>,
    /// Deliveries that are missing so far although a later one has come.
    pub missing: u64,
    /// Messages that were corrupted, leaked, echoed or doubled so far.
    pub wrong: u64,
    /// The generator's longest own lag since the last snapshot.
    pub lag: Duration,
}

/// Who is told about a run's progress, about four times a second, from the thread that called
/// [`super::run`]. What it does delays only the next snapshot.
pub trait Progress {
    /// How far the run is.
    fn update(&self, snapshot: &Snapshot);
}

/// Nobody looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn update(&self, _: &Snapshot) {}
}
