//! The limit of open files: every player is one.

use rlimit::Resource;

use crate::limits::{DESCRIPTOR_RESERVE, HANDSHAKE_RESERVE};

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

/// Players that fit into this many descriptors, so that there are some left to tell others 503.
pub fn players(descriptors: u64, reactors: usize) -> usize {
    let all = usize::try_from(descriptors).unwrap_or(usize::MAX);
    // Of few descriptors a part is kept back, of many a fixed number.
    let own =
        DESCRIPTOR_RESERVE.min(all / 4) + PER_REACTOR * reactors + HANDSHAKE_RESERVE.min(all / 8);
    all.saturating_sub(own).max(1)
}

/// A limit of open files that holds this many players.
pub fn needed_for(players: usize, reactors: usize) -> usize {
    let own = DESCRIPTOR_RESERVE + PER_REACTOR * reactors + HANDSHAKE_RESERVE;
    players.saturating_add(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_enough() {
        for wanted in [1, 20, 500, 1_000, 4_000, 10_000, 1_000_000] {
            for reactors in [1, 2, 64] {
                let files = needed_for(wanted, reactors) as u64;
                let fit = players(files, reactors);
                assert!(fit >= wanted, "{files} files hold {fit} of {wanted}");
            }
        }
    }

    #[test]
    fn some_descriptors_are_always_kept_back() {
        for files in [40, 256, 1_024, 20_000, 1 << 30] {
            let fit = players(files, 2) as u64;
            assert!(fit < files - files.min(4_096) / 8, "{fit} of {files}");
        }
        assert_eq!(players(0, 2), 1);
        assert_eq!(needed_for(usize::MAX, 2), usize::MAX);
    }
}
