//! The control plane begins anew when it fails.
//!
//! Must not know: what is run. Invariant: whatever fails in it, the process goes on.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time::timeout;

use super::health::Health;
use crate::limits::{CONTROL_BACKOFF_MAX_MS, CONTROL_BACKOFF_MS};

/// Runs it on a runtime of its own, again after every failure, each time a while later, until it ends as it was told to.
pub(super) fn supervise<F>(end: &watch::Receiver<bool>, health: &Health, mut run: impl FnMut() -> F)
where
    F: Future<Output = io::Result<()>>,
{
    let mut backoff = Duration::from_millis(CONTROL_BACKOFF_MS);
    while !*end.borrow() {
        let once = || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run())
        };
        let failure = match panic::catch_unwind(AssertUnwindSafe(once)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked, see above".to_owned(),
        };
        health.failed();
        tracing::error!(
            "the control plane failed: {failure}. It begins anew in {} ms; players are not concerned",
            backoff.as_millis()
        );
        wait(end.clone(), backoff);
        backoff = (2 * backoff).min(Duration::from_millis(CONTROL_BACKOFF_MAX_MS));
    }
}

/// Waits that long, or until the end.
fn wait(mut end: watch::Receiver<bool>, time: Duration) {
    match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime.block_on(async {
            // Either way it is time to look again.
            let _ = timeout(time, end.wait_for(|end| *end)).await;
        }),
        // Out of descriptors or memory: nothing is tried until the end.
        Err(_) => std::thread::park_timeout(time),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_fails_begins_anew_and_what_ends_does_not() {
        let (_keep, end) = watch::channel(false);
        let runs = Cell::new(0);
        let health = Health::default();
        supervise(&end, &health, || {
            runs.set(runs.get() + 1);
            let run = runs.get();
            async move {
                match run {
                    1 => panic!("planted"),
                    2 => Err(io::Error::other("planted")),
                    _ => Ok(()),
                }
            }
        });
        assert_eq!((runs.get(), health.failures()), (3, 2));
    }

    #[test]
    fn after_the_end_nothing_begins() {
        let (tell, end) = watch::channel(false);
        let runs = Cell::new(0);
        supervise(&end, &Health::default(), || {
            runs.set(runs.get() + 1);
            let told = tell.send(true).is_ok();
            async move { Err(io::Error::other(format!("told: {told}"))) }
        });
        assert_eq!(runs.get(), 1);
    }
}
