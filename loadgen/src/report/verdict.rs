//! The verdict on a run, as every form of the report tells it.
//!
//! It owns its shape. It must not know what is asked of a run.
//!
//! Invariant: `status` and `exit_code` say the same, and both follow from `cases`.

use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is valid, no rule was broken, and every check holds. Exit code 0.
    Passed,
    /// A rule was broken or a check does not hold. Exit code 99.
    Failed,
    /// It proves nothing, for better or worse. Exit code 4.
    Invalid,
}

/// One question that was asked of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// What should hold: `nothing is lost`, or a check as it was typed.
    pub name: String,
    /// Who asks.
    pub kind: CaseKind,
    /// Of a rule: whether what it forbids has happened at all, allowed or not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub happened: bool,
    /// Whether it does.
    pub status: CaseStatus,
    /// The answer in words.
    pub message: String,
}

/// Who asks a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseKind {
    /// Everybody: whether the run proves anything.
    Validity,
    /// loadgen, of every relay.
    Rule,
    /// A `--check`.
    Check,
}

/// The answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseStatus {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// Nobody knows, as the run is invalid.
    Open,
}

/// The verdict on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it ended.
    pub status: Status,
    /// What the process exits with because of it.
    pub exit_code: u8,
    /// Every question and its answer: validity first, then what no relay may do, then the checks.
    pub cases: Vec<Case>,
}

impl Verdict {
    /// One line: how it ended, and what failed.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.status {
            Status::Passed => "passed".to_owned(),
            Status::Invalid => "INVALID".to_owned(),
            Status::Failed => {
                let failed = self.rules_and_checks();
                let failed = failed.filter(|case| case.status == CaseStatus::Failed);
                let names: Vec<&str> = failed.map(|case| case.name.as_str()).collect();
                format!("FAILED: {}", names.join(", "))
            }
        }
    }

    /// Why it did not pass, one line each.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        self.failed().map(|case| case.message.as_str())
    }

    /// What no relay may do, and the checks: all but the validity of the run.
    pub fn rules_and_checks(&self) -> impl Iterator<Item = &Case> {
        self.cases
            .iter()
            .filter(|case| case.kind != CaseKind::Validity)
    }

    /// Every check, and of what no relay may do that which it did, or may have done.
    pub fn worth_telling(&self) -> impl Iterator<Item = &Case> {
        self.rules_and_checks()
            .filter(|case| case.kind == CaseKind::Check || case.happened)
    }

    /// What does not hold.
    pub fn failed(&self) -> impl Iterator<Item = &Case> {
        self.cases
            .iter()
            .filter(|case| case.status == CaseStatus::Failed)
    }
}
