//! The limit of open files: every player is one.

use rlimit::Resource;

/// Raises the soft limit to the hard one; returns what it is now.
pub fn raise() -> u64 {
    let (soft, hard) = Resource::NOFILE.get().unwrap_or((1024, 1024));
    if soft < hard
        && let Err(error) = Resource::NOFILE.set(hard, hard)
    {
        tracing::warn!(%error, soft, hard, "the limit of open files stays as it is");
        return soft;
    }
    hard
}
