//! The one table of metrics: what a check, a comparison and a table row can be about.
//!
//! It owns names, units and which direction is better, and finds near matches for a name that
//! does not exist. It must not know who asks.
//!
//! Invariant: a metric has no value when nothing was measured. Zero is never made up, because
//! `latency.p99` of an empty histogram would pass every gate. What never came is later than
//! everything that did: infinite, wherever a percentile reaches it.

mod table;

use std::collections::BTreeMap;
use std::fmt;

use strsim::levenshtein;
use table::{DISTRIBUTIONS, NUMBERS};

use super::histogram::PERCENTILES;
use super::model::Report;
use super::units::Unit;

/// Which way a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// A number taken from a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Statistic {
    Min,
    Mean,
    Max,
    /// 0 < percentile <= 100.
    Percentile(f64),
}

/// Something that can be checked, compared or shown.
#[derive(Clone, Debug)]
pub struct Metric {
    name: String,
    of: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// Index into [`DISTRIBUTIONS`].
    Distribution(usize, Statistic),
    /// Index into [`NUMBERS`].
    Number(usize),
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Metric {
    /// Finds a metric by its full name, or by its short one (`p99` is `latency.p99`).
    ///
    /// # Errors
    /// One line with the names that come close, or with all of them.
    pub fn find(name: &str) -> Result<Self, String> {
        Self::exact(name)
            .or_else(|| Self::exact(&format!("latency.{name}")))
            .ok_or_else(|| unknown(name))
    }

    fn exact(name: &str) -> Option<Self> {
        if let Some(index) = NUMBERS.iter().position(|number| number.name == name) {
            return Some(Self {
                name: name.to_owned(),
                of: Source::Number(index),
            });
        }
        // Names and percentiles have dots of their own.
        let (index, statistic) = { DISTRIBUTIONS.iter().enumerate() }.find_map(|(index, it)| {
            Some((index, name.strip_prefix(it.name)?.strip_prefix('.')?))
        })?;
        Some(Self {
            name: name.to_owned(),
            of: Source::Distribution(index, parse_statistic(statistic)?),
        })
    }

    /// The full name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its number counts.
    #[must_use]
    pub fn unit(&self) -> Unit {
        match self.of {
            Source::Distribution(..) => Unit::Nanoseconds,
            Source::Number(index) => NUMBERS[index].unit,
        }
    }

    /// Which way it improves.
    #[must_use]
    pub fn better(&self) -> Better {
        match self.of {
            Source::Distribution(..) => Better::Lower,
            Source::Number(index) => NUMBERS[index].better,
        }
    }

    /// Whether it exists only when the server's process was watched.
    #[must_use]
    pub fn needs_server(&self) -> bool {
        self.name.starts_with("server.")
    }

    /// Its value in its base unit; `None` when nothing was measured.
    #[must_use]
    pub fn value(&self, report: &Report) -> Option<f64> {
        match self.of {
            Source::Number(index) => (NUMBERS[index].of)(report),
            Source::Distribution(index, statistic) => {
                let times = (DISTRIBUTIONS[index].of)(report);
                if times.is_empty() {
                    return None;
                }
                Some(match statistic {
                    Statistic::Min => times.min(),
                    Statistic::Mean => times.mean(),
                    Statistic::Max => times.max(),
                    Statistic::Percentile(p) => times.percentile(p),
                })
            }
        }
    }
}

fn parse_statistic(name: &str) -> Option<Statistic> {
    match name {
        "min" => Some(Statistic::Min),
        "mean" => Some(Statistic::Mean),
        "max" => Some(Statistic::Max),
        _ => {
            let digits = name.strip_prefix('p')?;
            let plain = digits.starts_with(|c: char| c.is_ascii_digit())
                && digits.ends_with(|c: char| c.is_ascii_digit())
                && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
            let percentile: f64 = digits.parse().ok().filter(|_| plain)?;
            (percentile > 0.0 && percentile <= 100.0).then_some(Statistic::Percentile(percentile))
        }
    }
}

/// Every metric that is listed by name: distributions with the usual statistics, then numbers.
#[must_use]
pub fn listed() -> Vec<Metric> {
    let mut names = Vec::new();
    for distribution in DISTRIBUTIONS {
        for statistic in statistics() {
            names.push(format!("{}.{statistic}", distribution.name));
        }
    }
    names.extend(NUMBERS.iter().map(|number| number.name.to_owned()));
    names
        .iter()
        .filter_map(|name| Metric::exact(name))
        .collect()
}

/// Every listed metric that has a value, by name.
#[must_use]
pub fn all(report: &Report) -> BTreeMap<String, f64> {
    listed()
        .into_iter()
        .filter_map(|metric| {
            let value = metric.value(report)?;
            Some((metric.name, value))
        })
        .collect()
}

/// The list of metrics for `--help`, one a line, indented by two.
#[must_use]
pub fn catalogue() -> String {
    let mut text = String::new();
    for distribution in DISTRIBUTIONS {
        text.push_str(&format!(
            "  {:<30} {}\n",
            format!("{}.*", distribution.name),
            distribution.about
        ));
    }
    for number in NUMBERS {
        text.push_str(&format!("  {:<30} {}\n", number.name, number.about));
    }
    text
}

fn statistics() -> impl Iterator<Item = &'static str> {
    ["min", "mean"]
        .into_iter()
        .chain(PERCENTILES.iter().map(|(name, _)| *name))
        .chain(["max"])
}

/// The message for a name that does not exist.
fn unknown(name: &str) -> String {
    let listed = listed();
    let mut near: Vec<(usize, &str)> = listed
        .iter()
        .map(|metric| (levenshtein(name, &metric.name), metric.name.as_str()))
        .filter(|&(distance, candidate)| {
            distance <= name.len().max(4) / 3 || shares_word(name, candidate)
        })
        .collect();
    near.sort();
    near.truncate(6);
    let words: Vec<&str> = near.into_iter().map(|(_, name)| name).collect();
    if words.is_empty() {
        let families: Vec<String> = DISTRIBUTIONS
            .iter()
            .map(|distribution| distribution.name.to_owned() + ".*")
            .chain(NUMBERS.iter().map(|number| number.name.to_owned()))
            .collect();
        format!(
            "unknown metric {name:?}; there are {} (where * is min, mean, max or a percentile such as p99.9)",
            families.join(", ")
        )
    } else {
        format!(
            "unknown metric {name:?}; did you mean {}? (`loadgen --help` lists all)",
            words.join(", ")
        )
    }
}

/// True when a dotted part of `candidate` is a dotted part of `name`.
fn shares_word(name: &str, candidate: &str) -> bool {
    candidate
        .split('.')
        .any(|part| part.len() > 2 && name.split(['.', '_', '-']).any(|word| word == part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_listed_name_finds_itself() {
        let listed = listed();
        assert_eq!(listed.len(), DISTRIBUTIONS.len() * 8 + NUMBERS.len());
        for metric in listed {
            assert_eq!(Metric::find(metric.name()).unwrap(), metric);
        }
    }

    #[test]
    fn short_names_are_about_latency() {
        assert_eq!(Metric::find("p99.9").unwrap().name(), "latency.p99.9");
        assert_eq!(Metric::find("max").unwrap().name(), "latency.max");
        assert_eq!(Metric::find("lost").unwrap().name(), "lost");
    }

    #[test]
    fn any_percentile_is_a_metric() {
        let report = sample::report();
        let p95 = Metric::find("latency.p95").unwrap();
        assert_eq!(
            p95.value(&report),
            Some(report.histograms.latency.value_at_percentile(95.0) as f64)
        );
        for bad in [
            "p0", "p101", "p", "p.5", "p9.", "p1e1", "pNaN", "p-3", "q99",
        ] {
            assert!(Metric::find(&format!("latency.{bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_typing_error_is_answered_with_what_was_meant() {
        let table = [
            ("latency.p99,9", "latency.p99.9"),
            ("latncy.p99", "latency.p99"),
            ("loss", "lost"),
            ("server.cpu", "server.cpu_per_delivery"),
            ("duplicate", "duplicates"),
        ];
        for (typed, meant) in table {
            let message = Metric::find(typed).unwrap_err();
            assert!(message.contains(meant), "{typed}: {message}");
        }
        let message = Metric::find("zzzzzzzz").unwrap_err();
        assert!(
            message.contains("latency.*") && message.contains("server.rss_peak"),
            "{message}"
        );
    }

    #[test]
    fn nothing_measured_is_no_value() {
        let mut report = sample::report();
        report.histograms.latency = crate::outcome::empty_histogram();
        report.counts.expected = 0;
        report.server = None;
        for name in [
            "latency.p99",
            "latency.min",
            "loss_ratio",
            "server.rss_peak",
        ] {
            assert_eq!(Metric::find(name).unwrap().value(&report), None, "{name}");
        }
        assert!(!all(&report).contains_key("latency.p99"));
        assert_eq!(all(&report)["lost"], 0.0);
    }

    #[test]
    fn distance_counts_edits() {
        for (a, b, want) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)] {
            assert_eq!(levenshtein(a, b), want, "{a} {b}");
        }
    }
}
