//! `roomcast check-config`: whether a start would get as far as listening.
//!
//! Owns: nothing of its own; it reads what a start reads. Invariant: what is refused here is refused there, in the same line,
//! and nothing is opened that others could notice.

use std::io::{self, Write};

use super::{Config, Failure, Prospect};

/// Reads everything that a start reads, and prints what would hold.
pub fn check(config: &Config) -> Result<(), Failure> {
    let Prospect {
        reactors,
        descriptors,
        others,
        limits,
        tls,
        tickets,
        ..
    } = Prospect::of(config)?;
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
