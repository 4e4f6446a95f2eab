//! `roomcast check-config`: whether a start would get as far as listening.
//!
//! Owns: nothing of its own; it reads what a start reads. Invariant: what is refused here is refused there, in the same line,
//! and nothing is opened that others could notice. A port that somebody has is not refused: it may be the relay that runs.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;

use super::doors::{Wish, flag_of};
use super::{Config, Failure, Prospect, memory};
use crate::reactor::try_bind;

/// Reads everything that a start reads, and prints what would hold.
pub fn check(config: &Config) -> Result<(), Failure> {
    let Prospect {
        reactors,
        descriptors,
        others,
        memory,
        limits,
        plain,
        wanted,
        tls,
        tickets,
        ..
    } = Prospect::of(config)?;
    config.admin.rights()?;
    let wishes = config.wishes(&plain, wanted.as_ref());
    let taken = taken(&wishes, config.admin.addresses())?;
    // A closed standard output wants nothing.
    let say = |line: String| drop(writeln!(io::stdout(), "{line}"));
    say(format!(
        "usable: reactors={reactors} max_connections={} open_files={descriptors} memory_mib={} max_message={} outbox_max={} tls={} tickets={} admin={}",
        limits.max_connections,
        memory.map_or_else(|| "unknown".to_owned(), |bytes| (bytes >> 20).to_string()),
        limits.max_message,
        limits.outbox_bytes_max,
        tls.is_some(),
        tickets.is_some(),
        others.control,
    ));
    for address in taken {
        say(format!(
            "taken: somebody listens at {address} now; a start has to wait for that to end, or to take it over"
        ));
    }
    let fit =
        memory.map(|bytes| memory::players(bytes, limits.max_message, limits.outbox_bytes_max));
    if let Some(fit) = fit.filter(|fit| *fit < limits.max_connections) {
        say(format!(
            "crowded: {} players, all with a full queue, take more than a quarter of the memory, which {fit} would",
            limits.max_connections
        ));
    }
    Ok(())
}

/// Where somebody listens already.
fn taken(
    wishes: &[Wish],
    admin: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Failure> {
    let wishes = wishes.iter().map(|wish| (flag_of(wish.port), wish.address));
    let admin = admin.map(|address| ("--admin", address));
    let mut taken = Vec::new();
    for (flag, address) in wishes.chain(admin) {
        match try_bind(address) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => taken.push(address),
            Err(source) => {
                return Err(Failure::Listen {
                    flag,
                    address,
                    source,
                });
            }
        }
    }
    Ok(taken)
}
