//! The timer wheel, per timer, with one timer for each of 10,000 connections, beside an ordered set.

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use roomcast::timer::Wheel;
use roomcast_benches::per_item;

const CONNECTIONS: u32 = 10_000;
/// Milliseconds from now to a deadline: a ping interval.
const INTERVAL: u64 = 20_000;

/// What a wheel replaces: deadlines in order, and where each connection's is.
struct Ordered {
    deadlines: BTreeSet<(u64, u32)>,
    of: Vec<u64>,
}

impl Ordered {
    fn new() -> Self {
        Self {
            deadlines: BTreeSet::new(),
            of: vec![0; CONNECTIONS as usize],
        }
    }

    fn arm(&mut self, entry: u32, deadline: u64) {
        let earlier = std::mem::replace(&mut self.of[entry as usize], deadline);
        self.deadlines.remove(&(earlier, entry));
        self.deadlines.insert((deadline, entry));
    }

    fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        while let Some(&(deadline, entry)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            expired.push(entry);
        }
    }
}

/// Connections in an order that has nothing to do with their deadlines.
fn shuffled() -> Vec<u32> {
    (0..CONNECTIONS)
        .map(|index| (u64::from(index) * 7_919 % u64::from(CONNECTIONS)) as u32)
        .collect()
}

/// Every connection's timer is set anew, and none expires.
pub(crate) fn rearm(c: &mut Criterion) {
    let mut group = c.benchmark_group("timer_rearm");
    let entries = shuffled();
    group.bench_function(BenchmarkId::new("roomcast", CONNECTIONS), |b| {
        let (mut wheel, mut now) = (Wheel::new(0), 0);
        per_item(b, u64::from(CONNECTIONS), || {
            now += 1;
            for &entry in &entries {
                wheel.arm(entry, black_box(now + INTERVAL / 2));
            }
        });
    });
    group.bench_function(BenchmarkId::new("BTreeSet", CONNECTIONS), |b| {
        let (mut set, mut now) = (Ordered::new(), 0);
        per_item(b, u64::from(CONNECTIONS), || {
            now += 1;
            for &entry in &entries {
                set.arm(entry, black_box(now + INTERVAL / 2));
            }
        });
    });
}

/// All timers of one interval, spread evenly, are armed and expire in an iteration a millisecond.
pub(crate) fn expire(c: &mut Criterion) {
    let mut group = c.benchmark_group("timer_arm_and_expire");
    let entries = shuffled();
    let deadline =
        |now, index: usize| now + 1 + index as u64 * (INTERVAL - 1) / u64::from(CONNECTIONS);
    // The clock goes on a little after the last deadline: a wheel rounds up to its next tick.
    let end = |now| now + INTERVAL + 100;
    group.bench_function(BenchmarkId::new("roomcast", CONNECTIONS), |b| {
        let (mut wheel, mut now) = (Wheel::new(0), 0);
        let mut expired = Vec::new();
        per_item(b, u64::from(CONNECTIONS), || {
            for (index, &entry) in entries.iter().enumerate() {
                wheel.arm(entry, deadline(now, index));
            }
            expired.clear();
            for at in now..=end(now) {
                wheel.expire(black_box(at), &mut expired);
            }
            now = end(now);
            assert_eq!(expired.len(), entries.len());
        });
    });
    group.bench_function(BenchmarkId::new("BTreeSet", CONNECTIONS), |b| {
        let (mut set, mut now) = (Ordered::new(), 0);
        let mut expired = Vec::new();
        per_item(b, u64::from(CONNECTIONS), || {
            for (index, &entry) in entries.iter().enumerate() {
                set.arm(entry, deadline(now, index));
            }
            expired.clear();
            for at in now..=end(now) {
                set.expire(black_box(at), &mut expired);
            }
            now = end(now);
            assert_eq!(expired.len(), entries.len());
        });
    });
}
