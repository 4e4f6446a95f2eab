//! A comparison for programs: the same verdict, figures and words as the table.
//!
//! Owns the schema `roomcast.loadgen.compare/1`. Must not know how anything was judged.
//! Invariant: within schema version 1 fields are added, never renamed, removed or given another unit.

use serde::Serialize;

use super::{Comparison, Finding, Ratio, Row};
use crate::exit::Exit;
use crate::report::amount;
use crate::report::units::Unit;

const SCHEMA: &str = "roomcast.loadgen.compare/1";

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    verdict: &'static str,
    exit_code: u8,
    /// Pairs of runs that were compared.
    pairs: usize,
    /// Why others were not.
    left_out: &'a [String],
    /// What the second side did that no relay may.
    broken: &'a [String],
    /// Invalid runs that were compared all the same (`--accept`).
    accepted: usize,
    metrics: Vec<Metric<'a>>,
}

#[derive(Serialize)]
struct Metric<'a> {
    name: &'a str,
    unit: Unit,
    /// The medians of both sides.
    #[serde(with = "amount::option")]
    base: Option<f64>,
    #[serde(with = "amount::option")]
    new: Option<f64>,
    /// Of `new` to `base`, and what it lies between with 95 % confidence; absent where that is not known.
    ratio: Option<f64>,
    ratio_low: Option<f64>,
    ratio_high: Option<f64>,
    /// How much worse it may be; 0.1 for 10 %.
    max_regress: Option<f64>,
    finding: &'static str,
}

impl<'a> Metric<'a> {
    fn of(row: &'a Row) -> Self {
        let (ratio, between) = match row.ratio {
            // JSON has no infinity: who came from nothing has no ratio.
            Some(Ratio::Exact(ratio)) => (Some(ratio).filter(|ratio| ratio.is_finite()), None),
            Some(Ratio::Between(interval)) => (Some(interval.middle), Some(interval)),
            Some(Ratio::Open) | None => (None, None),
        };
        Self {
            name: row.metric.name(),
            unit: row.metric.unit(),
            base: row.base,
            new: row.new,
            ratio,
            ratio_low: between.map(|interval| interval.low),
            ratio_high: between.map(|interval| interval.high),
            max_regress: row.allowed,
            finding: match row.finding() {
                Finding::Shown => "shown",
                Finding::Pass => "pass",
                Finding::Fail => "fail",
                Finding::NotMeasurable => "not_measurable",
            },
        }
    }
}

impl Comparison {
    /// As JSON, ending in a line break.
    #[must_use]
    pub fn to_json(&self) -> String {
        let exit = self.verdict();
        let json = Json {
            schema: SCHEMA,
            verdict: match exit {
                Exit::Passed => "passed",
                Exit::NotMeasurable => "not_measurable",
                _ => "failed",
            },
            exit_code: exit.code(),
            pairs: self.pairs,
            left_out: &self.left_out,
            broken: &self.broken,
            accepted: self.accepted,
            metrics: self.rows.iter().map(Metric::of).collect(),
        };
        let mut text = serde_json::to_string_pretty(&json).expect("string keys and numbers only");
        text.push('\n');
        text
    }
}
