//! Why a run did not take place.
//!
//! Owns the reasons and their texts. Must not know exit codes.
//! Invariant: each text names the target or the limit that is meant.

use std::net::SocketAddr;

use crate::scenario::ScenarioError;
use crate::target::Target;

/// Why a run did not take place. Once the first client is in, a run always has an
/// [`crate::outcome::Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The scenario cannot be run.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// Authorities of certificates cannot be read, or there is none. The text says what to do.
    #[error("{0}")]
    Trust(String),
    /// The host has no address.
    #[error("cannot find the address of '{host}': {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// The very first connection was refused.
    #[error("nothing listens at {address} ({target})")]
    NothingListens {
        /// What was asked for.
        target: Target,
        /// The address that refused.
        address: SocketAddr,
    },
    /// The very first client could not connect or join for another reason.
    #[error("the first client could not join {target}: {reason}")]
    FirstClient {
        /// What was asked for.
        target: Target,
        /// Why.
        reason: String,
    },
    /// The very first client was sent elsewhere, and that is not followed, or not so far.
    #[error(
        "the first client could not join {target}: the server redirects to {location} (HTTP status {status}): give that as --url, or follow it with --follow-redirects"
    )]
    Redirected {
        /// What was asked for.
        target: Target,
        /// The status of the answer.
        status: u16,
        /// Where it leads, with `{room}` for the name of the room.
        location: String,
    },
    /// The limit on open files is too low for this many clients, and cannot be raised.
    #[error(
        "{clients} clients need {needed} file descriptors, and only {limit} are allowed: raise the hard limit (ulimit -Hn)"
    )]
    Descriptors {
        /// Clients of the scenario.
        clients: usize,
        /// Descriptors that takes.
        needed: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Stopped before the first client was in.
    #[error("stopped before the first client had joined")]
    Stopped,
    /// The system refused something the engine cannot do without.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread of the engine died; this is a defect of loadgen.
    #[error("a generator thread ended unexpectedly: this is a defect of loadgen")]
    Thread,
}
