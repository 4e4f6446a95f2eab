//! What the system allows, and where the target is.
//!
//! Owns the file descriptor limit, which addresses and processes are this machine's, and name
//! resolution. Must not know clients or traffic.
//! Invariant: once [`raise_descriptors`] has passed, no client fails for want of a descriptor.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};

use rlimit::Resource;

use super::error::EngineError;
use super::usage::Server;
use crate::scenario::ScenarioError;
use crate::target::Target;

/// Descriptors that are not clients': standard streams, files being written, polls and timers.
const SPARE: u64 = 128;
/// Descriptors of each thread: poll, waker, timer.
const PER_THREAD: u64 = 4;

/// Descriptors that a run takes.
pub(crate) fn descriptors(clients: u64, threads: u64) -> u64 {
    clients
        .saturating_add(PER_THREAD.saturating_mul(threads))
        .saturating_add(SPARE)
}

/// Makes room for `clients` connections; raises the hard limit too if that is allowed.
pub(super) fn raise_descriptors(clients: usize, threads: usize) -> Result<(), EngineError> {
    let needed = descriptors(clients as u64, threads as u64);
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

/// The process to watch: the one that was asked for, or whoever listens at a loopback address.
pub(super) fn server(
    pid: Option<u32>,
    address: SocketAddr,
) -> Result<Option<Server>, ScenarioError> {
    let server = Server::find(pid, address);
    match (pid, server) {
        (Some(pid), None) => Err(ScenarioError(format!(
            "there is no process {pid} that can be watched: give --server-pid the server's process id, on this machine"
        ))),
        _ => Ok(server),
    }
}

/// What speaks against the process that was asked to be watched being the target's server.
pub(crate) fn doubt_server(pid: Option<u32>, target: &Target) -> Option<String> {
    let (pid, addresses) = (pid?, resolve(target).ok()?);
    let loopback = addresses.iter().all(|address| address.ip().is_loopback());
    let listens = |address: &SocketAddr| {
        let server = Server::find(Some(pid), *address)?;
        server.listens(*address)
    };
    let known: Option<Vec<bool>> = addresses.iter().map(listens).collect();
    let elsewhere = loopback && !known?.contains(&true);
    elsewhere.then(|| {
        format!(
            "process {pid} does not listen on port {}: its CPU time and memory may not be the server's (see --server-pid)",
            target.port()
        )
    })
}

/// Whether this machine has all of these addresses to connect from.
pub(super) fn check_sources(sources: &[IpAddr]) -> Result<(), ScenarioError> {
    for &source in sources {
        if let Err(error) = UdpSocket::bind((source, 0)) {
            return Err(ScenarioError(match error.kind() {
                ErrorKind::AddrNotAvailable => format!(
                    "this machine has no address {source}: give --source-address those that `ip address` shows"
                ),
                _ => format!("cannot connect from {source}: {error}"),
            }));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_others_cannot_be_connected_from() {
        let check = |ip: &str| check_sources(&[ip.parse().expect("an address")]);
        assert_eq!(check("127.0.0.1"), Ok(()));
        // Of a block for documentation (RFC 5737).
        let error = check("192.0.2.1").expect_err("nobody has it");
        assert!(error.0.contains("no address 192.0.2.1"), "{error}");
    }
}
