//! SIGTERM and SIGINT: the first drains, the second ends at once. SIGHUP: read certificates and ticket keys again.
//!
//! Invariant: a stop that arrives twice in one moment is one stop.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, process, thread};

use crossbeam_channel::Sender;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::logs;
use super::tickets::Keys;
use super::tls::SessionKeys;
use super::units::Millis;
use crate::limits::{HANDOVER_MS, SAME_STOP_MS};
use crate::reactor::Address;
use crate::shard::Common;

/// Signals within this time are one.
const SAME_STOP: Duration = Duration::from_millis(SAME_STOP_MS);

/// What SIGHUP, or an operator, has read again.
#[derive(Debug, Default)]
pub struct Reload {
    /// Whoever watches the certificates.
    pub certificates: Option<Sender<()>>,
    /// Keys of TLS's session tickets.
    pub session_keys: Option<Arc<SessionKeys>>,
    /// The keys of tickets.
    pub tickets: Option<Arc<Keys>>,
}

/// How players are sent away.
#[derive(Debug, Clone, Copy)]
pub struct Goodbye {
    /// How long only `/readyz` says so.
    pub delay: Millis,
    /// Within how long after that all are told.
    pub spread: Millis,
    /// Whether somebody else keeps the listeners open meanwhile, for the next process.
    pub doors_stay: bool,
}

/// Watches on a thread of its own for as long as the process lives.
///
/// # Errors
///
/// When the signals can't be registered or the thread not be started.
pub fn watch(
    common: Arc<Common>,
    reactors: Vec<Address>,
    goodbye: Goodbye,
    reload: Arc<Reload>,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let on_signal = move || {
        let mut draining_since: Option<Instant> = None;
        for signal in signals.forever() {
            // An operator may have taken the first one back.
            draining_since = draining_since.filter(|_| common.drain_ordered().is_some());
            match signal {
                SIGHUP => {
                    reload.again("SIGHUP");
                    // Whose ticket was taken back goes now.
                    reactors.iter().for_each(Address::wake);
                }
                // A terminal or a supervisor that tells the process and its group, or a wrapper that passes it on.
                _ if draining_since.is_some_and(|at| at.elapsed() < SAME_STOP) => {}
                _ if draining_since.is_some() => {
                    tracing::warn!("second signal: ending at once");
                    logs::finish();
                    process::exit(128 + signal);
                }
                _ => {
                    draining_since = Some(Instant::now());
                    let Goodbye { delay, spread, .. } = goodbye;
                    if goodbye.doors_stay {
                        hand_over(&common, &reactors, goodbye);
                    } else {
                        common.order_drain_after(delay.as_millis(), spread.as_millis());
                        reactors.iter().for_each(Address::wake);
                    }
                    if goodbye.doors_stay {
                        tracing::info!(
                            "draining: newcomers wait for the next process; players are sent away within {spread}. A second signal ends at once"
                        );
                    } else if delay.as_millis() > 0 {
                        tracing::info!(
                            "leaving: only /readyz says so, the drain begins in {delay}. A second signal ends at once"
                        );
                    } else {
                        tracing::info!(
                            "draining: no new players; the others are sent away within {spread}. A second signal ends at once"
                        );
                    }
                }
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(on_signal)?;
    Ok(())
}

impl Reload {
    /// Reads all of it again, and says so; `asked` is how that was asked for.
    pub fn again(&self, asked: &str) {
        if let Some(certificates) = &self.certificates {
            tracing::info!("{asked}: reading the certificates again");
            // If one request waits already, it is as good as two.
            let _ = certificates.try_send(());
        }
        if let Some(keys) = &self.session_keys {
            tracing::info!("{asked}: reading the keys of session tickets again");
            keys.reload();
        }
        if let Some(tickets) = &self.tickets {
            tracing::info!("{asked}: reading the ticket keys again");
            tickets.reload();
        }
        if self.certificates.is_none() && self.tickets.is_none() {
            tracing::info!(
                "{asked}: nothing to reload, there are no certificates and no ticket keys"
            );
        }
    }
}

/// Leaves the listeners to another process, and has players told to go there.
pub fn hand_over(common: &Common, reactors: &[Address], goodbye: Goodbye) {
    common.hand_doors_over();
    let delay = goodbye.delay.as_millis().max(HANDOVER_MS);
    common.order_drain_after(delay, goodbye.spread.as_millis());
    reactors.iter().for_each(Address::wake);
}

/// Tells every reactor to say goodbye to its players within `spread`, however full its mailbox is.
pub fn drain(common: &Common, reactors: &[Address], spread: Millis) {
    common.order_drain(spread.as_millis());
    reactors.iter().for_each(Address::wake);
}
