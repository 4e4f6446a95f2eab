//! `loadgen compare`: whether a run is worse than the one before.
//!
//! It owns what a regression is. It must not know files or exit the process.
//!
//! Invariant: only valid runs of the same load are compared; a figure that one of them lacks is
//! never taken for an improvement.

use std::str::FromStr;

use crate::exit::{Exit, Failure};
use crate::gate;
use crate::report::metrics::{Better, Metric};
use crate::report::units::{Unit, significant};
use crate::report::{Report, table};

/// Metrics that are always shown.
const SHOWN: [&str; 16] = [
    "latency.p50",
    "latency.p90",
    "latency.p99",
    "latency.p99.9",
    "latency.p99.99",
    "latency.max",
    "connect.p99",
    "tls.p99",
    "join.p99",
    "rate",
    "lost",
    "duplicates",
    "reordered",
    "server.user_per_delivery",
    "server.cpu_per_delivery",
    "server.memory_per_connection",
];

/// How much worse a metric may become: `p99=10%`.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxRegress {
    metric: Metric,
    /// 0.1 for 10 %.
    ratio: f64,
}

impl FromStr for MaxRegress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, amount) = text.split_once('=').ok_or_else(|| {
            format!("{text:?} has no '='; write METRIC=PERCENT, for example p99=10%")
        })?;
        let metric = Metric::find(name.trim())?;
        if !amount.trim_end().ends_with('%') {
            return Err(format!(
                "{text:?} has no percent sign; write METRIC=PERCENT, for example p99=10%"
            ));
        }
        let ratio = gate::parse_amount(amount, Unit::Ratio)
            .map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Self { metric, ratio })
    }
}

/// One metric of both runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    metric: Metric,
    base: Option<f64>,
    new: Option<f64>,
    /// How much worse it may become, when that was asked for.
    allowed: Option<f64>,
}

impl Row {
    /// By what share the metric became worse; negative when it improved. Infinite when it was
    /// zero and is not any more.
    fn worse_by(&self) -> Option<f64> {
        let (base, new) = (self.base?, self.new?);
        let growth = if new == base { 0.0 } else { new / base - 1.0 };
        Some(match self.metric.better() {
            Better::Lower => growth,
            Better::Higher => -growth,
        })
    }

    /// Whether it is worse than allowed; a missing figure is.
    #[must_use]
    pub fn regressed(&self) -> bool {
        self.allowed
            .is_some_and(|allowed| self.worse_by().is_none_or(|worse| worse > allowed))
    }
}

/// Two runs side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// In the order in which they are shown.
    pub rows: Vec<Row>,
}

/// Compares two reports, each with the name it is called by in messages.
///
/// # Errors
/// Exit code 4 for an invalid report, 2 for different loads.
pub fn compare(
    base: (&str, &Report),
    new: (&str, &Report),
    limits: &[MaxRegress],
) -> Result<Comparison, Failure> {
    for (name, report) in [base, new] {
        if let Some(reason) = report.validity.reasons.first() {
            return Err(Failure::invalid_run(format!(
                "{name} is of an invalid run and cannot be compared: {}",
                reason.message
            )));
        }
    }
    let differences = base.1.scenario.differences(&new.1.scenario, true);
    if !differences.is_empty() {
        return Err(Failure::usage(format!(
            "{} and {} are of different loads and cannot be compared: {}",
            base.0,
            new.0,
            differences.join("; ")
        )));
    }
    let mut metrics: Vec<Metric> = SHOWN
        .iter()
        .filter_map(|name| Metric::find(name).ok())
        .collect();
    for limit in limits {
        if !metrics.contains(&limit.metric) {
            metrics.push(limit.metric.clone());
        }
    }
    let rows = metrics
        .into_iter()
        .map(|metric| Row {
            base: metric.value(base.1),
            new: metric.value(new.1),
            allowed: limits
                .iter()
                .filter(|limit| limit.metric == metric)
                .map(|limit| limit.ratio)
                .reduce(f64::min),
            metric,
        })
        .filter(|row| row.allowed.is_some() || (row.base.is_some() && row.new.is_some()))
        .collect();
    Ok(Comparison { rows })
}

impl Comparison {
    /// How the comparison ends the process.
    #[must_use]
    pub fn verdict(&self) -> Exit {
        if self.rows.iter().any(Row::regressed) {
            Exit::CheckFailed
        } else {
            Exit::Passed
        }
    }

    /// The comparison as a table.
    #[must_use]
    pub fn render(&self) -> String {
        let heads = ["metric", "base", "new", "new/base", "allowed", ""];
        let mut lines = vec![heads.map(str::to_owned).to_vec()];
        for row in &self.rows {
            let unit = row.metric.unit();
            let show = |value: Option<f64>| value.map_or("-".to_owned(), |value| unit.show(value));
            lines.push(vec![
                row.metric.name().to_owned(),
                show(row.base),
                show(row.new),
                ratio(row),
                row.allowed.map_or(String::new(), |allowed| {
                    let sign = match row.metric.better() {
                        Better::Lower => '+',
                        Better::Higher => '-',
                    };
                    format!("{sign}{}", Unit::Ratio.show(allowed))
                }),
                match (row.allowed, row.regressed()) {
                    (None, _) => "",
                    (Some(_), false) => "pass",
                    (Some(_), true) => "FAIL",
                }
                .to_owned(),
            ]);
        }
        table::columns(&lines)
    }
}

fn ratio(row: &Row) -> String {
    match (row.base, row.new) {
        (Some(base), Some(new)) if base == new => "1".to_owned(),
        (Some(base), Some(new)) if base > 0.0 => significant(new / base),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Reason, sample};

    fn limit(text: &str) -> MaxRegress {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn verdict(base: &Report, new: &Report, limits: &[&str]) -> Exit {
        let limits: Vec<MaxRegress> = limits.iter().map(|text| limit(text)).collect();
        compare(("base", base), ("new", new), &limits)
            .unwrap()
            .verdict()
    }

    #[test]
    fn limits_that_can_be_read() {
        for (text, name, ratio) in [
            ("p99=10%", "latency.p99", 10.0 * 0.01),
            ("latency.p99.9 = 2.5 %", "latency.p99.9", 2.5 * 0.01),
            ("rate=0%", "rate", 0.0),
            (
                "server.cpu_per_delivery=5%",
                "server.cpu_per_delivery",
                5.0 * 0.01,
            ),
        ] {
            let limit = limit(text);
            assert_eq!((limit.metric.name(), limit.ratio), (name, ratio), "{text}");
        }
    }

    #[test]
    fn limits_that_cannot_say_what_to_write() {
        for (text, want) in [
            ("p99", "no '='"),
            ("p99=10", "no percent sign"),
            ("p99=-10%", "negative"),
            ("p99=x%", "begin with a number"),
            ("p99=10ms%", "does not fit"),
            ("latncy.p99=10%", "did you mean latency.p99"),
        ] {
            let error = text.parse::<MaxRegress>().unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    #[test]
    fn slower_is_worse_and_less_throughput_is_worse() {
        let base = sample::report();
        let mut slow = base.clone();
        slow.histograms.latency = sample::ladder(44_000, 11_000, 540);
        let p99 = |report: &Report| report.histograms.latency.value_at_percentile(99.0) as f64;
        assert!(p99(&slow) / p99(&base) > 1.5);
        assert_eq!(verdict(&base, &slow, &["p99=50%"]), Exit::CheckFailed);
        assert_eq!(verdict(&base, &slow, &["p99=10000%"]), Exit::Passed);
        assert_eq!(verdict(&slow, &base, &["p99=0%"]), Exit::Passed);
        assert_eq!(verdict(&base, &slow, &[]), Exit::Passed);

        let mut less = base.clone();
        less.counts.delivered_in_time = Some(480);
        assert_eq!(verdict(&base, &less, &["rate=10%"]), Exit::CheckFailed);
        assert_eq!(verdict(&base, &less, &["rate=12%"]), Exit::Passed);
        assert_eq!(verdict(&less, &base, &["rate=0%"]), Exit::Passed);
    }

    #[test]
    fn the_strictest_limit_counts() {
        let base = sample::report();
        let mut less = base.clone();
        less.counts.delivered_in_time = Some(480);
        assert_eq!(
            verdict(&base, &less, &["rate=50%", "rate=1%"]),
            Exit::CheckFailed
        );
    }

    #[test]
    fn from_zero_is_infinitely_worse() {
        let base = sample::report();
        let mut lossy = base.clone();
        lossy.counts.lost = 1;
        assert_eq!(verdict(&base, &lossy, &["lost=1000%"]), Exit::CheckFailed);
        assert_eq!(verdict(&base, &base, &["lost=0%"]), Exit::Passed);
        assert_eq!(verdict(&lossy, &base, &["lost=0%"]), Exit::Passed);
    }

    #[test]
    fn a_missing_figure_is_a_regression() {
        let base = sample::report();
        let mut blind = base.clone();
        blind.server = None;
        for (a, b) in [(&base, &blind), (&blind, &base)] {
            assert_eq!(
                verdict(a, b, &["server.cpu_per_delivery=10%"]),
                Exit::CheckFailed
            );
            assert_eq!(verdict(a, b, &["p99=10%"]), Exit::Passed);
        }
    }

    #[test]
    fn invalid_runs_and_other_loads_are_refused() {
        let base = sample::report();
        let mut invalid = base.clone();
        invalid.validity.reasons.push(Reason {
            code: "nothing_measured".to_owned(),
            message: "not one delivery was measured".to_owned(),
        });
        let failure = compare(("a", &base), ("b", &invalid), &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::InvalidRun);
        assert!(
            failure.message.starts_with("b is of an invalid run"),
            "{failure}"
        );
        let mut other = base.clone();
        other.scenario.clients = 30;
        let failure = compare(("a", &base), ("b", &other), &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("clients 20 and 30"), "{failure}");
    }

    #[test]
    fn the_table_shows_ratios_and_verdicts() {
        let base = sample::report();
        let mut new = base.clone();
        new.counts.delivered_in_time = Some(270);
        let comparison = compare(("a", &base), ("b", &new), &[limit("rate=10%")]).unwrap();
        let text = comparison.render();
        let rate: Vec<&str> = text
            .lines()
            .find(|line| line.starts_with("rate"))
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!(
            rate,
            ["rate", "180/s", "90/s", "0.500", "-10", "%", "FAIL"],
            "{text}"
        );
    }
}
