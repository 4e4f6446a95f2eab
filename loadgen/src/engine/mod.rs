//! The engine.
mod clock;
mod error;
mod progress;
mod schedule;

pub use error::EngineError;
pub use progress::{Progress, Silent, Snapshot, Stage};

use std::sync::atomic::AtomicBool;

use crate::outcome::Outcome;
use crate::scenario::Scenario;

/// Runs.
///
/// # Errors
/// See [`EngineError`].
pub fn run(
    scenario: &Scenario,
    _progress: &dyn Progress,
    _stop: &AtomicBool,
) -> Result<Outcome, EngineError> {
    scenario.check()?;
    Err(EngineError::Stopped)
}
