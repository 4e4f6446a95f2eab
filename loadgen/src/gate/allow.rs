//! `--allow lost=0.1%`: how much of what must not happen is tolerated, and the rules judged by that.
//!
//! It owns how that is spelled and what it forgives. It must not know what a rule counts.
//!
//! Invariant: nothing is tolerated that was not named.

use std::str::FromStr;

use strsim::levenshtein;

use super::rules::{RULES, Rule, is_the_servers};
use crate::report::units::count;
use crate::report::{Case, CaseKind, CaseStatus, Report};

/// One tolerance, as typed behind `--allow`.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowance {
    name: &'static str,
    most: Most,
    /// The amount as it was typed.
    amount: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Most {
    Times(u64),
    /// 0 to 1.
    Share(f64),
}

impl Allowance {
    /// Whether it is about this rule.
    pub(super) fn is_for(&self, rule: &Rule) -> bool {
        self.name == rule.name
    }

    /// Whether so many times out of so many are tolerated.
    pub(super) fn covers(&self, times: u64, of: u64) -> bool {
        match self.most {
            Most::Times(most) => times <= most,
            Most::Share(most) => times as f64 <= most * of as f64,
        }
    }

    /// How much, as it was typed.
    pub(super) fn amount(&self) -> &str {
        &self.amount
    }
}

impl FromStr for Allowance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "for example lost=0.1% or disconnects=3";
        let (name, amount) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} has no '='; write NAME=AMOUNT, {example}"))?;
        let (name, amount) = (name.trim(), amount.trim());
        let rule = RULES.iter().find(|rule| rule.name == name);
        let rule = rule.ok_or_else(|| unknown(name))?;
        let most = match amount.strip_suffix('%') {
            Some(percent) => {
                let percent: Option<f64> = percent.trim_end().parse().ok();
                let share = percent.map(|percent| percent * 0.01);
                share
                    .filter(|share| (0.0..=1.0).contains(share))
                    .map(Most::Share)
            }
            None => amount.replace('_', "").parse().ok().map(Most::Times),
        };
        let most = most.ok_or_else(|| {
            format!(
                "{text:?}: {amount:?} is neither a number of times nor 0 to 100 %; write {example}"
            )
        })?;
        Ok(Self {
            name: rule.name,
            most,
            amount: match most {
                Most::Times(times) => count(times),
                Most::Share(_) => amount.to_owned(),
            },
        })
    }
}

impl Rule {
    /// Judges a report by this rule; without an `allowance`, once is too often.
    pub(super) fn judge(&self, allowance: Option<&Allowance>, report: &Report) -> Case {
        let (times, of) = ((self.count)(report), (self.of)(report));
        let kept = allowance.map_or(times == 0, |allowance| allowance.covers(times, of));
        let valid = report.validity.valid;
        let status = match kept {
            true if valid => CaseStatus::Passed,
            false if valid || is_the_servers(self.name, report) => CaseStatus::Failed,
            _ => CaseStatus::Open,
        };
        let rules = if self.name == "violations" && times > 0 {
            let broken = report.connections.violations.keys();
            let broken: Vec<&str> = broken.map(String::as_str).collect();
            format!(" ({})", broken.join("; "))
        } else {
            String::new()
        };
        let told = match (times, allowance) {
            (0, _) => "it never happened".to_owned(),
            (_, None) => format!("{} of {} {}{rules}", count(times), count(of), self.happened),
            (_, Some(allowance)) => format!(
                "{} of {} {}{rules}: {} {}",
                count(times),
                count(of),
                self.happened,
                allowance.amount(),
                if kept {
                    "is allowed"
                } else {
                    "at most is allowed"
                }
            ),
        };
        let open = status == CaseStatus::Open;
        Case {
            name: self.holds.to_owned(),
            kind: CaseKind::Rule,
            happened: times > 0,
            status,
            message: if open {
                format!("not decided, as the run is invalid: {told}")
            } else {
                told
            },
        }
    }
}

/// The message for a name that does not exist.
fn unknown(name: &str) -> String {
    let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    let near = |candidate: &&&str| {
        levenshtein(name, candidate) <= name.len().max(4) / 2
            || (name.len() > 2 && candidate.contains(name))
    };
    let nearest = names
        .iter()
        .filter(near)
        .min_by_key(|candidate| levenshtein(name, candidate));
    match nearest {
        Some(nearest) => format!("{name:?} can't be allowed; did you mean {nearest}?"),
        None => format!("{name:?} can't be allowed; there are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_times_or_shares() {
        for (text, times, of, covered) in [
            ("lost=0.1%", 10, 10_000, true),
            ("lost=0.1%", 11, 10_000, false),
            ("lost = 100 %", 7, 7, true),
            ("lost=0%", 1, 100, false),
            ("disconnects=3", 3, 3, true),
            ("disconnects=3", 4, 1_000_000, false),
            ("duplicates=1_000", 1_000, 1_000, true),
        ] {
            let allowance: Allowance = text.parse().unwrap();
            assert_eq!(allowance.covers(times, of), covered, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_allowed_says_what_can() {
        for (text, want) in [
            ("lost", "no '='"),
            ("losst=1", "did you mean lost?"),
            ("disconnect=1", "did you mean disconnects?"),
            ("echoed=1", "did you mean own_echoed?"),
            ("latency.p99=1", "there are lost, unread, duplicates"),
            ("lost=", "neither"),
            ("lost=-1", "neither"),
            ("lost=1.5", "neither"),
            ("lost=101%", "neither"),
            ("lost=NaN%", "neither"),
        ] {
            let error = text.parse::<Allowance>().unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
            assert!(!error.contains('\n'), "{text}: one line");
        }
    }
}
