//! One line a minute: how many play, how much goes through, who was too slow.

use std::time::{Duration, Instant};

use super::logs;
use crate::reactor::Published;
use crate::shard::{CloseReason, Counters, EndReason};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(60);

/// What was said last, and when.
#[derive(Debug)]
pub(super) struct Minute {
    before: Counters,
    dropped: u64,
    said: Instant,
}

impl Minute {
    /// The first line comes a minute from now.
    pub(super) fn begin() -> Self {
        Self {
            before: Counters::default(),
            dropped: 0,
            said: Instant::now(),
        }
    }

    /// When the next line is due.
    pub(super) fn due(&self) -> Instant {
        self.said + EVERY
    }

    /// Says it, of all reactors together.
    pub(super) fn say(&mut self, players: usize, published: &[Published]) {
        let now = sum(published);
        let span = Span::between(&self.before, &now, self.said.elapsed());
        let dropped = logs::dropped();
        tracing::info!(
            players,
            rooms = now.rooms,
            connections_per_s = span.connections,
            messages_per_s = span.messages,
            received_per_s = span.received,
            sent_per_s = span.sent,
            slow_consumers = span.slow_consumers,
            too_many_of_address = span.of_address,
            lingering = now.lingering,
            cut_off = span.cut_off,
            delayed = span.delayed,
            dropped_log_lines = dropped - self.dropped,
            "the last minute",
        );
        *self = Self {
            before: now,
            dropped,
            said: Instant::now(),
        };
    }
}

/// The counters of all reactors.
pub(super) fn sum(published: &[Published]) -> Counters {
    let mut total = Counters::default();
    for counters in published {
        total.add(&counters.lock());
    }
    total
}

/// What happened between two moments. Rates are for each second, with one decimal, bytes without.
#[derive(Debug, PartialEq)]
struct Span {
    connections: f64,
    messages: f64,
    received: u64,
    sent: u64,
    slow_consumers: u64,
    cut_off: u64,
    delayed: u64,
    of_address: u64,
}

impl Span {
    fn between(before: &Counters, now: &Counters, took: Duration) -> Self {
        let rate = |before: u64, now: u64| (now - before) as f64 / took.as_secs_f64().max(0.001);
        let tenths = |rate: f64| (rate * 10.0).round() / 10.0;
        let slow = |counters: &Counters| counters.ends.of(CloseReason::SlowConsumer);
        let of_address = |counters: &Counters| {
            let refused = [
                EndReason::AddressConnections,
                EndReason::AddressHandshakes,
                EndReason::AddressJoins,
            ];
            let refused = refused.map(|reason| counters.ends.of(reason));
            counters.thronged + refused.iter().sum::<u64>()
        };
        Self {
            connections: tenths(rate(before.accepted, now.accepted)),
            messages: tenths(rate(before.messages, now.messages)),
            received: rate(before.received, now.received).round() as u64,
            sent: rate(before.sent, now.sent).round() as u64,
            slow_consumers: slow(now) - slow(before),
            cut_off: now.cut_off - before.cut_off,
            delayed: now.delayed - before.delayed,
            of_address: of_address(now) - of_address(before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_time_between() {
        let mut before = Counters {
            accepted: 100,
            messages: 1_000,
            received: 5_000,
            sent: 50_000,
            ..Counters::default()
        };
        for _ in 0..2 {
            before.ends.note(CloseReason::SlowConsumer);
        }
        let mut now = before.clone();
        now.accepted += 15;
        now.messages += 6_000;
        now.received += 600;
        now.sent += 60_000;
        now.cut_off += 2;
        now.delayed += 7;
        now.thronged += 2;
        now.ends.note(EndReason::AddressConnections);
        now.ends.note(EndReason::AddressJoins);
        for _ in 0..3 {
            now.ends.note(CloseReason::SlowConsumer);
        }
        let span = Span::between(&before, &now, Duration::from_secs(60));
        let expected = Span {
            connections: 0.3,
            messages: 100.0,
            received: 10,
            sent: 1_000,
            slow_consumers: 3,
            cut_off: 2,
            delayed: 7,
            of_address: 4,
        };
        assert_eq!(span, expected);
    }
}
