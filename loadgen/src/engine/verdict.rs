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
//! Loss, disconnects and disorder are findings about the server and do not make a run invalid.

use std::time::Duration;

use crate::outcome::{InvalidReason, Outcome};

/// Of the offered messages, those that must have been written in time.
const SENT_MIN: f64 = 0.99;
/// A thread that is occupied more than this has no time to spare.
const OCCUPIED_MAX: f64 = 0.97;
/// Own lag at p99 that is harmless even then.
const LAG_MAX: Duration = Duration::from_millis(1);

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
    if occupied > OCCUPIED_MAX && own_lag_p99 > LAG_MAX {
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
