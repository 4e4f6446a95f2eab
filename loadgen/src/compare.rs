//! `loadgen compare`: whether one side is worse than the other, by one run of each or by several.
//!
//! It owns what a regression is. It must not know files, how runs are made or exit the process.
//!
//! Invariant: only valid runs of the same load are compared; a figure that one of them lacks is
//! never taken for an improvement, and what the runs can't tell is neither passed nor failed.

mod json;

use std::str::FromStr;

use crate::exit::{Exit, Failure};
use crate::paired::{self, Interval, PAIRS_MIN};
use crate::report::metrics::{Better, Metric};
use crate::report::units::{Unit, significant};
use crate::report::{CaseKind, Report, table};

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
        let ratio = Unit::Ratio
            .parse(amount)
            .map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Self { metric, ratio })
    }
}

/// A run and what it is called in messages.
pub type Run = (String, Report);

/// By what the second side differs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ratio {
    /// One run on each side, or a figure that was zero: taken as it is.
    Exact(f64),
    /// Several runs on each side.
    Between(Interval),
    /// Too few pairs for an interval.
    Open,
}

/// What the runs say about a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing was asked.
    Shown,
    /// No worse than allowed, with 95 % confidence where there are several runs.
    Pass,
    /// Worse than allowed, with 95 % confidence where there are several runs.
    Fail,
    /// It may be either.
    NotMeasurable,
}

/// One metric of both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    metric: Metric,
    /// The median of the runs.
    base: Option<f64>,
    new: Option<f64>,
    /// Of `new` to `base`; absent if a run has no figure.
    ratio: Option<Ratio>,
    /// How much worse it may become, when that was asked for.
    allowed: Option<f64>,
}

impl Row {
    fn of(
        metric: Metric,
        base: &[&Report],
        new: &[&Report],
        several: bool,
        limits: &[MaxRegress],
    ) -> Self {
        let values = |runs: &[&Report]| -> Vec<Option<f64>> {
            runs.iter().map(|run| metric.value(run)).collect()
        };
        let (base, new) = (values(base), values(new));
        let pairs: Option<Vec<(f64, f64)>> =
            base.iter().zip(&new).map(|(a, b)| (*a).zip(*b)).collect();
        let middle = |values: Vec<Option<f64>>| {
            let mut known: Vec<f64> = values.into_iter().flatten().collect();
            (!known.is_empty()).then(|| paired::median(&mut known))
        };
        Self {
            base: middle(base),
            new: middle(new),
            ratio: pairs.map(|pairs| Ratio::of(&pairs, several)),
            allowed: limits
                .iter()
                .filter(|limit| limit.metric == metric)
                .map(|limit| limit.ratio)
                .reduce(f64::min),
            metric,
        }
    }

    /// Whether it is worse than allowed; a missing figure is.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let Some(allowed) = self.allowed else {
            return Finding::Shown;
        };
        // How much of it there may be, whichever way it improves: growth of what should be small,
        // shrinkage of what should be large.
        let worse = |ratio: f64| match self.metric.better() {
            Better::Lower => ratio - 1.0 > allowed,
            Better::Higher => 1.0 - ratio > allowed,
        };
        match self.ratio {
            None => Finding::Fail,
            Some(Ratio::Open) => Finding::NotMeasurable,
            Some(Ratio::Exact(ratio)) if worse(ratio) => Finding::Fail,
            Some(Ratio::Exact(_)) => Finding::Pass,
            Some(Ratio::Between(Interval { low, high, .. })) => match (worse(low), worse(high)) {
                (true, true) => Finding::Fail,
                (false, false) => Finding::Pass,
                _ => Finding::NotMeasurable,
            },
        }
    }
}

impl Ratio {
    /// `several`: more than one run was made of each side, however many of them are left.
    fn of(pairs: &[(f64, f64)], several: bool) -> Self {
        let sum = |side: fn(&(f64, f64)) -> f64| pairs.iter().map(side).sum::<f64>();
        let (base, new) = (sum(|pair| pair.0), sum(|pair| pair.1));
        let is_counted = |&(a, b): &(f64, f64)| a <= 0.0 || b <= 0.0 || !(a + b).is_finite();
        if !several || pairs.iter().any(is_counted) {
            // Faults are counted, not estimated: from zero, every one is infinitely worse, and so is
            // what never comes.
            return Self::Exact(if base == new { 1.0 } else { new / base });
        }
        paired::ratio(pairs).map_or(Self::Open, Self::Between)
    }
}

/// Two sides beside each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// In the order in which they are shown.
    pub rows: Vec<Row>,
    /// Pairs of runs that were compared.
    pairs: usize,
    /// Pairs that were not, and why.
    left_out: Vec<String>,
    /// What the second side did that no relay may, and the first did not.
    broken: Vec<String>,
    /// Runs that were compared though they are invalid.
    accepted: usize,
}

/// Compares the runs of two sides, the first of one with the first of the other and so on. A run
/// that is invalid for no other reason than those in `accepted` (by their codes) counts as valid.
///
/// # Errors
/// Exit code 2 for different loads or unequal numbers of runs, 4 if no pair of valid runs is left.
pub fn compare(
    base: &[Run],
    new: &[Run],
    limits: &[MaxRegress],
    accepted: &[String],
) -> Result<Comparison, Failure> {
    if base.len() != new.len() || base.is_empty() {
        return Err(Failure::usage(format!(
            "{} and {} runs can't be compared; give as many of the one side as of the other",
            base.len(),
            new.len()
        )));
    }
    let (first_name, first) = &base[0];
    for (name, report) in base.iter().chain(new) {
        let differences = first.scenario.differences(&report.scenario, true);
        if !differences.is_empty() {
            return Err(Failure::usage(format!(
                "{first_name} and {name} are of different loads and cannot be compared: {}",
                differences.join("; ")
            )));
        }
    }
    let (bases, news, mut left_out) = valid_pairs(base, new, accepted);
    let broken = broken(base, new);
    if bases.is_empty() {
        left_out.extend(broken.iter().cloned());
        return Err(Failure {
            exit: if broken.is_empty() {
                Exit::InvalidRun
            } else {
                Exit::CheckFailed
            },
            message: left_out.join("; "),
        });
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
        .map(|metric| Row::of(metric, &bases, &news, base.len() > 1, limits))
        .filter(|row| row.allowed.is_some() || (row.base.is_some() && row.new.is_some()))
        .collect();
    let accepted = bases.iter().chain(&news);
    let accepted = accepted.filter(|run| !run.validity.reasons.is_empty());
    Ok(Comparison {
        rows,
        pairs: bases.len(),
        accepted: accepted.count(),
        left_out,
        broken,
    })
}

/// The pairs of which both runs are valid, but for what is accepted; and why others are not among them.
fn valid_pairs<'a>(
    base: &'a [Run],
    new: &'a [Run],
    accepted: &[String],
) -> (Vec<&'a Report>, Vec<&'a Report>, Vec<String>) {
    let mut left_out = Vec::new();
    let (mut bases, mut news) = (Vec::new(), Vec::new());
    for ((base_name, base), (new_name, new)) in base.iter().zip(new) {
        let invalid = [(base_name, base), (new_name, new)]
            .into_iter()
            .find_map(|(name, run)| {
                let mut reasons = run.validity.reasons.iter();
                Some((
                    name,
                    reasons.find(|reason| !accepted.contains(&reason.code))?,
                ))
            });
        match invalid {
            None => {
                bases.push(base);
                news.push(new);
            }
            Some((name, reason)) => left_out.push(format!(
                "{name} is of an invalid run and cannot be compared: {}",
                reason.message
            )),
        }
    }
    (bases, news, left_out)
}

/// The rules that a run of `new` has broken, be it an invalid one, and no run of `base`.
fn broken(base: &[Run], new: &[Run]) -> Vec<String> {
    let rules = |(name, run): &Run| -> Vec<(String, String)> {
        let verdict = run.verdict.iter();
        let failed = verdict.flat_map(|verdict| verdict.failed());
        failed
            .filter(|case| case.kind == CaseKind::Rule)
            .map(|case| (case.name.clone(), format!("{name}: {}", case.message)))
            .collect()
    };
    let known: Vec<(String, String)> = base.iter().flat_map(rules).collect();
    let is_new = |(rule, _): &(String, String)| !known.iter().any(|(known, _)| known == rule);
    let all = new.iter().flat_map(rules);
    all.filter(is_new).map(|(_, message)| message).collect()
}

impl Comparison {
    /// How the comparison ends the process.
    #[must_use]
    pub fn verdict(&self) -> Exit {
        let found = |finding| self.rows.iter().any(|row| row.finding() == finding);
        if found(Finding::Fail) || !self.broken.is_empty() {
            Exit::CheckFailed
        } else if found(Finding::NotMeasurable) {
            Exit::NotMeasurable
        } else {
            Exit::Passed
        }
    }

    /// The comparison as a table.
    #[must_use]
    pub fn render(&self) -> String {
        let several = self.pairs + self.left_out.len() > 1;
        let mut text = String::new();
        for reason in &self.left_out {
            text.push_str(&format!("left out: {reason}\n"));
        }
        for reason in &self.broken {
            text.push_str(&format!("FAIL: {reason}\n"));
        }
        if self.accepted > 0 {
            text.push_str(&format!(
                "accepted: {} of {} runs are invalid\n",
                self.accepted,
                2 * self.pairs
            ));
        }
        if several {
            text.push_str(&format!(
                "{} pairs of runs: medians, and the ratio with its 95 % interval\n\n",
                self.pairs
            ));
        }
        let between = if several { "95 % between" } else { "" };
        let heads = ["metric", "base", "new", "new/base", between, "allowed", ""];
        let mut lines = vec![heads.map(str::to_owned).to_vec()];
        lines.extend(self.rows.iter().map(line));
        if !several {
            for line in &mut lines {
                line.remove(4);
            }
        }
        text.push_str(&table::columns(&lines));
        if self.verdict() == Exit::NotMeasurable {
            text.push_str(if self.pairs < PAIRS_MIN {
                "\nnot measurable now: at least 5 pairs of valid runs are needed\n"
            } else {
                "\nnot measurable now: the interval holds what is allowed and what is not; \
                 more or longer runs, or a quieter machine, make it narrower\n"
            });
        }
        text
    }
}

fn line(row: &Row) -> Vec<String> {
    let unit = row.metric.unit();
    let show = |value: Option<f64>| value.map_or("-".to_owned(), |value| unit.show(value));
    let (ratio, between) = match row.ratio {
        Some(Ratio::Exact(1.0)) => ("1".to_owned(), String::new()),
        Some(Ratio::Exact(ratio)) if ratio.is_finite() => (significant(ratio), String::new()),
        Some(Ratio::Between(interval)) => (
            format!("{:.3}", interval.middle),
            format!("{:.3} - {:.3}", interval.low, interval.high),
        ),
        _ => ("-".to_owned(), String::new()),
    };
    let allowed = row.allowed.map_or(String::new(), |allowed| {
        let sign = match row.metric.better() {
            Better::Lower => '+',
            Better::Higher => '-',
        };
        format!("{sign}{}", Unit::Ratio.show(allowed))
    });
    let finding = match row.finding() {
        Finding::Shown => "",
        Finding::Pass => "pass",
        Finding::Fail => "FAIL",
        Finding::NotMeasurable => "not measurable",
    };
    vec![
        row.metric.name().to_owned(),
        show(row.base),
        show(row.new),
        ratio,
        between,
        allowed,
        finding.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate;
    use crate::report::{Reason, sample};

    fn limit(text: &str) -> MaxRegress {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn verdict(base: &Report, new: &Report, limits: &[&str]) -> Exit {
        let limits: Vec<MaxRegress> = limits.iter().map(|text| limit(text)).collect();
        compare(&one("base", base), &one("new", new), &limits, &[])
            .unwrap()
            .verdict()
    }

    fn one(name: &str, report: &Report) -> Vec<Run> {
        vec![(name.to_owned(), report.clone())]
    }

    /// Runs that delivered so much in time.
    fn runs(delivered: &[u64]) -> Vec<Run> {
        let run = |(index, &delivered): (usize, &u64)| {
            let mut report = sample::report();
            report.counts.delivered_in_time = Some(delivered);
            (format!("run {index}"), report)
        };
        delivered.iter().enumerate().map(run).collect()
    }

    #[test]
    fn several_runs_pass_fail_or_leave_it_open() {
        let base = runs(&[540, 530, 550, 541, 539]);
        let judged = |new: &[u64], percent: &str| {
            let limit = limit(&format!("rate={percent}"));
            let comparison = compare(&base, &runs(new), &[limit], &[]).unwrap();
            (comparison.verdict(), comparison.render())
        };
        let (verdict, text) = judged(&[541, 529, 549, 543, 538], "5%");
        assert_eq!(verdict, Exit::Passed, "{text}");
        assert!(
            text.contains("5 pairs of runs") && text.contains(" - 1.0"),
            "{text}"
        );
        let (verdict, text) = judged(&[481, 479, 490, 485, 476], "5%");
        assert_eq!(verdict, Exit::CheckFailed, "{text}");
        let (verdict, text) = judged(&[600, 480, 560, 470, 530], "5%");
        assert_eq!(verdict, Exit::NotMeasurable, "{text}");
        assert!(text.contains("not measurable now: the interval"), "{text}");
        assert_eq!(judged(&[600, 480, 560, 470, 530], "40%").0, Exit::Passed);
        assert_eq!(judged(&[900, 920, 910, 890, 900], "0%").0, Exit::Passed);
    }

    #[test]
    fn invalid_runs_take_their_pair_with_them() {
        let base = runs(&[540; 6]);
        let mut new = runs(&[540, 100, 540, 540, 540, 540]);
        let reason = Reason {
            code: "nothing_measured".to_owned(),
            message: "not one delivery was measured".to_owned(),
        };
        new[1].1.validity.reasons.push(reason.clone());
        let comparison = compare(&base, &new, &[limit("rate=1%")], &[]).unwrap();
        assert_eq!(comparison.verdict(), Exit::Passed);
        let text = comparison.render();
        assert!(
            text.starts_with("left out: run 1 is of an invalid run"),
            "{text}"
        );
        new[2].1.validity.reasons.push(reason);
        let new_reason = new[2].1.validity.reasons.clone();
        let comparison = compare(&base, &new, &[limit("rate=1%")], &[]).unwrap();
        assert_eq!(comparison.verdict(), Exit::NotMeasurable);
        assert!(comparison.render().contains("at least 5 pairs"));
        // One that is left of several is no more than one that was made alone.
        for run in &mut new[2..] {
            run.1.validity.reasons = new_reason.clone();
        }
        let comparison = compare(&base, &new, &[limit("rate=1%")], &[]).unwrap();
        assert_eq!(comparison.verdict(), Exit::NotMeasurable);
        let accepted = ["nothing_measured".to_owned()];
        let comparison = compare(&base, &new, &[limit("rate=60%")], &accepted).unwrap();
        assert_eq!(comparison.verdict(), Exit::Passed);
        assert!(comparison.render().starts_with("accepted: 5 of 12 runs"));
    }

    #[test]
    fn faults_of_several_runs_are_counted_together() {
        let base = runs(&[540; 5]);
        let mut lossy = base.clone();
        lossy[3].1.counts.lost = 1;
        let judged = |base: &[Run], new: &[Run]| {
            compare(base, new, &[limit("lost=0%")], &[])
                .unwrap()
                .verdict()
        };
        assert_eq!(judged(&base, &lossy), Exit::CheckFailed);
        assert_eq!(judged(&base, &base), Exit::Passed);
        assert_eq!(judged(&lossy, &base), Exit::Passed);
    }

    #[test]
    fn sides_of_different_length_are_refused() {
        let failure = compare(&runs(&[540; 5]), &runs(&[540; 4]), &[], &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.starts_with("5 and 4 runs"), "{failure}");
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
        let failure = compare(&one("a", &base), &one("b", &invalid), &[], &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::InvalidRun);
        assert!(
            failure.message.starts_with("b is of an invalid run"),
            "{failure}"
        );
        let mut other = base.clone();
        other.scenario.clients = 30;
        let failure = compare(&one("a", &base), &one("b", &other), &[], &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("clients 20 and 30"), "{failure}");
    }

    #[test]
    fn the_table_shows_ratios_and_verdicts() {
        let base = sample::report();
        let mut new = base.clone();
        new.counts.delivered_in_time = Some(270);
        let comparison =
            compare(&one("a", &base), &one("b", &new), &[limit("rate=10%")], &[]).unwrap();
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

    #[test]
    fn what_never_came_is_worse_than_any_time() {
        let base = sample::report();
        let mut lossy = base.clone();
        lossy.counts.lost = 60;
        assert_eq!(verdict(&base, &lossy, &["p99=1000%"]), Exit::CheckFailed);
        assert_eq!(verdict(&lossy, &lossy, &["p99=0%"]), Exit::Passed);
        assert_eq!(verdict(&lossy, &base, &["p99=0%"]), Exit::Passed);
        let runs = |report: &Report| vec![("run".to_owned(), report.clone()); 5];
        let limits = [limit("p99=1000%")];
        let several = compare(&runs(&base), &runs(&lossy), &limits, &[]).unwrap();
        assert_eq!(several.verdict(), Exit::CheckFailed);
    }

    #[test]
    fn a_rule_that_only_the_second_side_breaks_fails_without_a_limit() {
        let mut base = sample::report();
        gate::judge_all(&[], &[], &mut base);
        let mut leaky = sample::report();
        leaky.counts.leaked = 1;
        gate::judge_all(&[], &[], &mut leaky);
        assert_eq!(verdict(&base, &leaky, &[]), Exit::CheckFailed);
        assert_eq!(verdict(&leaky, &leaky, &[]), Exit::Passed);
        assert_eq!(verdict(&leaky, &base, &[]), Exit::Passed);
        let mut allowed = sample::report();
        allowed.counts.leaked = 1;
        gate::judge_all(&[], &["leaked=1".parse().unwrap()], &mut allowed);
        assert_eq!(verdict(&base, &allowed, &[]), Exit::Passed);
        // In an invalid run it is no less done.
        leaky.validity.reasons.push(crate::report::Reason {
            code: "nothing_measured".to_owned(),
            message: "nothing".to_owned(),
        });
        let run = |report: &Report| vec![("run".to_owned(), report.clone())];
        let failure = compare(&run(&base), &run(&leaky), &[], &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::CheckFailed, "{failure}");
    }
}
