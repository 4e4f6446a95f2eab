//! report.json: a report as text, and back.
//!
//! It owns which texts are reports. It must not know what is in one.
//!
//! Invariant: what was written is read as the same report; what another version wrote is refused by name.

use std::path::Path;

use serde::Deserialize;

use super::metrics;
use super::model::{Report, SCHEMA};
use crate::exit::Failure;

impl Report {
    /// Reads a report.json.
    ///
    /// # Errors
    /// One line and exit code 2 when the file cannot be read, is no report, or is a report of
    /// another schema version.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
        Self::from_json(&text).map_err(|error| Failure::usage(format!("{shown}: {error}")))
    }

    /// Parses the text of a report.json.
    ///
    /// # Errors
    /// Says in a few words what is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head: Head = serde_json::from_str(text).map_err(|error| {
            format!("not a report of loadgen ({error}); give it the report.json of a run")
        })?;
        if head.schema != SCHEMA {
            return Err(format!(
                "the schema is {:?} but this loadgen reads {SCHEMA:?}; use the version that wrote it",
                head.schema
            ));
        }
        let mut report: Self = serde_json::from_str(text)
            .map_err(|error| format!("the report is damaged: {error}"))?;
        report.validity.valid = report.validity.reasons.is_empty();
        report.metrics = metrics::all(&report);
        Ok(report)
    }

    /// The text of report.json, ending in a line break.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a report has string keys and numbers only, which JSON can hold");
        text.push('\n');
        text
    }
}
