//! What is said about a run: the report and every form in which it is shown or written.
//!
//! It owns [`Report`] and its renderings. It must not know sockets, threads or how anything was
//! measured.
//!
//! Invariant: every rendering reads the report and nothing else, so a report read from a file
//! (or merged from several) can be shown in every form a fresh one can.

pub(crate) mod amount;
pub mod files;
mod from_outcome;
pub mod hgrm;
pub mod histogram;
pub mod hlog;
mod json;
pub mod junit;
pub mod metrics;
mod model;
mod rows;
pub mod summary;
pub mod svg;
pub mod table;
pub mod time;
pub mod units;
mod verdict;

#[cfg(test)]
pub(crate) mod sample;

pub use model::{
    CheckResult, Connections, Counts, Generator, Histograms, Interval, Reason, Report, SCHEMA,
    ScenarioReport, Server, Stages, TlsScenario, Traffic, Validity,
};
pub use verdict::{Case, CaseKind, CaseStatus, Status, Verdict};
