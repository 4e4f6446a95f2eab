//! Whether a run passes: the one verdict that exit code, table, summary.md, junit.xml and report.json tell.
//!
//! It owns what is asked of every run and how the answers add up. It must not know how a report was made, nor print
//! anything.
//!
//! Invariant: a run passes only if it is valid, kept every rule that nobody has allowed it to break, and holds every
//! check. What only the server can have done fails an invalid run too; everything else is left open there.

mod allow;
mod check;
mod rules;

pub use allow::Allowance;
pub use check::{Check, CheckError, Operator};

use crate::exit::Exit;
use crate::report::{Case, CaseKind, CaseStatus, Report, Status, Verdict};
use rules::RULES;

/// The case that asks whether anything was proved at all.
const VALIDITY: &str = "the run is valid";

/// Judges `report` by its validity, by every rule but for what is `allowed`, and by every check; writes the verdict
/// into it, and says how to exit.
pub fn judge_all(checks: &[Check], allowed: &[Allowance], report: &mut Report) -> Exit {
    report.checks = checks.iter().map(|check| check.judge(report)).collect();
    let mut cases = vec![validity(report)];
    for rule in RULES {
        // Who allows twice has thought better of the first.
        let allowance = allowed.iter().rfind(|allowance| allowance.is_for(rule));
        cases.push(rule.judge(allowance, report));
    }
    cases.extend(report.checks.iter().map(|check| Case {
        name: check.check.clone(),
        kind: CaseKind::Check,
        happened: false,
        status: match (check.passed, check.decided) {
            (true, _) => CaseStatus::Passed,
            (false, true) => CaseStatus::Failed,
            (false, false) => CaseStatus::Open,
        },
        message: check.message.clone(),
    }));
    let status = status(&cases, report);
    let exit = exit(status);
    report.verdict = Some(Verdict {
        status,
        exit_code: exit.code(),
        cases,
    });
    exit
}

fn validity(report: &Report) -> Case {
    let reasons = &report.validity.reasons;
    let reasons: Vec<&str> = reasons
        .iter()
        .map(|reason| reason.message.as_str())
        .collect();
    let (status, message) = if report.validity.valid {
        (CaseStatus::Passed, "what was asked for was measured".into())
    } else {
        (CaseStatus::Failed, reasons.join("; "))
    };
    Case {
        name: VALIDITY.to_owned(),
        kind: CaseKind::Validity,
        happened: false,
        status,
        message,
    }
}

fn status(cases: &[Case], report: &Report) -> Status {
    let failed = |case: &Case| case.status == CaseStatus::Failed && case.kind != CaseKind::Validity;
    if cases.iter().any(failed) {
        Status::Failed
    } else if !report.validity.valid {
        Status::Invalid
    } else {
        Status::Passed
    }
}

fn exit(status: Status) -> Exit {
    match status {
        Status::Passed => Exit::Passed,
        Status::Failed => Exit::CheckFailed,
        Status::Invalid => Exit::InvalidRun,
    }
}

/// Whether the generator, and not the server, kept a run from being valid: a higher load would say nothing about the
/// server either.
#[must_use]
pub fn is_generator_bound(report: &Report) -> bool {
    report.validity.has("generator_saturated")
        || (report.validity.has("offered_rate_missed") && report.counts.blocked == 0)
}

/// The list of what can be allowed for `--help`, one a line, indented by two.
#[must_use]
pub fn catalogue() -> String {
    RULES.iter().fold(String::new(), |text, rule| {
        format!("{text}  {:<30} {}\n", rule.name, rule.about)
    })
}
