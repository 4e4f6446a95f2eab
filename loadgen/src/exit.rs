//! How the process ends: the exit codes that scripts rely on, and failures in one line.
//!
//! It owns the numbers and knows nothing about what led to them.
//!
//! Invariant: every way out of `loadgen` is exactly one [`Exit`].

use std::fmt;

/// An exit code of `loadgen`, in the order in which they win over each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the run is valid, the server did nothing that no relay may, and every check passed.
    Passed,
    /// 2: the command line, the environment or an input file cannot be used, or the result cannot
    /// be written.
    Usage,
    /// 3: nothing answered at the address.
    CouldNotConnect,
    /// 4: the run ended but proves nothing; no gate passes, and none is known to fail.
    InvalidRun,
    /// 5: the runs can't tell whether a limit of `compare` holds.
    NotMeasurable,
    /// 99: at least one check failed, or the server did what no relay may and nobody has allowed.
    /// In an invalid run too, if only the server can have done it.
    CheckFailed,
}

impl Exit {
    /// The number the process returns to its parent.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Usage => 2,
            Self::CouldNotConnect => 3,
            Self::InvalidRun => 4,
            Self::NotMeasurable => 5,
            Self::CheckFailed => 99,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A reason to stop: one line for a human and the exit code that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What is wrong and what to do about it, without a trailing line break.
    pub message: String,
}

impl Failure {
    /// Input that cannot be used: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
        }
    }

    /// Nobody listens there: exit code 3.
    pub fn could_not_connect(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::CouldNotConnect,
            message: message.into(),
        }
    }

    /// A run, or a report of one, that proves nothing: exit code 4.
    pub fn invalid_run(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::InvalidRun,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
