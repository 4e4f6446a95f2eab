//! SIGTERM and SIGINT: the first drains, the second ends at once. SIGHUP: read certificates again.

use std::{io, process, thread};

use crossbeam_channel::Sender;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::logs;
use super::units::Millis;
use crate::reactor::{Address, Mail, Undelivered};

/// Watches on a thread of its own for as long as the process lives. Whoever can `reload` something is told of SIGHUP.
///
/// # Errors
///
/// When the signals can't be registered or the thread not be started.
pub fn watch(reactors: Vec<Address>, drain: Millis, reload: Option<Sender<()>>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let on_signal = move || {
        let mut draining = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => reload_on_request(reload.as_ref()),
                _ if draining => {
                    tracing::warn!("second signal: ending at once");
                    logs::finish();
                    process::exit(128 + signal);
                }
                _ => {
                    draining = true;
                    self::drain(&reactors, drain);
                    tracing::info!(
                        "draining: no new players; the others are sent away within {drain}. A second signal ends at once"
                    );
                }
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(on_signal)?;
    Ok(())
}

fn reload_on_request(reload: Option<&Sender<()>>) {
    match reload {
        Some(reload) => {
            tracing::info!("SIGHUP: reading the certificates again");
            // If one request waits already, it is as good as two.
            let _ = reload.try_send(());
        }
        None => tracing::info!("SIGHUP: nothing to reload, there are no certificates"),
    }
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
