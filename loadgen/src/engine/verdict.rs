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
//! run in which a large part of the p99 may be the generator's own is not trusted either.
//! Loss, disconnects and disorder are findings about the server and do not make a run invalid.

use std::time::Duration;

use crate::outcome::{InvalidReason, Outcome};

/// Of the offered messages, those that must have been written in time.
const SENT_MIN: f64 = 0.99;
/// A thread that is occupied more than this has no time to spare.
const OCCUPIED_MAX: f64 = 0.97;
/// Own lag at p99 that is harmless even then.
const LAG_MAX: Duration = Duration::from_millis(1);

/// Own lag at p99 from which on it is compared with the p99 of latency, however idle the generator was.
const LAG_NOTABLE: Duration = Duration::from_millis(5);
/// The part of the p99 of latency that may be the generator's own.
const LAG_SHARE_MAX: f64 = 0.25;

/// Whether the generator itself may have made the latencies.
fn is_bottleneck(occupied: f64, own_lag_p99: Duration, latency_p99: Duration) -> bool {
    let no_time_to_spare = occupied > OCCUPIED_MAX && own_lag_p99 > LAG_MAX;
    let large_part = own_lag_p99.as_secs_f64() > LAG_SHARE_MAX * latency_p99.as_secs_f64();
    no_time_to_spare || (own_lag_p99 > LAG_NOTABLE && large_part)
}

/// Why the run must not be trusted; `accounting_overflow` is what the ledgers say.
pub(crate) fn judge(outcome: &Outcome, accounting_overflow: bool) -> Vec<InvalidReason> {
    let mut reasons = Vec::new();
    let failed = outcome.connections.failed_total();
    if failed > 0 {
        reasons.push(InvalidReason::ConnectionsFailed {
            failed,
            clients: outcome.scenario.clients as u64,
        });
    }
    if outcome.healthy.delivered == 0 {
        reasons.push(InvalidReason::NothingMeasured);
    }
    let counts = &outcome.healthy;
    if (counts.sent_in_time as f64) < SENT_MIN * counts.offered as f64 {
        reasons.push(InvalidReason::OfferedRateMissed {
            offered: counts.offered,
            sent: counts.sent_in_time,
            blocked: counts.blocked,
        });
    }
    let lag =
        outcome.send_lag.value_at_quantile(0.99) + outcome.receive_wait.value_at_quantile(0.99);
    let own_lag_p99 = Duration::from_nanos(lag);
    let occupied = outcome.generator.busiest_occupied;
    let latency_p99 = Duration::from_nanos(outcome.latency.value_at_quantile(0.99));
    if is_bottleneck(occupied, own_lag_p99, latency_p99) {
        reasons.push(InvalidReason::GeneratorSaturated {
            occupied,
            own_lag_p99,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_bottleneck_when_its_lag_is_a_part_of_what_was_measured() {
        let ms = Duration::from_millis;
        for (occupied, own_lag, latency, bottleneck) in [
            (0.20, ms(0), ms(1), false),
            (0.99, ms(1), ms(50), false),
            (0.99, ms(2), ms(50), true),
            (0.96, ms(800), ms(1_700), true),
            (0.30, ms(60), ms(80), true),
            (0.30, ms(6), ms(80), false),
            (0.30, ms(4), ms(5), false),
        ] {
            assert_eq!(
                is_bottleneck(occupied, own_lag, latency),
                bottleneck,
                "{occupied} {own_lag:?} {latency:?}"
            );
        }
    }
}
