//! `roomcast check-config`: whether a start would get as far as listening.
//!
//! Owns: nothing of its own; it reads what a start reads. Invariant: what is refused here is refused there, in the same line,
//! and nothing is opened that others could notice.

use std::io::{self, Write};

use super::descriptors::{self, Others};
use super::{Config, Failure, caution, memory, ticket_keys, tls};

/// Reads everything that the flags name, holds the flags against each other and the system, and prints what would hold.
pub fn check(config: &Config) -> Result<(), Failure> {
    let reactors = config.reactors();
    let descriptors = descriptors::raise();
    let others = Others {
        reactors,
        control: config.admin.is_on(),
    };
    let allowed = others.players(descriptors);
    let limits = config.limits(allowed, memory::allowed());
    let limits = limits.map_err(Failure::Flags)?;
    let (_, wanted) = config.listeners().map_err(Failure::Flags)?;
    caution(config, &limits, allowed, descriptors, others);
    let tls = wanted.as_ref().map(tls::setup).transpose()?;
    let tickets = ticket_keys(config)?;
    config.admin.rights()?;
    // A closed standard output wants nothing.
    let _ = writeln!(
        io::stdout(),
        "usable: reactors={reactors} max_connections={} open_files={descriptors} max_message={} outbox_max={} tls={} tickets={} admin={}",
        limits.max_connections,
        limits.max_message,
        limits.outbox_bytes_max,
        tls.is_some(),
        tickets.is_some(),
        others.control,
    );
    Ok(())
}
