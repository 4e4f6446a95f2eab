//! What is said about handshakes: the table and the JSON.
//!
//! It owns their words. It must not know how a verdict is reached.
//!
//! Invariant: what a verdict rests on is in both.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Measured, Plan, Verdict};
use crate::exit::Exit;
use crate::report::histogram::Times;
use crate::report::units::{count, duration, ratio};
use crate::report::{histogram, table};
use crate::scenario::Trust;

/// The schema name and version of the JSON.
pub const SCHEMA: &str = "roomcast.loadgen.handshakes/1";

/// The JSON form; numbers carry their unit in their name.
#[derive(Serialize)]
struct Json<'a> {
    schema: &'a str,
    url: String,
    rate_hz: Option<f64>,
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
    offered: u64,
    refused: u64,
    late: u64,
    failed_otherwise: u64,
    failed: &'a BTreeMap<String, u64>,
    #[serde(with = "histogram")]
    whole: Histogram<u64>,
    #[serde(with = "histogram")]
    connect: Histogram<u64>,
    #[serde(with = "histogram")]
    tls: Histogram<u64>,
    #[serde(with = "histogram")]
    start_lag: Histogram<u64>,
    without_place: u64,
    server_pid: Option<u32>,
    server_cpu_per_handshake_ns: Option<f64>,
    generator_cpu_per_handshake_ns: Option<f64>,
}

impl Verdict {
    fn is_the_generator(self) -> bool {
        matches!(
            self,
            Self::GeneratorBusy | Self::BehindSchedule | Self::PlacesShort
        )
    }

    fn told(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::TooFew => "INVALID",
            Self::GeneratorBusy => "INVALID: the generator was the limit, not the server",
            Self::BehindSchedule => {
                "INVALID: the generator did not open connections when they were due (see own start lag)"
            }
            Self::PlacesShort => {
                "INVALID: connections could not be opened when they were due: give more with --concurrency, or less with --handshake-timeout"
            }
        }
    }
}

impl Measured {
    /// As JSON, ending in a line break.
    #[must_use]
    pub fn to_json(&self, plan: &Plan) -> String {
        let server = self.server;
        let json = Json {
            schema: SCHEMA,
            url: plan.target.to_string(),
            rate_hz: plan.rate_hz,
            concurrency: plan.concurrency,
            threads: plan.threads,
            resumption: plan.tls.resume,
            valid: self.exit(plan) == Exit::Passed,
            measured_s: self.took.as_secs_f64(),
            handshakes: self.handshakes(),
            handshakes_per_s: self.rate(),
            generator_bound: self.verdict(plan).is_the_generator(),
            full: self.full,
            resumed: self.resumed,
            offered: self.offered(),
            refused: self.refused,
            late: self.late,
            failed_otherwise: self.failed_otherwise(),
            failed: &self.failed,
            whole: self.whole.clone(),
            connect: self.connect.clone(),
            tls: self.tls.clone(),
            start_lag: self.start_lag.clone(),
            without_place: self.without_place,
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
        let at_a_time = count(plan.concurrency as u64);
        let pace = match plan.rate_hz {
            None => format!("{at_a_time} TLS handshakes at a time"),
            Some(rate) => {
                format!("{rate} TLS handshakes due per second, at most {at_a_time} at a time")
            }
        };
        let mut text = format!(
            "\n{}\n{pace}, {}, for {}\n\n",
            plan.target,
            if plan.tls.resume {
                "resumed where possible"
            } else {
                "all full"
            },
            duration(self.took.as_nanos() as f64)
        );
        text.push_str(&format!("measurement {}\n", self.verdict(plan).told()));
        for (name, fact) in self.facts(plan) {
            text.push_str(&format!("{name:<16}{fact}\n"));
        }
        text.push('\n');
        text.push_str(&table::columns(&self.times(plan)));
        text
    }

    /// What is said in words, by name.
    fn facts(&self, plan: &Plan) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        let mut fact = |name, said: String| facts.push((name, said));
        fact(
            "handshakes",
            format!(
                "{} per second: {} full, {} resumed",
                count(self.rate().unwrap_or_default().round() as u64),
                count(self.full),
                count(self.resumed)
            ),
        );
        if plan.rate_hz.is_some() {
            fact(
                "offered",
                format!(
                    "{}: {} completed ({} of them after the measured time), {} refused, {} late, {} failed",
                    count(self.offered()),
                    count(self.handshakes()),
                    count(self.afterwards),
                    count(self.refused),
                    count(self.late),
                    count(self.failed_otherwise())
                ),
            );
        }
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
        facts
    }

    /// Percentiles, with their heads.
    fn times(&self, plan: &Plan) -> Vec<Vec<String>> {
        let heads = ["time", "p50", "p90", "p99", "max", "count"];
        let mut lines = vec![heads.map(str::to_owned).to_vec()];
        let mut times = vec![
            // What was never completed took longer than everything that was.
            (
                "  whole",
                Times::with_never(&self.whole, self.failed_total()),
            ),
            ("    connect", Times::of(&self.connect)),
            ("    TLS handshake", Times::of(&self.tls)),
        ];
        if plan.rate_hz.is_some() {
            times.push(("  own start lag", Times::of(&self.start_lag)));
        }
        for (name, times) in times {
            let at = |percentile| duration(times.percentile(percentile));
            lines.push(vec![
                name.to_owned(),
                at(50.0),
                at(90.0),
                at(99.0),
                duration(times.max()),
                count(times.count()),
            ]);
        }
        lines
    }
}
