//! The limit of open files: every player is one.

use std::io;
use std::os::fd::RawFd;

use rlimit::Resource;
use rustix::io::fcntl_dupfd_cloexec;

use crate::limits::{CONTROL_DESCRIPTORS, DESCRIPTOR_RESERVE, HANDSHAKE_RESERVE};

/// Descriptors that each reactor takes for itself.
const PER_REACTOR: usize = 4;

/// Raises the soft limit as far as the system lets us; returns what it is now.
pub fn raise() -> u64 {
    // Not simply to the hard limit: macOS calls it infinite and refuses that.
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        let (soft, hard) = Resource::NOFILE.get().unwrap_or((1024, 1024));
        tracing::warn!(%error, soft, hard, "the limit of open files stays as it is");
        soft
    })
}

/// Makes the process's table of descriptors as large at once as is `wanted`, and `allowed`. Linux doubles it whenever it is full, and a process with several
/// threads then waits for all processors to have noticed (`synchronize_rcu` in `expand_fdtable`): 10 to 15 ms in an accept(2),
/// during which a reactor does nothing else. A table never shrinks; its entries take 8 bytes each, of the kernel's.
pub fn make_room(wanted: usize, allowed: u64) {
    let all = RawFd::try_from(allowed.min(wanted as u64)).unwrap_or(RawFd::MAX);
    let highest = all.saturating_sub(1);
    if let Err(error) = fcntl_dupfd_cloexec(io::stderr(), highest) {
        tracing::debug!(%error, highest, "the table of descriptors grows as it is used");
    }
}

/// What else than connections of players has descriptors.
#[derive(Debug, Clone, Copy)]
pub struct Others {
    /// Reactors of the process.
    pub reactors: usize,
    /// Whether the control plane has doors.
    pub control: bool,
}

impl Others {
    fn control(self) -> usize {
        if self.control { CONTROL_DESCRIPTORS } else { 0 }
    }

    /// Connections that fit into this many descriptors, in any phase.
    pub fn connections(self, descriptors: u64) -> usize {
        let all = usize::try_from(descriptors).unwrap_or(usize::MAX);
        // Of few descriptors a part is kept back, of many a fixed number.
        let own = DESCRIPTOR_RESERVE.min(all / 4) + PER_REACTOR * self.reactors;
        all.saturating_sub(own + self.control()).max(1)
    }

    /// Players that fit into this many descriptors, so that there are some left to tell others 503.
    pub fn players(self, descriptors: u64) -> usize {
        let all = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let handshakes = HANDSHAKE_RESERVE.min(all / 8);
        self.connections(descriptors)
            .saturating_sub(handshakes)
            .max(1)
    }

    /// A limit of open files that holds this many players.
    pub fn needed_for(self, players: usize) -> usize {
        let own = DESCRIPTOR_RESERVE + PER_REACTOR * self.reactors + HANDSHAKE_RESERVE;
        players.saturating_add(own + self.control())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(reactors: usize, control: bool) -> Others {
        Others { reactors, control }
    }

    #[test]
    fn what_is_needed_is_enough() {
        for wanted in [1, 20, 500, 1_000, 4_000, 10_000, 1_000_000] {
            for (reactors, control) in [(1, false), (2, true), (64, true)] {
                let others = others(reactors, control);
                let files = others.needed_for(wanted) as u64;
                let fit = others.players(files);
                assert!(fit >= wanted, "{files} files hold {fit} of {wanted}");
            }
        }
    }

    #[test]
    fn some_descriptors_are_always_kept_back() {
        for files in [40, 256, 1_024, 20_000, 1 << 30] {
            let fit = others(2, false).players(files) as u64;
            assert!(fit < files - files.min(4_096) / 8, "{fit} of {files}");
        }
        assert_eq!(others(2, false).players(0), 1);
        assert_eq!(others(2, false).needed_for(usize::MAX), usize::MAX);
    }

    #[test]
    fn the_control_plane_has_some_of_its_own() {
        for files in [256, 1_024, 20_000] {
            let (with, without) = (others(2, true), others(2, false));
            let taken = |of: fn(Others, u64) -> usize| of(without, files) - of(with, files);
            assert_eq!(taken(Others::players), CONTROL_DESCRIPTORS);
            assert_eq!(taken(Others::connections), CONTROL_DESCRIPTORS);
            assert!(with.players(files) <= with.connections(files));
        }
    }
}
