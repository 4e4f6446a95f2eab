//! The measured time of one thread: its intervals, and what the thread used in it.

use crossbeam_channel::TrySendError;

use super::Worker;
use crate::engine::clock::Nanos;
use crate::engine::link::{Event, Gauges, IntervalPart, ThreadUsage};
use crate::engine::recorder::Recorder;
use crate::engine::usage;
use crate::outcome::Counts;

/// A poll that does not sleep takes less than this; if more time has passed, another program had
/// the core.
const SPIN_MAX: Nanos = 5_000;

/// Where a thread is on the time line.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Bytes read and written, ever.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    from: Nanos,
    interval: Nanos,
    /// When the current interval ends, or the measured time begins; `Nanos::MAX`: never.
    due: Nanos,
    began: Option<Reading>,
    ended: Option<Reading>,
    /// The healthy counts when the current interval began.
    counted: Counts,
    max_lag: Nanos,
    interval_lag: Nanos,
    max_iteration: Nanos,
    /// Polled without sleeping and without anything to do, ever.
    idle: Nanos,
}

/// What a thread had used at some time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Nanos,
    bytes_in: u64,
    bytes_out: u64,
    cpu: Nanos,
    waiting: Nanos,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            bytes_in: 0,
            bytes_out: 0,
            from: Nanos::MAX,
            interval: Nanos::MAX,
            due: Nanos::MAX,
            began: None,
            ended: None,
            counted: Counts::default(),
            max_lag: 0,
            interval_lag: 0,
            max_iteration: 0,
            idle: 0,
        }
    }
}

impl Timeline {
    /// The measured time will begin at `from`.
    pub(super) fn begin(&mut self, from: Nanos, interval: Nanos) {
        self.from = from;
        self.interval = interval;
        self.due = from;
    }

    /// When there is something to do.
    #[inline]
    pub(super) fn due(&self) -> Nanos {
        self.due
    }

    /// The generator was this late with something; `measured`: that belongs to the measured time,
    /// whenever it is done.
    #[inline]
    pub(super) fn lag(&mut self, lag: Nanos, measured: bool, gauges: &Gauges) {
        self.interval_lag = self.interval_lag.max(lag);
        if measured {
            self.max_lag = self.max_lag.max(lag);
        }
        gauges.raise_lag(lag);
    }

    /// An iteration took this long, without its sleep.
    #[inline]
    pub(super) fn iteration(&mut self, took: Nanos) {
        if self.is_measuring() {
            self.max_iteration = self.max_iteration.max(took);
        }
    }

    /// The thread was awake with nothing to do.
    #[inline]
    pub(super) fn idled(&mut self, time: Nanos) {
        self.idle += time.min(SPIN_MAX);
    }

    /// Whether this is the measured time.
    #[inline]
    pub(super) fn is_measuring(&self) -> bool {
        self.began.is_some() && self.ended.is_none()
    }

    fn read(&self, at: Nanos) -> Reading {
        Reading {
            at,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            // Waiting for the right microsecond is not work that leaves no time for others.
            cpu: usage::thread_cpu().saturating_sub(self.idle),
            waiting: usage::thread_waiting(),
        }
    }

    /// What was used between the ends of the measured time.
    pub(super) fn usage(&self) -> ThreadUsage {
        let (Some(began), Some(ended)) = (self.began, self.ended) else {
            return ThreadUsage::default();
        };
        ThreadUsage {
            bytes_in: ended.bytes_in - began.bytes_in,
            bytes_out: ended.bytes_out - began.bytes_out,
            cpu: ended.cpu.saturating_sub(began.cpu),
            waiting: ended.waiting.saturating_sub(began.waiting),
            wall: ended.at - began.at,
            max_lag: self.max_lag,
            max_iteration: self.max_iteration,
        }
    }
}

impl Worker {
    /// Begins and ends what has to begin or end at this time.
    pub(super) fn timeline_due(&mut self) {
        let now = self.io.now();
        if now >= self.traffic.measure.window.to && self.timeline.is_measuring() {
            self.timeline.ended = Some(self.timeline.read(now));
            let healthy = &mut self.traffic.measure.tally.healthy;
            healthy.delivered_in_time = healthy.delivered;
        }
        if now < self.timeline.due {
            return;
        }
        if self.timeline.began.is_none() {
            if self.traffic.measure.window.from == self.traffic.measure.window.to {
                self.timeline.due = Nanos::MAX;
                return;
            }
            self.timeline.began = Some(self.timeline.read(now));
            self.timeline.interval_lag = 0;
            self.timeline.due = self.timeline.from + self.timeline.interval;
            return;
        }
        let since = now - self.timeline.from;
        let index = since / self.timeline.interval;
        self.interval_ended(index - 1);
        self.timeline.due = self.timeline.from + (index + 1) * self.timeline.interval;
    }

    /// The last interval ends with the run.
    pub(super) fn timeline_end(&mut self) {
        self.timeline_due();
        if self.timeline.began.is_some() {
            let since = self.io.now() - self.timeline.from;
            self.interval_ended(since / self.timeline.interval);
        }
    }

    fn interval_ended(&mut self, index: u64) {
        let counts = self.traffic.measure.tally.healthy;
        let before = self.timeline.counted;
        let next = self.ends.spare.try_recv();
        let next = next.unwrap_or_else(|_| Box::new(Recorder::new()));
        let part = IntervalPart {
            index: index as usize,
            latency: std::mem::replace(&mut self.traffic.measure.latency, next),
            // What was withdrawn may have been offered in the interval before.
            offered: counts.offered.saturating_sub(before.offered),
            sent: counts.sent - before.sent,
            delivered: counts.delivered - before.delivered,
            max_lag: self.timeline.interval_lag,
        };
        let event = Event::Interval(Box::new(part));
        if let Err(TrySendError::Full(Event::Interval(part))) = self.ends.events.try_send(event) {
            // The conductor is busy: this interval goes on.
            self.traffic.measure.latency = part.latency;
            return;
        }
        self.timeline.counted = counts;
        self.timeline.interval_lag = 0;
    }
}
