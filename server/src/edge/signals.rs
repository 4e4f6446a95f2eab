//! SIGTERM and SIGINT: the first drains, the second ends at once.

use std::{io, process, thread};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::units::Millis;
use crate::reactor::{Address, Mail, Undelivered};

/// Watches on a thread of its own for as long as the process lives.
///
/// # Errors
///
/// When the signals can't be registered or the thread not be started.
pub fn watch(reactors: Vec<Address>, drain: Millis) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let on_signal = move || {
        let mut received = signals.forever();
        if received.next().is_none() {
            return;
        }
        tracing::info!(
            "draining: no new players; the others are sent away within {drain}. A second signal ends at once"
        );
        self::drain(&reactors, drain);
        if let Some(signal) = received.next() {
            tracing::warn!("second signal: ending at once");
            process::exit(128 + signal);
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(on_signal)?;
    Ok(())
}

/// Tells every reactor to say goodbye to its players within `spread`.
pub fn drain(reactors: &[Address], spread: Millis) {
    for reactor in reactors {
        // A reactor whose mailbox is full for the moment is asked again; one that has ended needs no asking.
        while let Err(Undelivered::Full(_)) = reactor.send(Mail::Drain(spread.as_millis())) {
            thread::yield_now();
        }
    }
}
