//! What the system allows, and where the target is.
//!
//! Owns the file descriptor limit and name resolution. Must not know clients or traffic.
//! Invariant: once [`raise_descriptors`] has passed, no client fails for want of a descriptor.

use std::net::{SocketAddr, ToSocketAddrs};

use rlimit::Resource;

use super::error::EngineError;
use crate::target::Target;

/// Descriptors that are not clients': standard streams, files being written, polls and timers.
const SPARE: u64 = 128;
/// Descriptors of each thread: poll, waker, timer.
const PER_THREAD: u64 = 4;

/// Makes room for `clients` connections; raises the hard limit too if that is allowed.
pub(super) fn raise_descriptors(clients: usize, threads: usize) -> Result<(), EngineError> {
    let needed = clients as u64 + PER_THREAD * threads as u64 + SPARE;
    let unknown = |source| EngineError::System {
        what: "cannot read the limit on open files",
        source,
    };
    let (soft, hard) = Resource::NOFILE.get().map_err(unknown)?;
    if soft >= needed {
        return Ok(());
    }
    let raised = Resource::NOFILE.set(needed, hard.max(needed)).is_ok()
        || (hard >= needed && Resource::NOFILE.set(hard, hard).is_ok());
    if raised {
        return Ok(());
    }
    Err(EngineError::Descriptors {
        clients,
        needed,
        limit: hard,
    })
}

/// The addresses of a target, as the resolver orders them, each once.
pub(super) fn resolve(target: &Target) -> Result<Vec<SocketAddr>, EngineError> {
    let failed = |reason: String| EngineError::Resolve {
        host: target.host(),
        reason,
    };
    let found = (target.host().as_str(), target.port()).to_socket_addrs();
    let mut addresses = Vec::new();
    for address in found.map_err(|error| failed(error.to_string()))? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(failed("it has none".into()));
    }
    Ok(addresses)
}
