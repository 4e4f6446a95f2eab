//! Puts the threads' parts together.
//!
//! Owns the merging. Must not know how the parts came about.
//! Invariant: no count is lost: what the parts sum up to is what the outcome says.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::Nanos;
use super::link::{IntervalPart, Part, ThreadUsage};
use super::measure::Tally;
use super::recorder::Recorder;
use crate::outcome::{Connections, GeneratorUsage, Interval, SparseHistogram};

/// The time line as it grows.
#[derive(Debug)]
pub(super) struct TimelineParts {
    intervals: BTreeMap<usize, Whole>,
    /// Latency of all intervals.
    pub(super) latency: Recorder,
    threads: usize,
}

/// An interval, of the threads that have spoken so far.
#[derive(Debug, Default)]
struct Whole {
    threads: usize,
    counts: BTreeMap<Nanos, u64>,
    offered: u64,
    sent: u64,
    delivered: u64,
    max_lag: Nanos,
}

impl TimelineParts {
    /// Nothing yet, of this many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            intervals: BTreeMap::new(),
            latency: Recorder::new(),
            threads,
        }
    }

    /// Adds a thread's part of an interval.
    pub(super) fn add(&mut self, part: &IntervalPart) {
        self.latency.add(&part.latency);
        let whole = self.intervals.entry(part.index).or_default();
        for (value, count) in part.latency.occupied() {
            *whole.counts.entry(value).or_default() += count;
        }
        whole.threads += 1;
        whole.offered += part.offered;
        whole.sent += part.sent;
        whole.delivered += part.delivered;
        whole.max_lag = whole.max_lag.max(part.max_lag);
    }

    /// The latencies of the last interval of which every thread has spoken.
    pub(super) fn last(&self) -> Option<SparseHistogram> {
        let mut whole = self.intervals.values().rev();
        let last = whole.find(|whole| whole.threads == self.threads)?;
        (!last.counts.is_empty()).then(|| sparse(&last.counts))
    }

    /// The time line. `ends` is how long the measured time was: the interval in which it ended
    /// is cut there, those after it belong to the drain and are left out at the end if nothing
    /// arrived in them. `server_cpu` has the server's CPU time of each interval.
    pub(super) fn finish(
        self,
        interval: Duration,
        ends: Duration,
        server_cpu: &[Option<Duration>],
    ) -> (Recorder, Vec<Interval>) {
        let mut timeline = Vec::new();
        let Some((&last, _)) = self.intervals.last_key_value() else {
            return (self.latency, timeline);
        };
        let mut intervals = self.intervals;
        for index in 0..=last {
            let whole = intervals.remove(&index).unwrap_or_default();
            let start = interval * index as u32;
            let length = match ends.checked_sub(start) {
                Some(left) if !left.is_zero() => left.min(interval),
                _ => interval,
            };
            timeline.push(Interval {
                start,
                length,
                latency: sparse(&whole.counts),
                offered: whole.offered,
                sent: whole.sent,
                delivered: whole.delivered,
                max_lag: Duration::from_nanos(whole.max_lag),
                server_cpu: server_cpu.get(index).copied().flatten(),
            });
        }
        while let Some(interval) = timeline.last()
            && interval.start >= ends
            && interval.delivered == 0
            && interval.sent == 0
        {
            timeline.pop();
        }
        (self.latency, timeline)
    }
}

fn sparse(counts: &BTreeMap<Nanos, u64>) -> SparseHistogram {
    SparseHistogram::from_counts(
        counts
            .iter()
            .map(|(&value, &count)| (value, count))
            .collect(),
    )
}

/// The sum of all threads' parts.
#[derive(Debug)]
pub(super) struct Sum {
    pub(super) tally: Tally,
    pub(super) connect: Recorder,
    pub(super) tls: Recorder,
    pub(super) join: Recorder,
    pub(super) rejoin: Recorder,
    pub(super) resume: Recorder,
    pub(super) state_age: Recorder,
    pub(super) host_change: Recorder,
    pub(super) uncorrected: Recorder,
    pub(super) misbehaving: Recorder,
    pub(super) send_lag: Recorder,
    pub(super) receive_wait: Recorder,
    pub(super) connections: Connections,
    /// Close codes of healthy clients that lost their connection.
    pub(super) ended_codes: BTreeMap<u16, u64>,
    /// When the first of them did; `Nanos::MAX`: none.
    pub(super) first_ended: Nanos,
    pub(super) accounting_overflow: bool,
    pub(super) generator: GeneratorUsage,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl Sum {
    /// Of nothing.
    pub(super) fn new() -> Self {
        Self {
            tally: Tally::default(),
            connect: Recorder::new(),
            tls: Recorder::new(),
            join: Recorder::new(),
            rejoin: Recorder::new(),
            resume: Recorder::new(),
            state_age: Recorder::new(),
            host_change: Recorder::new(),
            uncorrected: Recorder::new(),
            misbehaving: Recorder::new(),
            send_lag: Recorder::new(),
            receive_wait: Recorder::new(),
            connections: Connections::default(),
            ended_codes: BTreeMap::new(),
            first_ended: Nanos::MAX,
            accounting_overflow: false,
            generator: GeneratorUsage::default(),
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Adds a thread's.
    pub(super) fn add(&mut self, part: &Part) {
        self.tally.add(&part.tally);
        for (sum, part) in [
            (&mut self.connect, &part.connect),
            (&mut self.tls, &part.tls),
            (&mut self.join, &part.join),
            (&mut self.rejoin, &part.rejoin),
            (&mut self.resume, &part.resume),
            (&mut self.state_age, &part.state_age),
            (&mut self.host_change, &part.host_change),
            (&mut self.uncorrected, &part.uncorrected),
            (&mut self.misbehaving, &part.misbehaving),
            (&mut self.send_lag, &part.send_lag),
            (&mut self.receive_wait, &part.receive_wait),
        ] {
            sum.add(part);
        }
        self.connections.add(&part.connections);
        for (&code, times) in &part.ended_codes {
            *self.ended_codes.entry(code).or_default() += times;
        }
        self.first_ended = self.first_ended.min(part.first_ended);
        self.accounting_overflow |= part.accounting_overflow;
        self.add_usage(&part.usage);
    }

    fn add_usage(&mut self, usage: &ThreadUsage) {
        self.bytes_in += usage.bytes_in;
        self.bytes_out += usage.bytes_out;
        let generator = &mut self.generator;
        generator.threads += 1;
        generator.cpu += Duration::from_nanos(usage.cpu);
        let wall = usage.wall.max(1) as f64;
        let busy = usage.cpu as f64 / wall;
        let occupied = (usage.cpu + usage.waiting) as f64 / wall;
        generator.busiest_share = generator.busiest_share.max(busy);
        generator.busiest_occupied = generator.busiest_occupied.max(occupied);
        let lag = Duration::from_nanos(usage.max_lag);
        generator.max_lag = generator.max_lag.max(lag);
        let iteration = Duration::from_nanos(usage.max_iteration);
        generator.max_iteration = generator.max_iteration.max(iteration);
    }

    /// Values beyond the histograms, with those of the latency itself.
    pub(super) fn overflow(&self, latency: &Recorder) -> u64 {
        [
            latency,
            &self.connect,
            &self.tls,
            &self.join,
            &self.rejoin,
            &self.resume,
            &self.state_age,
            &self.host_change,
            &self.uncorrected,
            &self.misbehaving,
            &self.send_lag,
            &self.receive_wait,
        ]
        .iter()
        .map(|recorder| recorder.overflow())
        .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: usize, latencies: &[Nanos]) -> IntervalPart {
        let mut latency = Box::new(Recorder::new());
        for &value in latencies {
            latency.record(value);
        }
        IntervalPart {
            index,
            latency,
            offered: 1,
            sent: 1,
            delivered: latencies.len() as u64,
            max_lag: latencies.len() as Nanos,
        }
    }

    #[test]
    fn parts_of_an_interval_become_one() {
        let mut parts = TimelineParts::new(2);
        parts.add(&part(0, &[1000, 2000]));
        assert_eq!(parts.last(), None);
        parts.add(&part(0, &[1000]));
        parts.add(&part(1, &[5000]));
        let last = parts.last().expect("interval 0 is whole");
        assert_eq!(last.counts(), [(1000, 2), (2000, 1)]);
        parts.add(&part(3, &[9000]));
        parts.add(&IntervalPart {
            sent: 0,
            ..part(4, &[])
        });
        let second = Duration::from_secs(1);
        let cpu = [Some(second), None];
        let (latency, timeline) = parts.finish(second, second * 5 / 2, &cpu);
        assert_eq!(latency.to_histogram().len(), 5);
        let shape: Vec<_> = timeline
            .iter()
            .map(|i| {
                (
                    i.start.as_secs(),
                    i.length.as_millis(),
                    i.delivered,
                    i.max_lag.as_nanos(),
                )
            })
            .collect();
        // Interval 2 is cut by the end; 3 is the drain; in 4 nothing arrived.
        let expected = [
            (0, 1000, 3, 2),
            (1, 1000, 1, 1),
            (2, 500, 0, 0),
            (3, 1000, 1, 1),
        ];
        assert_eq!(shape, expected);
        assert_eq!(timeline[0].server_cpu, Some(second));
        assert_eq!(timeline[1].server_cpu, None);
        let sum: u64 = timeline.iter().map(|i| i.latency.len()).sum();
        assert_eq!(sum, 5);
    }
}
