//! `loadgen search`: the highest rate at which every check holds.
//!
//! It owns the search and how its probes are shown. It must not know how a probe is run.
//!
//! Invariant: the rate that is found was probed and held, and unless the search was bounded from
//! above, a higher rate was probed and did not.

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::gate;
use crate::report::units::significant;
use crate::report::{CaseKind, Report, Status, amount, table};

/// The schema name and version of the JSON result.
pub const SCHEMA: &str = "roomcast.loadgen.search/1";

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The first rate, in messages per second per sender.
    pub from: f64,
    /// The highest rate that is tried.
    pub to: f64,
    /// Bisections once a rate has failed.
    pub steps: u32,
}

/// What one run at one rate said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// Messages per second per sender.
    pub rate_hz: f64,
    /// The run was valid, the server kept every rule, and every check held.
    pub holds: bool,
    /// The verdict on the run; absent where there was none.
    pub verdict: Option<Status>,
    /// It did not hold because of the generator, so that nothing is known of the server.
    pub generator_bound: bool,
    /// Why not; empty when it holds.
    pub reasons: Vec<String>,
    /// Deliveries per second.
    pub deliveries_per_s: Option<f64>,
    /// Latency from the intended send time; `"never"` where that is a delivery that did not come.
    #[serde(with = "amount::option")]
    pub p50_ns: Option<f64>,
    /// The same.
    #[serde(with = "amount::option")]
    pub p99_ns: Option<f64>,
    /// Deliveries that never came.
    pub lost: u64,
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The highest rate that held; absent when not even the first did.
    pub highest_rate_hz: Option<f64>,
    /// The lowest rate that did not hold; absent when every rate did.
    pub lowest_failing_rate_hz: Option<f64>,
    /// Every probe in the order in which they were run.
    pub probes: Vec<Probe>,
}

impl Probe {
    /// From a judged report.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let latency = |percentile| {
            let times = report.latency();
            (!times.is_empty()).then(|| times.percentile(percentile))
        };
        let verdict = report.verdict.as_ref();
        let status = verdict.map(|verdict| verdict.status);
        let reasons = verdict.iter().flat_map(|verdict| verdict.failed());
        let reasons = reasons
            .map(|case| match case.kind {
                CaseKind::Validity => format!("invalid run: {}", case.message),
                CaseKind::Rule | CaseKind::Check => case.message.clone(),
            })
            .collect();
        Self {
            rate_hz: report.scenario.rate_hz,
            holds: status == Some(Status::Passed),
            verdict: status,
            generator_bound: status == Some(Status::Invalid) && gate::is_generator_bound(report),
            reasons,
            deliveries_per_s: report.rate(),
            p50_ns: latency(50.0),
            p99_ns: latency(99.0),
            lost: report.counts.lost,
        }
    }

    /// A run that did not take place.
    #[must_use]
    pub fn without_run(rate_hz: f64, reason: String) -> Self {
        Self {
            rate_hz,
            holds: false,
            verdict: None,
            generator_bound: false,
            reasons: vec![reason],
            deliveries_per_s: None,
            p50_ns: None,
            p99_ns: None,
            lost: 0,
        }
    }

    /// One line for a person.
    #[must_use]
    pub fn describe(&self) -> String {
        let verdict = if self.holds { "holds" } else { "does not hold" };
        let reasons = if self.holds {
            String::new()
        } else {
            format!(": {}", self.reasons.join("; "))
        };
        format!("{} Hz {verdict}{reasons}", significant(self.rate_hz))
    }
}

/// Doubles the rate from `plan.from` until a probe fails or `plan.to` has held, then halves the
/// interval between (in ratio, not in difference) `plan.steps` times.
///
/// # Errors
/// The first error of `probe`; it ends the search.
pub fn search(
    plan: Plan,
    mut probe: impl FnMut(f64) -> Result<Probe, Failure>,
) -> Result<Found, Failure> {
    let mut found = Found {
        schema: SCHEMA,
        highest_rate_hz: None,
        lowest_failing_rate_hz: None,
        probes: Vec::new(),
    };
    let mut next = Some(plan.from);
    let mut steps_left = plan.steps;
    while let Some(rate) = next {
        let probe = probe(rate)?;
        if probe.holds {
            found.highest_rate_hz = Some(rate);
        } else {
            found.lowest_failing_rate_hz = Some(rate);
        }
        found.probes.push(probe);
        next = match (found.highest_rate_hz, found.lowest_failing_rate_hz) {
            (Some(high), None) => (high < plan.to).then(|| (high * 2.0).min(plan.to)),
            (Some(low), Some(high)) if steps_left > 0 => {
                steps_left -= 1;
                Some((low * high).sqrt())
            }
            _ => None,
        };
    }
    Ok(found)
}

impl Found {
    /// Every probe by rate, then the result.
    #[must_use]
    pub fn render(&self) -> String {
        let heads = ["rate", "deliveries/s", "p50", "p99", "lost", ""];
        let mut lines = vec![heads.map(str::to_owned).to_vec()];
        let mut probes: Vec<&Probe> = self.probes.iter().collect();
        probes.sort_by(|a, b| a.rate_hz.total_cmp(&b.rate_hz));
        for probe in probes {
            let time = |ns: Option<f64>| ns.map_or("-".to_owned(), crate::report::units::duration);
            lines.push(vec![
                format!("{} Hz", significant(probe.rate_hz)),
                probe.deliveries_per_s.map_or("-".to_owned(), |rate| {
                    crate::report::units::count(rate.round() as u64)
                }),
                time(probe.p50_ns),
                time(probe.p99_ns),
                crate::report::units::count(probe.lost),
                if probe.holds { "holds" } else { "FAILS" }.to_owned(),
            ]);
        }
        format!("{}\n{}\n", table::columns(&lines), self.conclusion())
    }

    /// The probe at the lowest rate that did not hold.
    fn lowest_failing(&self) -> Option<&Probe> {
        let lowest = self.lowest_failing_rate_hz?;
        self.probes.iter().find(|probe| probe.rate_hz == lowest)
    }

    /// How the search ends the process. Where the generator was the limit, the server's is not known.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.lowest_failing() {
            Some(probe) if probe.generator_bound => Exit::InvalidRun,
            _ if self.highest_rate_hz.is_some() => Exit::Passed,
            Some(probe) if probe.verdict == Some(Status::Invalid) => Exit::InvalidRun,
            _ => Exit::CheckFailed,
        }
    }

    fn conclusion(&self) -> String {
        let lowest = self.lowest_failing();
        let why = lowest.map_or(String::new(), |probe| probe.reasons.join("; "));
        let generator = lowest.is_some_and(|probe| probe.generator_bound);
        match (self.highest_rate_hz, self.lowest_failing_rate_hz) {
            (Some(high), None) => format!(
                "highest rate that holds: {} Hz, the highest that was to be tried",
                significant(high)
            ),
            (Some(high), Some(failing)) if generator => format!(
                "INVALID: the limit was the generator, not the server: {} Hz holds, and what {} Hz does is not known: {why}",
                significant(high),
                significant(failing)
            ),
            (Some(high), Some(failing)) => format!(
                "highest rate that holds: {} Hz; {} Hz does not: {why}",
                significant(high),
                significant(failing)
            ),
            (None, Some(failing)) => {
                format!("not even {} Hz holds: {why}", significant(failing))
            }
            (None, None) => "nothing was tried".to_owned(),
        }
    }

    /// The JSON result, ending in a line break.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a result has string keys and numbers only, which JSON can hold");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::judge_all;
    use crate::report::sample;
    use proptest::prelude::*;

    fn against(limit: f64) -> impl FnMut(f64) -> Result<Probe, Failure> {
        move |rate| {
            let mut probe = Probe::without_run(rate, "p99 is too high".to_owned());
            if rate <= limit {
                (probe.holds, probe.reasons) = (true, Vec::new());
            }
            Ok(probe)
        }
    }

    fn rates(found: &Found) -> Vec<f64> {
        found.probes.iter().map(|probe| probe.rate_hz).collect()
    }

    #[test]
    fn grows_then_bisects() {
        let plan = Plan {
            from: 1.0,
            to: 1000.0,
            steps: 2,
        };
        let found = search(plan, against(10.0)).unwrap();
        assert_eq!(
            rates(&found),
            [
                1.0,
                2.0,
                4.0,
                8.0,
                16.0,
                128_f64.sqrt(),
                (8.0 * 128_f64.sqrt()).sqrt()
            ]
        );
        assert_eq!(found.highest_rate_hz, Some((8.0 * 128_f64.sqrt()).sqrt()));
        assert_eq!(found.lowest_failing_rate_hz, Some(128_f64.sqrt()));
        assert!(
            found
                .render()
                .ends_with("highest rate that holds: 9.51 Hz; 11.3 Hz does not: p99 is too high\n"),
            "{}",
            found.render()
        );
    }

    #[test]
    fn ends_at_the_bound() {
        let plan = Plan {
            from: 3.0,
            to: 10.0,
            steps: 5,
        };
        let found = search(plan, against(1e9)).unwrap();
        assert_eq!(rates(&found), [3.0, 6.0, 10.0]);
        assert_eq!(
            (found.highest_rate_hz, found.lowest_failing_rate_hz),
            (Some(10.0), None)
        );
    }

    #[test]
    fn gives_up_when_the_first_fails() {
        let plan = Plan {
            from: 3.0,
            to: 10.0,
            steps: 5,
        };
        let found = search(plan, against(1.0)).unwrap();
        assert_eq!(rates(&found), [3.0]);
        assert_eq!(found.highest_rate_hz, None);
        assert!(
            found.render().contains("not even 3 Hz holds"),
            "{}",
            found.render()
        );
    }

    #[test]
    fn an_error_ends_it() {
        let plan = Plan {
            from: 1.0,
            to: 10.0,
            steps: 5,
        };
        let failure = search(plan, |_| Err(Failure::could_not_connect("gone"))).unwrap_err();
        assert_eq!(failure.exit, Exit::CouldNotConnect);
    }

    #[test]
    fn a_probe_tells_an_invalid_run_from_a_failed_check() {
        let mut report = sample::report();
        judge_all(&["p99<1ns".parse().unwrap()], &[], &mut report);
        let failed = Probe::of(&report);
        assert!(!failed.holds && failed.reasons[0].contains("does not hold"));
        report.validity.valid = false;
        report.validity.reasons.push(crate::report::Reason {
            code: "generator_saturated".to_owned(),
            message: "the generator was the bottleneck".to_owned(),
        });
        judge_all(&["p99<1ns".parse().unwrap()], &[], &mut report);
        assert_eq!(
            Probe::of(&report).describe(),
            "1 Hz does not hold: invalid run: the generator was the bottleneck"
        );
        judge_all(&[], &[], &mut report);
        let probe = Probe::of(&report);
        assert!(!probe.holds && probe.generator_bound);
        for (highest, exit) in [(Some(0.5), Exit::InvalidRun), (None, Exit::InvalidRun)] {
            let found = Found {
                schema: SCHEMA,
                highest_rate_hz: highest,
                lowest_failing_rate_hz: Some(1.0),
                probes: vec![probe.clone()],
            };
            assert_eq!(found.exit(), exit);
            assert!(highest.is_none() || found.render().contains("the limit was the generator"));
        }
        let json: serde_json::Value = serde_json::from_str(
            &Found {
                schema: SCHEMA,
                highest_rate_hz: None,
                lowest_failing_rate_hz: Some(1.0),
                probes: vec![failed],
            }
            .to_json(),
        )
        .unwrap();
        assert_eq!(json["schema"], SCHEMA);
        assert_eq!(json["probes"][0]["verdict"], "failed");
        assert_eq!(json["probes"][0]["holds"], false);
    }

    proptest! {
        #[test]
        fn the_limit_is_enclosed(
            from in 0.1_f64..10.0,
            span in 1.0_f64..10_000.0,
            limit in 0.01_f64..1e6,
            steps in 0_u32..12,
        ) {
            let plan = Plan { from, to: from * span, steps };
            let found = search(plan, against(limit)).unwrap();
            prop_assert!(found.probes.len() <= 16 + steps as usize);
            prop_assert!(rates(&found).iter().all(|rate| (from..=plan.to).contains(rate)));
            match (found.highest_rate_hz, found.lowest_failing_rate_hz) {
                (Some(low), Some(high)) => {
                    prop_assert!(low <= limit && limit < high);
                    prop_assert!(high / low <= 2_f64.powf(0.5_f64.powi(steps as i32)) * 1.000_001);
                }
                (Some(low), None) => prop_assert!(low <= limit && low == plan.to),
                (None, Some(high)) => prop_assert!(high == from && limit < from),
                (None, None) => prop_assert!(false, "nothing was probed"),
            }
        }
    }
}
