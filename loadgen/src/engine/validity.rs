//! Whether a run can be trusted.
//!
//! Owns the rules. Must not know how anything was measured.
//! Invariant: a run that these rules let pass measured the server, at the rate that was asked
//! for.
//!
//! When is the generator the bottleneck? A thread that has no time to spare serves an ever
//! growing queue, whose waiting time is then part of every latency. "No time to spare" is CPU
//! time plus the time the thread was runnable without getting a core, so that a generator that
//! is crowded out is noticed too. That alone does not condemn a run: a thread that is busy all
//! the time with work that comes just in time still measures well. So its own lag is looked at
//! as well: the lag of its sends plus the wait of sockets that were known to be readable, both
//! at p99. Together they bound what the generator itself may have added to the p99 of latency.
//! A thread can also be late without being busy (a machine that is shared, a core taken away): a
//! run in which a large part of the p99 may be the generator's own is not trusted either. In a
//! burst that comparison leaves the sends out: everyone sends at the same instant, but a thread
//! can only write to one socket after the other, so their lag is what was asked for.
//! Loss, disconnects and disorder are findings about the server and do not make a run invalid. If
//! it ended so many connections that the offered rate could not be offered, nothing was measured
//! at that rate, whoever is to blame; then the reason names the server, and the generator answers
//! only for the messages of senders that were connected.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::outcome::{GeneratorUsage, InvalidReason, Outcome, ShortOf};
use crate::scenario::Schedule;

/// Of the offered messages, those that must have been written in time.
const SENT_MIN: f64 = 0.99;
/// A thread that is occupied more than this has no time to spare.
const OCCUPIED_MAX: f64 = 0.97;
/// Own lag at p99 that is harmless even then.
const LAG_MAX: Duration = Duration::from_millis(1);
/// Own lag at p99 from which on it is compared with the p99 of latency, however idle the
/// generator was.
const LAG_NOTABLE: Duration = Duration::from_millis(5);
/// The part of the p99 of latency that may be the generator's own.
const LAG_SHARE_MAX: f64 = 0.25;

/// The generator's own lag at p99, and what it is compared with.
#[derive(Clone, Copy, Debug)]
struct Lag {
    schedule: Schedule,
    send: Duration,
    receive: Duration,
    latency: Duration,
}

impl Lag {
    fn of(outcome: &Outcome) -> Self {
        let p99 =
            |histogram: &Histogram<u64>| Duration::from_nanos(histogram.value_at_quantile(0.99));
        Self {
            schedule: outcome.scenario.schedule,
            send: p99(&outcome.send_lag),
            receive: p99(&outcome.receive_wait),
            latency: p99(&outcome.latency),
        }
    }

    fn own(self) -> Duration {
        self.send + self.receive
    }

    /// Whether the generator itself may have made the latencies.
    fn is_bottleneck(self, occupied: f64) -> bool {
        let no_time_to_spare = occupied > OCCUPIED_MAX && self.own() > LAG_MAX;
        let avoidable = match self.schedule {
            Schedule::Even => self.own(),
            Schedule::Burst => self.receive,
        };
        let large_part = avoidable.as_secs_f64() > LAG_SHARE_MAX * self.latency.as_secs_f64();
        no_time_to_spare || (avoidable > LAG_NOTABLE && large_part)
    }
}

/// Why the run must not be trusted; `accounting_overflow` is what the ledgers say.
pub(crate) fn judge(outcome: &Outcome, accounting_overflow: bool) -> Vec<InvalidReason> {
    let mut reasons = Vec::new();
    let counts = &outcome.healthy;
    let missed = |offered: u64| (counts.sent_in_time as f64) < SENT_MIN * offered as f64;
    let nothing = counts.delivered == 0;
    let (ended, endings) = (outcome.connections.disconnected, &outcome.endings);
    let too_few = nothing || (counts.unconnected > 0 && missed(counts.offered));
    if ended > 0 && (endings.all || too_few) {
        reasons.extend(endings_of(outcome));
    }
    let failures = &outcome.connections.failed;
    let most = failures.iter().max_by_key(|(_, times)| **times);
    if let Some((mostly, _)) = most {
        reasons.push(InvalidReason::ConnectionsFailed {
            failed: outcome.connections.failed_total(),
            clients: outcome.scenario.clients as u64,
            mostly: mostly.clone(),
        });
    }
    if nothing {
        reasons.push(InvalidReason::NothingMeasured);
    }
    let offerable = counts.offered.saturating_sub(counts.unconnected);
    if missed(offerable) {
        reasons.push(InvalidReason::OfferedRateMissed {
            offered: offerable,
            sent: counts.sent_in_time,
            blocked: counts.blocked,
        });
    }
    let lag = Lag::of(outcome);
    let occupied = outcome.generator.busiest_occupied;
    if lag.is_bottleneck(occupied) {
        reasons.push(InvalidReason::GeneratorSaturated {
            occupied,
            short_of: short_of(&outcome.generator),
            send_lag_p99: lag.send,
            receive_wait_p99: lag.receive,
        });
    }
    if outcome.overflow > 0 {
        reasons.push(InvalidReason::HistogramOverflow {
            count: outcome.overflow,
        });
    }
    if accounting_overflow {
        reasons.push(InvalidReason::AccountingOverflow);
    }
    reasons
}

/// A thread that used this much of its time had work all the time.
const BUSY_MIN: f64 = 0.85;
/// A thread that was ready to run without a core for this much of its time was crowded out.
const CROWDED_MIN: f64 = 0.05;

/// What the generator was short of.
fn short_of(generator: &GeneratorUsage) -> ShortOf {
    let waited = generator.busiest_occupied - generator.busiest_share;
    if generator.busiest_share >= BUSY_MIN {
        if generator.threads < generator.cores {
            ShortOf::Threads
        } else {
            ShortOf::Cores
        }
    } else if waited >= CROWDED_MIN {
        ShortOf::Time
    } else {
        ShortOf::Machine
    }
}

/// How the connections ended that would have been needed: by the server, or by what it did.
fn endings_of(outcome: &Outcome) -> impl Iterator<Item = InvalidReason> {
    let (scenario, connections) = (&outcome.scenario, &outcome.connections);
    let broken: u64 = connections.violations.values().sum();
    let most = connections
        .violations
        .iter()
        .max_by_key(|(_, times)| **times);
    let broken = most.map(|(mostly, _)| InvalidReason::ProtocolBroken {
        broken,
        clients: scenario.clients as u64,
        mostly: mostly.clone(),
    });
    let ended = outcome.endings.codes.values().sum();
    let ended = (ended > 0).then(|| InvalidReason::ConnectionsEnded {
        ended,
        clients: scenario.clients.saturating_sub(scenario.misbehaving()) as u64,
        endings: outcome.endings.clone(),
    });
    broken.into_iter().chain(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_are_advised_only_where_they_are_short() {
        use ShortOf::{Cores, Machine, Threads, Time};
        for (threads, cores, busy, occupied, short) in [
            (1, 4, 0.99, 0.99, Threads),
            (1, 4, 0.90, 0.99, Threads),
            (1, 1, 0.99, 0.99, Cores),
            (4, 4, 0.90, 1.00, Cores),
            (1, 4, 0.50, 0.99, Time),
            (1, 1, 0.30, 0.36, Time),
            (2, 4, 0.30, 0.31, Machine),
        ] {
            let generator = GeneratorUsage {
                threads,
                cores,
                busiest_share: busy,
                busiest_occupied: occupied,
                ..GeneratorUsage::default()
            };
            let found = short_of(&generator);
            assert_eq!(found, short, "{generator:?}");
            assert_eq!(found.to_string().contains("--threads"), short == Threads);
        }
    }

    #[test]
    fn the_generator_is_the_bottleneck_when_its_lag_is_a_part_of_what_was_measured() {
        use Schedule::{Burst, Even};
        let ms = Duration::from_millis;
        for (schedule, occupied, send, receive, latency, bottleneck) in [
            (Even, 0.20, 0, 0, 1, false),
            (Even, 0.99, 1, 0, 50, false),
            (Even, 0.99, 1, 1, 50, true),
            (Even, 0.96, 700, 100, 1_700, true),
            (Even, 0.96, 100, 700, 1_700, true),
            (Even, 0.30, 60, 0, 80, true),
            (Even, 0.30, 6, 0, 80, false),
            (Even, 0.30, 4, 0, 5, false),
            (Burst, 0.30, 9, 4, 33, false),
            (Burst, 0.30, 9, 15, 33, true),
            (Burst, 0.99, 9, 4, 33, true),
        ] {
            let lag = Lag {
                schedule,
                send: ms(send),
                receive: ms(receive),
                latency: ms(latency),
            };
            assert_eq!(
                lag.is_bottleneck(occupied),
                bottleneck,
                "{occupied} {lag:?}"
            );
        }
    }
}
