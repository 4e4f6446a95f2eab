//! The engine: carries a [`Scenario`] out and gives the [`Outcome`].
//!
//! Owns threads, sockets, the clock and the measuring. Must not know the command line or what is
//! made of the outcome.
//! Invariant: intended send times are computed before the run and never moved, whatever the
//! server or the generator itself do; every delivery is checked; what the generator adds itself
//! is measured beside.
//!
//! ```text
//! conduct   stages, snapshots, server's usage; puts the parts together; one thread, mostly asleep
//!  └ worker one epoll loop per thread, each with whole rooms: nothing is shared but gauges
//!      ├ schedule, alarm     when messages are due; waking precisely then
//!      ├ client, socket      one connection; opening one
//!      ├ tls                 its records, if it is wss
//!      ├ session           its side of roomcast.v1, if it speaks that
//!      └ measure ─ ledger, states, recorder   judging, counting and timing one delivery
//!      └ hosts               who is the host of each room, and what a successor is told
//! storm     handshakes and nothing else, as fast as they go or at a rate
//! plan      who is who      groups who hears whom
//! link    what conductor and workers say to each other
//! usage     /proc           validity  whether the run can be trusted
//! trust     whose certificates are believed          tickets   sessions to resume
//! carriers  where WebSockets become requests, for players without one
//! ```

mod alarm;
mod assembly;
mod carriers;
mod client;
mod clock;
mod conduct;
mod crew;
mod error;
mod fault;
mod groups;
mod hosts;
mod ledger;
pub(crate) mod limits;
mod link;
mod measure;
mod plan;
mod progress;
mod receiver;
mod recorder;
mod schedule;
mod session;
mod socket;
mod states;
mod storm;
mod tickets;
mod tls;
mod trust;
mod usage;
mod validity;
mod wire;
mod worker;

pub use error::EngineError;
pub use progress::{Progress, Silent, Snapshot, Stage};

use std::sync::atomic::AtomicBool;

use crate::handshakes;
use crate::outcome::Outcome;
use crate::scenario::Scenario;

/// Carries `scenario` out, from the first connection to the last close; takes as long as its
/// stages. `progress` is told about four times a second. Once `stop` is true the traffic ends,
/// and what was measured until then is the outcome.
///
/// # Errors
/// If the run could not take place: see [`EngineError`]. A run that did take place is always an
/// outcome, be it an invalid one.
pub fn run(
    scenario: &Scenario,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<Outcome, EngineError> {
    let Some((carried, _door)) = carriers::begin(scenario)? else {
        return conduct::run(scenario, progress, stop);
    };
    let mut outcome = conduct::run(&carried, progress, stop)?;
    outcome.scenario = scenario.clone();
    Ok(outcome)
}

/// Makes TLS handshakes as `plan` says, until its time is over or `stop` is true.
///
/// # Errors
/// If not even the first could be made: see [`EngineError`].
pub fn handshakes(
    plan: &handshakes::Plan,
    stop: &AtomicBool,
) -> Result<handshakes::Measured, EngineError> {
    storm::run(plan, stop)
}
