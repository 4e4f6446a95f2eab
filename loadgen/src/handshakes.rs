//! `loadgen handshakes`: how many TLS handshakes a server makes.
//!
//! It owns what is asked for and what is said about it. It must not know sockets.
//!
//! Invariant: handshakes that failed are never in a rate; a measurement in which more than one
//! of a hundred failed proves nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::exit::Exit;
use crate::outcome::empty_histogram;
use crate::report::units::{count, duration, ratio};
use crate::report::{histogram, table};
use crate::scenario::{Tls, Trust};
use crate::target::Target;

/// Failed handshakes of a hundred that are still no reason to doubt.
const FAILED_MAX: f64 = 0.01;
/// The share of their time from which on threads that connect have none to spare.
const GENERATOR_BUSY: f64 = 0.9;
/// The schema name and version of the JSON.
pub const SCHEMA: &str = "roomcast.loadgen.handshakes/1";

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the server is; must be `wss`.
    pub target: Target,
    /// Whom to trust, and whether to resume.
    pub tls: Tls,
    /// How long to measure.
    pub duration: Duration,
    /// Connections at a time, over all threads; at least 1.
    pub concurrency: usize,
    /// Threads; at least 1.
    pub threads: usize,
    /// How long one handshake may take, TCP included.
    pub handshake_timeout: Duration,
    /// The server's process. `None`: found by its listening socket on a loopback address.
    pub server_pid: Option<u32>,
}

/// What came out. Histograms are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Measured {
    /// How long was measured.
    pub took: Duration,
    /// `connect` to TCP established.
    pub connect: Histogram<u64>,
    /// TCP established to handshake complete, full or resumed.
    pub tls: Histogram<u64>,
    /// Handshakes that authenticated the server.
    pub full: u64,
    /// Handshakes that resumed a session.
    pub resumed: u64,
    /// Connections that did not get so far, by reason.
    pub failed: BTreeMap<String, u64>,
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
            connect: empty_histogram(),
            tls: empty_histogram(),
            full: 0,
            resumed: 0,
            failed: BTreeMap::new(),
            server: None,
            generator_cpu: Duration::ZERO,
        }
    }
}

/// The JSON form; numbers carry their unit in their name.
#[derive(Serialize)]
struct Json<'a> {
    schema: &'a str,
    url: String,
    concurrency: usize,
    threads: usize,
    resumption: bool,
    valid: bool,
    measured_s: f64,
    handshakes: u64,
    handshakes_per_s: Option<f64>,
    generator_bound: bool,
    full: u64,
    resumed: u64,
    failed: &'a BTreeMap<String, u64>,
    #[serde(with = "histogram")]
    connect: Histogram<u64>,
    #[serde(with = "histogram")]
    tls: Histogram<u64>,
    server_pid: Option<u32>,
    server_cpu_per_handshake_ns: Option<f64>,
    generator_cpu_per_handshake_ns: Option<f64>,
}

impl Measured {
    /// Handshakes that were completed.
    #[must_use]
    pub fn handshakes(&self) -> u64 {
        self.full + self.resumed
    }

    /// Completed handshakes per second; absent when nothing was measured.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        (!self.took.is_zero()).then(|| self.handshakes() as f64 / self.took.as_secs_f64())
    }

    /// Connections that did not get through the handshake.
    #[must_use]
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Whether the figures prove anything.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let (done, failed) = (self.handshakes(), self.failed_total());
        done > 0 && failed as f64 <= FAILED_MAX * (done + failed) as f64
    }

    /// How the process ends. What the generator was the limit of says nothing about the server.
    #[must_use]
    pub fn exit(&self, plan: &Plan) -> Exit {
        if self.is_valid() && !self.is_generator_bound(plan.threads) {
            Exit::Passed
        } else {
            Exit::InvalidRun
        }
    }

    /// Whether the rate says more about who connected than about who was connected to.
    fn is_generator_bound(&self, threads: usize) -> bool {
        let all = self.took.as_secs_f64() * threads as f64;
        self.generator_cpu.as_secs_f64() > GENERATOR_BUSY * all
    }

    fn per_handshake(&self, cpu: Duration) -> Option<f64> {
        let done = self.handshakes();
        (done > 0).then(|| cpu.as_nanos() as f64 / done as f64)
    }

    /// As JSON, ending in a line break.
    #[must_use]
    pub fn to_json(&self, plan: &Plan) -> String {
        let server = self.server;
        let json = Json {
            schema: SCHEMA,
            url: plan.target.to_string(),
            concurrency: plan.concurrency,
            threads: plan.threads,
            resumption: plan.tls.resume,
            valid: self.exit(plan) == Exit::Passed,
            measured_s: self.took.as_secs_f64(),
            handshakes: self.handshakes(),
            handshakes_per_s: self.rate(),
            generator_bound: self.is_generator_bound(plan.threads),
            full: self.full,
            resumed: self.resumed,
            failed: &self.failed,
            connect: self.connect.clone(),
            tls: self.tls.clone(),
            server_pid: server.map(|used| used.pid),
            server_cpu_per_handshake_ns: server
                .and_then(|used| self.per_handshake(used.user + used.system)),
            generator_cpu_per_handshake_ns: self.per_handshake(self.generator_cpu),
        };
        let mut text = serde_json::to_string_pretty(&json).expect("string keys and numbers only");
        text.push('\n');
        text
    }

    /// As a table, ending in a line break.
    #[must_use]
    pub fn render(&self, plan: &Plan) -> String {
        let mut text = format!(
            "\n{}\n{} TLS handshakes at a time, {}, for {}\n\n",
            plan.target,
            count(plan.concurrency as u64),
            if plan.tls.resume {
                "resumed where possible"
            } else {
                "all full"
            },
            duration(self.took.as_nanos() as f64)
        );
        let verdict = match self.exit(plan) {
            Exit::Passed => "valid",
            _ if self.is_valid() => "INVALID: the generator was the limit, not the server",
            _ => "INVALID",
        };
        text.push_str(&format!("measurement {verdict}\n"));
        let mut fact = |name: &str, fact: String| text.push_str(&format!("{name:<16}{fact}\n"));
        fact(
            "handshakes",
            format!(
                "{} per second: {} full, {} resumed",
                count(self.rate().unwrap_or_default().round() as u64),
                count(self.full),
                count(self.resumed)
            ),
        );
        for (reason, times) in &self.failed {
            fact("failed", format!("{} x {reason}", count(*times)));
        }
        if plan.tls.trust == Trust::Anyone {
            fact(
                "TLS",
                "certificates were NOT verified (--insecure)".to_owned(),
            );
        }
        let share = |cpu: Duration| ratio(cpu.as_secs_f64() / self.took.as_secs_f64().max(1e-9));
        if let Some(used) = self.server
            && let (Some(user), Some(system)) = (
                self.per_handshake(used.user),
                self.per_handshake(used.system),
            )
        {
            fact(
                "server CPU",
                format!(
                    "{} per handshake ({} user + {} kernel), {} of a core; a whole core makes {} per second",
                    duration(user + system),
                    duration(user),
                    duration(system),
                    share(used.user + used.system),
                    count((1e9 / (user + system).max(1.0)) as u64)
                ),
            );
        }
        if let Some(each) = self.per_handshake(self.generator_cpu) {
            fact(
                "generator CPU",
                format!(
                    "{} per handshake, {} of a core",
                    duration(each),
                    share(self.generator_cpu)
                ),
            );
        }
        let heads = ["time", "p50", "p90", "p99", "max", "count"];
        let mut lines = vec![heads.map(str::to_owned).to_vec()];
        for (name, times) in [("  connect", &self.connect), ("  TLS handshake", &self.tls)] {
            let at = |percentile| duration(times.value_at_percentile(percentile) as f64);
            lines.push(vec![
                name.to_owned(),
                at(50.0),
                at(90.0),
                at(99.0),
                duration(times.max() as f64),
                count(times.len()),
            ]);
        }
        text.push('\n');
        text.push_str(&table::columns(&lines));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            target: Target::parse("wss://127.0.0.1:7443").unwrap(),
            tls: Tls::default(),
            duration: Duration::from_secs(2),
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
