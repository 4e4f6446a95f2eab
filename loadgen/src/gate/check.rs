//! Checks: `latency.p99<20ms` and whether a report passes it.
//!
//! It owns the little language of checks. It must not know how a report was made, nor print
//! anything.
//!
//! Invariant: a check passes only on a number that was measured in a valid run. No value fails
//! it. An invalid run leaves it open, unless the server alone has done what the check forbids:
//! that is no less true because the generator did badly too.

use std::fmt;
use std::str::FromStr;

use super::rules::by_server;
use crate::report::metrics::Metric;
use crate::report::{CheckResult, Report};

/// How the measured number is compared with the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `==`
    Equal,
}

impl Operator {
    /// As it is typed.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "==",
        }
    }

    /// Whether `measured` stands in this relation to `bound`.
    #[must_use]
    pub fn holds(self, measured: f64, bound: f64) -> bool {
        match self {
            Self::Less => measured < bound,
            Self::LessOrEqual => measured <= bound,
            Self::Greater => measured > bound,
            Self::GreaterOrEqual => measured >= bound,
            Self::Equal => measured == bound,
        }
    }
}

/// One check, as typed behind `--check`.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    text: String,
    metric: Metric,
    operator: Operator,
    /// In the metric's base unit.
    bound: f64,
    /// The bound as it was typed.
    bound_text: String,
}

/// Why a check cannot be read; the text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckError(String);

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CheckError {}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Check {
    type Err = CheckError;

    /// Reads `metric operator number[unit]`; spaces are allowed between the parts.
    fn from_str(text: &str) -> Result<Self, CheckError> {
        let text = text.trim();
        let start = text.find(['<', '>', '=', '!']).ok_or_else(|| {
            CheckError(format!(
                "{text:?} has no operator; write a check as METRIC<BOUND, for example 'latency.p99<20ms'"
            ))
        })?;
        let (name, rest) = text.split_at(start);
        let (operator, bound) = split_operator(rest).ok_or_else(|| {
            CheckError(format!(
                "{text:?} has an operator that does not exist; use one of < <= > >= =="
            ))
        })?;
        let name = name.trim();
        if name.is_empty() {
            return Err(CheckError(format!(
                "{text:?} names no metric; write a check as METRIC<BOUND, for example 'latency.p99<20ms'"
            )));
        }
        let metric = Metric::find(name).map_err(CheckError)?;
        let bound_text = bound.trim().to_owned();
        let bound = metric
            .unit()
            .parse(bound)
            .map_err(|error| CheckError(format!("{text:?}: {error}")))?;
        Ok(Self {
            text: text.to_owned(),
            metric,
            operator,
            bound,
            bound_text,
        })
    }
}

fn split_operator(text: &str) -> Option<(Operator, &str)> {
    // Longer symbols first: "<=" begins with "<".
    let operators = [
        Operator::LessOrEqual,
        Operator::GreaterOrEqual,
        Operator::Equal,
        Operator::Less,
        Operator::Greater,
    ];
    let (operator, rest) = operators
        .into_iter()
        .find_map(|operator| Some((operator, text.strip_prefix(operator.symbol())?)))?;
    (!rest.starts_with(['<', '>', '=', '!'])).then_some((operator, rest))
}

impl Check {
    /// What it is about.
    #[must_use]
    pub fn metric(&self) -> &Metric {
        &self.metric
    }

    /// Judges a report.
    #[must_use]
    pub fn judge(&self, report: &Report) -> CheckResult {
        let unit = self.metric.unit();
        let measured = self.metric.value(report);
        let holds = measured.is_some_and(|value| self.operator.holds(value, self.bound));
        let name = self.metric.name();
        let valid = report.validity.valid;
        let decided = valid || self.is_violated_by_server(report);
        let message = match measured {
            Some(_) if !decided => {
                let verb = if holds { "would hold" } else { "would not" };
                format!(
                    "not decided: the run is invalid ({name} {} {} {verb})",
                    self.operator.symbol(),
                    self.bound_text,
                )
            }
            None if report.server.is_some() && name.ends_with("_per_delivery") => format!(
                "{name} was not measured: the server used too little CPU time for its clock ticks of 10 ms, measure longer"
            ),
            None if self.metric.needs_server() => format!(
                "{name} was not measured: no server process is known, or more than one (see --server-pid)"
            ),
            None => format!("{name} was not measured: there is not one value"),
            Some(value) => {
                let relation = if holds { "holds" } else { "does not hold" };
                let shown = unit.show(value);
                format!(
                    "{name} is {shown}: {} {} {relation}",
                    self.operator.symbol(),
                    self.bound_text
                )
            }
        };
        CheckResult {
            check: self.text.clone(),
            metric: name.to_owned(),
            measured,
            bound: self.bound,
            passed: holds && valid,
            decided,
            message,
        }
    }

    /// Whether a bound from above is exceeded by what only the server can have done.
    fn is_violated_by_server(&self, report: &Report) -> bool {
        let from_above = match self.operator {
            Operator::Less | Operator::LessOrEqual => true,
            Operator::Equal => self.metric.value(report) > Some(self.bound),
            Operator::Greater | Operator::GreaterOrEqual => false,
        };
        let done = by_server(self.metric.name(), self.metric.value(report), report);
        from_above && done.is_some_and(|value| !self.operator.holds(value, self.bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::gate::judge_all;
    use crate::report::{Reason, sample};
    use proptest::prelude::*;

    fn bound(text: &str) -> f64 {
        text.parse::<Check>()
            .unwrap_or_else(|e| panic!("{text}: {e}"))
            .bound
    }

    #[test]
    fn checks_that_can_be_read() {
        let table = [
            ("latency.p99<20ms", "latency.p99", Operator::Less, 20e6),
            (
                "latency.p99 <= 1.5 s",
                "latency.p99",
                Operator::LessOrEqual,
                1.5e9,
            ),
            ("p99.9<7ms", "latency.p99.9", Operator::Less, 7e6),
            ("latency.p95<250us", "latency.p95", Operator::Less, 250e3),
            ("latency.p50<60µs", "latency.p50", Operator::Less, 60e3),
            ("send_lag.max<900ns", "send_lag.max", Operator::Less, 900.0),
            ("lost==0", "lost", Operator::Equal, 0.0),
            ("loss_ratio<0.1%", "loss_ratio", Operator::Less, 0.1 * 0.01),
            ("loss_ratio<0.001", "loss_ratio", Operator::Less, 0.001),
            (
                "delivered>=1_000_000",
                "delivered",
                Operator::GreaterOrEqual,
                1e6,
            ),
            ("rate>180000", "rate", Operator::Greater, 180e3),
            ("rate>180000/s", "rate", Operator::Greater, 180e3),
            (
                "server.memory_per_connection<=450B",
                "server.memory_per_connection",
                Operator::LessOrEqual,
                450.0,
            ),
            (
                "server.memory_per_connection<=450",
                "server.memory_per_connection",
                Operator::LessOrEqual,
                450.0,
            ),
            (
                "server.rss_peak<1.5MiB",
                "server.rss_peak",
                Operator::Less,
                1.5 * 1_048_576.0,
            ),
            (
                "server.rss_peak<29KiB",
                "server.rss_peak",
                Operator::Less,
                29.0 * 1024.0,
            ),
            ("latency.max==0", "latency.max", Operator::Equal, 0.0),
        ];
        for (text, metric, operator, bound) in table {
            let check: Check = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(check.metric.name(), metric, "{text}");
            assert_eq!(check.operator, operator, "{text}");
            assert_eq!(check.bound, bound, "{text}");
            assert_eq!(check.to_string(), text);
        }
    }

    #[test]
    fn checks_that_cannot_say_what_to_write() {
        let table = [
            ("", "no operator"),
            ("latency.p99", "no operator"),
            ("<20ms", "names no metric"),
            ("latency.p99=20ms", "use one of"),
            ("latency.p99!=20ms", "use one of"),
            ("latency.p99<<20ms", "use one of"),
            ("latency.p99=>20ms", "use one of"),
            ("latency.p99<", "does not begin with a number"),
            ("latency.p99<ms", "does not begin with a number"),
            ("latency.p99<.", "does not begin with a number"),
            ("latency.p99<1.2.3ms", "does not begin with a number"),
            ("latency.p99<inf", "does not begin with a number"),
            ("latency.p99<-1ms", "negative"),
            ("latency.p99<20", "needs a unit: ns, us, ms, s"),
            ("latency.p99<20MiB", "use ns, us, ms, s"),
            ("latency.p99<20 m s", "use ns, us, ms, s"),
            ("lost<1%", "plain number"),
            ("latncy.p99<1ms", "did you mean latency.p99"),
            ("nosuchthing<1ms", "unknown metric"),
        ];
        for (text, want) in table {
            let error = text.parse::<Check>().unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
            assert!(!error.contains('\n'), "{text}: one line");
        }
        let huge = format!("lost<{}", "9".repeat(400));
        assert!(
            huge.parse::<Check>()
                .unwrap_err()
                .to_string()
                .contains("too large")
        );
    }

    #[test]
    fn verdicts_on_a_valid_run() {
        let report = sample::report();
        let p99 = report.histograms.latency.value_at_percentile(99.0) as f64;
        for (operator, below, at, above) in [
            ("<", false, false, true),
            ("<=", false, true, true),
            (">", true, false, false),
            (">=", true, true, false),
            ("==", false, true, false),
        ] {
            for (bound, want) in [(p99 - 1.0, below), (p99, at), (p99 + 1.0, above)] {
                let check: Check = format!("latency.p99{operator}{bound}ns").parse().unwrap();
                let result = check.judge(&report);
                assert_eq!(result.passed, want, "{}", result.message);
                assert_eq!(result.measured, Some(p99));
            }
        }
    }

    #[test]
    fn an_invalid_run_passes_nothing() {
        let mut report = sample::report();
        report.validity.valid = false;
        report.validity.reasons.push(Reason {
            code: "nothing_measured".to_owned(),
            message: "not one delivery was measured".to_owned(),
        });
        let checks = [
            "lost==0".parse().unwrap(),
            "latency.p99<1ns".parse().unwrap(),
        ];
        assert_eq!(judge_all(&checks, &[], &mut report), Exit::InvalidRun);
        assert!(report.checks.iter().all(|c| !c.passed && !c.decided));
        assert_eq!(
            report.checks[0].message,
            "not decided: the run is invalid (lost == 0 would hold)"
        );
        assert_eq!(judge_all(&[], &[], &mut report), Exit::InvalidRun);
    }

    #[test]
    fn what_the_server_did_fails_in_an_invalid_run_too() {
        let because = |codes: &[&str]| {
            let mut report = sample::report();
            report.validity.valid = false;
            let reason = |code: &&str| Reason {
                code: (*code).to_owned(),
                message: "for a test".to_owned(),
            };
            report.validity.reasons = codes.iter().map(reason).collect();
            report.counts.lost = 3;
            report.counts.reordered = 1;
            report.counts.leaked = 1;
            report.connections.disconnected = 2;
            report.connections.failed.insert("a reason".to_owned(), 5);
            report
        };
        // All that was done is allowed: only the check is left to fail.
        let allowed = ["lost=3", "reordered=1", "leaked=1", "disconnects=2"];
        let allowed = allowed.map(|text| text.parse().unwrap());
        let exit = |check: &str, mut report: Report| {
            judge_all(&[check.parse().unwrap()], &allowed, &mut report).code()
        };
        let missed = || because(&["offered_rate_missed"]);
        let saturated = || because(&["generator_saturated"]);
        let overflowed = || because(&["accounting_overflow"]);
        for (check, report, want) in [
            ("disconnects==0", missed(), 99),
            ("disconnects<=1", missed(), 99),
            ("disconnects<=2", missed(), 4),
            ("disconnects==3", missed(), 4),
            ("disconnects>2", missed(), 4),
            ("lost<3", missed(), 99),
            ("loss_ratio<0.1%", missed(), 99),
            ("delivered>1000", missed(), 4),
            ("rate>1000", missed(), 4),
            ("p99<1ns", missed(), 4),
            // Who reads late may have been dropped for it; what is wrong is wrong all the same.
            ("disconnects==0", saturated(), 4),
            ("lost==0", saturated(), 4),
            ("leaked==0", saturated(), 99),
            ("reordered==0", saturated(), 99),
            ("reordered==0", overflowed(), 4),
            // Nobody was turned away: the clients may have run out of ports.
            ("connect_failures==0", missed(), 4),
        ] {
            assert_eq!(exit(check, report), want, "{check}");
        }
        let mut report = missed();
        report.connections.refused = 5;
        assert_eq!(exit("connect_failures==0", report), 99);
    }

    #[test]
    fn one_failed_check_fails_the_run() {
        let mut report = sample::report();
        let good: Check = "lost==0".parse().unwrap();
        let bad: Check = "delivered>1000".parse().unwrap();
        assert_eq!(judge_all(&[], &[], &mut report), Exit::Passed);
        assert_eq!(
            judge_all(std::slice::from_ref(&good), &[], &mut report),
            Exit::Passed
        );
        assert_eq!(judge_all(&[good, bad], &[], &mut report), Exit::CheckFailed);
        assert_eq!(report.checks[0].message, "lost is 0: == 0 holds");
        assert_eq!(
            report.checks[1].message,
            "delivered is 540: > 1000 does not hold"
        );
    }

    #[test]
    fn what_was_not_measured_fails() {
        let mut report = sample::report();
        report.server = None;
        let server: Check = "server.cpu_per_delivery<1s".parse().unwrap();
        let result = server.judge(&report);
        assert!(
            !result.passed && result.message.contains("--server-pid"),
            "{}",
            result.message
        );
        let mut short = sample::report();
        let used = short.server.as_mut().unwrap();
        (used.cpu_user_ns, used.cpu_system_ns) = (100, 100);
        used.divide();
        let result = server.judge(&short);
        assert!(!result.passed && result.message.contains("measure longer"));
        let misbehaving: Check = "latency_misbehaving.p99<60s".parse().unwrap();
        assert!(!misbehaving.judge(&report).passed);
    }

    proptest! {
        #[test]
        fn any_number_and_unit_is_read_as_written(
            whole in 0_u32..1_000_000,
            thousandths in 0_u32..1_000,
            unit in prop::sample::select(vec![("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)]),
            operator in prop::sample::select(vec!["<", "<=", ">", ">=", "=="]),
            space in " {0,2}",
        ) {
            let (suffix, factor) = unit;
            let number: f64 = format!("{whole}.{thousandths:03}").parse().unwrap();
            let text = format!(
                "latency.p99{space}{operator}{space}{whole}.{thousandths:03}{space}{suffix}"
            );
            prop_assert_eq!(bound(&text), number * factor);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Check>();
            let _ = format!("latency.p99<{text}").parse::<Check>();
            let _ = format!("{text}<20ms").parse::<Check>();
        }
    }
}
