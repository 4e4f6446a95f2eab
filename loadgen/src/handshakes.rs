//! `loadgen handshakes`: how many TLS handshakes a server makes.
//!
//! It owns what is asked for, what came out and what that proves. It must not know sockets.
//!
//! Invariant: handshakes that failed are never in a rate. What a server refuses or is too late
//! with is a finding if handshakes are offered at a rate; without one, and with whatever else
//! fails, more than one of a hundred proves nothing.

mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::exit::Exit;
use crate::outcome::empty_histogram;
use crate::scenario::Tls;
use crate::target::Target;

pub use told::SCHEMA;

/// Failed handshakes of a hundred that are still no reason to doubt.
const FAILED_MAX: f64 = 0.01;
/// The share of their time from which on threads that connect have none to spare.
const GENERATOR_BUSY: f64 = 0.9;
/// A start that was so much later than due was not on schedule.
const START_LAG_MAX: Duration = Duration::from_millis(20);
/// The share of starts that must have been on schedule.
const ON_SCHEDULE_MIN: f64 = 0.99;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the server is; must be `wss`.
    pub target: Target,
    /// Whom to trust, and whether to resume.
    pub tls: Tls,
    /// How long to measure.
    pub duration: Duration,
    /// How many are due to begin each second, more than 0, whatever became of those before.
    /// `None`: a new one when one is over.
    pub rate_hz: Option<f64>,
    /// Connections at a time, over all threads; at least 1.
    pub concurrency: usize,
    /// Threads; at least 1.
    pub threads: usize,
    /// How long one handshake may take, TCP included; at a rate, from when it was due.
    pub handshake_timeout: Duration,
    /// The server's process. `None`: found by its listening socket on a loopback address.
    pub server_pid: Option<u32>,
}

/// What came out. Histograms are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Measured {
    /// How long was measured.
    pub took: Duration,
    /// `connect`, or at a rate when that was due, to handshake complete.
    pub whole: Histogram<u64>,
    /// The part of it until TCP was established; also of those that were not completed.
    pub connect: Histogram<u64>,
    /// TCP established to handshake complete, full or resumed.
    pub tls: Histogram<u64>,
    /// Handshakes that authenticated the server.
    pub full: u64,
    /// Handshakes that resumed a session.
    pub resumed: u64,
    /// How much later than due connections were opened, at a rate.
    pub start_lag: Histogram<u64>,
    /// Of the completed, those that were due in the measured time and complete after it.
    pub afterwards: u64,
    /// Connections that did not get so far, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Of these, those that the server turned away.
    pub refused: u64,
    /// Of these, those that were not complete in time.
    pub late: u64,
    /// Of all, those for which every connection was taken when they were due.
    pub without_place: u64,
    /// What the server's process used, if it is known.
    pub server: Option<Used>,
    /// What the threads that connected used.
    pub generator_cpu: Duration,
}

/// CPU time of the server over the measured time.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Its process id.
    pub pid: u32,
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            took: Duration::ZERO,
            whole: empty_histogram(),
            connect: empty_histogram(),
            tls: empty_histogram(),
            start_lag: empty_histogram(),
            full: 0,
            resumed: 0,
            afterwards: 0,
            failed: BTreeMap::new(),
            refused: 0,
            late: 0,
            without_place: 0,
            server: None,
            generator_cpu: Duration::ZERO,
        }
    }
}

/// What a measurement proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// What it says.
    Valid,
    /// Too few handshakes were made, or too many failed.
    TooFew,
    /// Something about the generator: its threads had no time to spare.
    GeneratorBusy,
    /// Something about the generator: it did not open connections when they were due.
    BehindSchedule,
    /// The same, because all that it may have were open.
    PlacesShort,
}

impl Measured {
    /// Handshakes that were completed.
    #[must_use]
    pub fn handshakes(&self) -> u64 {
        self.full + self.resumed
    }

    /// Handshakes of which is known what became of them.
    #[must_use]
    pub fn offered(&self) -> u64 {
        self.handshakes() + self.failed_total()
    }

    /// Of the completed, those that were within the measured time.
    fn in_time(&self) -> u64 {
        self.handshakes() - self.afterwards
    }

    /// Handshakes completed within the measured time, per second; absent when nothing was
    /// measured.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        (!self.took.is_zero()).then(|| self.in_time() as f64 / self.took.as_secs_f64())
    }

    /// Connections that did not get through the handshake.
    #[must_use]
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Of these, those that were neither refused nor late.
    #[must_use]
    pub fn failed_otherwise(&self) -> u64 {
        self.failed_total() - self.refused - self.late
    }

    fn verdict(&self, plan: &Plan) -> Verdict {
        let few = |failed: u64| failed as f64 <= FAILED_MAX * self.offered() as f64;
        let proves = match plan.rate_hz {
            None => self.handshakes() > 0 && few(self.failed_total()),
            Some(_) => self.offered() > 0 && few(self.failed_otherwise()),
        };
        let all = self.took.as_secs_f64() * plan.threads as f64;
        if !proves {
            Verdict::TooFew
        } else if !self.is_on_schedule() {
            if few(self.without_place) {
                Verdict::BehindSchedule
            } else {
                Verdict::PlacesShort
            }
        } else if self.generator_cpu.as_secs_f64() > GENERATOR_BUSY * all {
            Verdict::GeneratorBusy
        } else {
            Verdict::Valid
        }
    }

    /// How the process ends. What the generator was the limit of says nothing about the server.
    #[must_use]
    pub fn exit(&self, plan: &Plan) -> Exit {
        match self.verdict(plan) {
            Verdict::Valid => Exit::Passed,
            _ => Exit::InvalidRun,
        }
    }

    /// Whether nearly all connections were opened when they were due; so too if none was due.
    fn is_on_schedule(&self) -> bool {
        let max = START_LAG_MAX.as_nanos() as u64;
        let late = self.start_lag.len() - self.start_lag.count_between(0, max);
        late as f64 <= (1.0 - ON_SCHEDULE_MIN) * self.start_lag.len() as f64
    }

    fn per_handshake(&self, cpu: Duration) -> Option<f64> {
        let done = self.in_time();
        (done > 0).then(|| cpu.as_nanos() as f64 / done as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Trust;

    fn plan() -> Plan {
        Plan {
            target: Target::parse("wss://127.0.0.1:7443").unwrap(),
            tls: Tls::default(),
            duration: Duration::from_secs(2),
            rate_hz: None,
            concurrency: 64,
            threads: 1,
            handshake_timeout: Duration::from_secs(10),
            server_pid: None,
        }
    }

    fn measured(full: u64, resumed: u64, failed: u64) -> Measured {
        let mut measured = Measured {
            took: Duration::from_secs(2),
            full,
            resumed,
            server: Some(Used {
                pid: 7,
                user: Duration::from_millis(30),
                system: Duration::from_millis(10),
            }),
            ..Measured::default()
        };
        if failed > 0 {
            measured.failed.insert("broken".to_owned(), failed);
        }
        measured
    }

    #[test]
    fn failures_are_no_handshakes_and_too_many_spoil_it() {
        for (full, resumed, failed, rate, exit) in [
            (10, 90, 0, 50.0, Exit::Passed),
            (0, 99, 1, 49.5, Exit::Passed),
            (0, 98, 2, 49.0, Exit::InvalidRun),
            (0, 0, 0, 0.0, Exit::InvalidRun),
        ] {
            let measured = measured(full, resumed, failed);
            assert_eq!(measured.rate(), Some(rate));
            assert_eq!(measured.exit(&plan()), exit, "{full} {resumed} {failed}");
        }
        assert_eq!(Measured::default().rate(), None);
    }

    /// Of 100 that were offered: what the server did to them is a finding, whatever it is.
    #[test]
    fn at_a_rate_only_the_generator_can_spoil_it() {
        let plan = Plan {
            rate_hz: Some(50.0),
            ..plan()
        };
        for (refused, late, otherwise, lags, without_place, verdict) in [
            (0, 0, 0, 0, 0, Verdict::Valid),
            (50, 49, 1, 1, 0, Verdict::Valid),
            (100, 0, 0, 0, 0, Verdict::Valid),
            (0, 0, 2, 0, 0, Verdict::TooFew),
            (0, 0, 0, 2, 0, Verdict::BehindSchedule),
            (0, 0, 0, 2, 2, Verdict::PlacesShort),
        ] {
            let mut measured = measured(100 - refused - late - otherwise, 0, 0);
            for (reason, times) in [("r", refused), ("l", late), ("o", otherwise)] {
                measured.failed.insert(reason.to_owned(), times);
            }
            (measured.refused, measured.late) = (refused, late);
            measured.without_place = without_place;
            for start in 0..100 {
                let lag = if start < lags { 21_000_000 } else { 19_000_000 };
                measured.start_lag.record(lag).unwrap();
            }
            assert_eq!(measured.offered(), 100);
            assert_eq!(
                measured.verdict(&plan),
                verdict,
                "{refused} {late} {otherwise} {lags}"
            );
        }
    }

    #[test]
    fn what_became_of_each_is_said() {
        let plan = Plan {
            rate_hz: Some(1_500.0),
            ..plan()
        };
        let mut measured = measured(120, 0, 7);
        (measured.afterwards, measured.refused, measured.late) = (20, 4, 2);
        let text = measured.render(&plan);
        for want in [
            "1500 TLS handshakes due per second, at most 64 at a time",
            "50 per second: 120 full, 0 resumed",
            "127: 120 completed (20 of them after the measured time), 4 refused, 2 late, 1 failed",
            "own start lag",
        ] {
            assert!(text.contains(want), "{want}: {text}");
        }
        // 7 of 127 were never completed.
        let whole = text
            .lines()
            .find(|line| line.starts_with("  whole"))
            .unwrap();
        assert!(whole.contains("never"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&measured.to_json(&plan)).unwrap();
        assert_eq!(json["handshakes_per_s"], 50.0);
        let counts = [
            "offered",
            "handshakes",
            "refused",
            "late",
            "failed_otherwise",
        ];
        let counts = counts.map(|name| json[name].as_u64().unwrap());
        assert_eq!(counts, [127, 120, 4, 2, 1]);
    }

    #[test]
    fn what_is_said() {
        let text = measured(1, 99, 1).render(&plan());
        for want in [
            "64 TLS handshakes at a time, resumed where possible, for 2 s",
            "50 per second: 1 full, 99 resumed",
            "failed          1 x broken",
            "400 us per handshake (300 us user + 100 us kernel), 2 % of a core; a whole core makes 2,500 per second",
        ] {
            assert!(text.contains(want), "{want}: {text}");
        }
        assert!(!text.contains("NOT verified") && !text.contains("was the limit"));
        let mut plan = plan();
        plan.tls = Tls {
            trust: Trust::Anyone,
            resume: false,
        };
        let mut busy = measured(1, 0, 0);
        busy.generator_cpu = Duration::from_millis(1_900);
        let text = busy.render(&plan);
        assert!(
            text.contains("measurement INVALID: the generator was the limit"),
            "{text}"
        );
        assert_eq!(busy.exit(&plan), Exit::InvalidRun);
        assert!(
            text.contains("all full") && text.contains("NOT verified"),
            "{text}"
        );
        let json: serde_json::Value =
            serde_json::from_str(&measured(1, 99, 0).to_json(&plan)).unwrap();
        assert_eq!(json["schema"], SCHEMA);
        assert_eq!(json["handshakes_per_s"], 50.0);
        assert_eq!(json["server_cpu_per_handshake_ns"], 400_000.0);
    }
}
