//! The control plane: what an operator asks a running relay, on one thread beside the reactors.
//!
//! Owns: HTTP that is no frame, by well-kept libraries (tokio, axum, prometheus-client), which nobody else names. Must not
//! know: sockets of players, flags. Invariant: it reads what reactors publish and never holds anything that a reactor
//! waits for; so players do not notice whether it answers, stands still or is gone.

mod api;
mod asking;
mod client;
mod commands;
mod door;
mod health;
mod metrics;
#[cfg(test)]
mod planes;
mod process;
mod rights;
mod routes;
mod supervision;
mod system;
mod trouble;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use crossbeam_channel::Receiver;
use tokio::sync::watch;

pub use self::client::{Reply, exchange};
pub use self::door::{Door, Place};
pub use self::health::Health;
pub use self::process::Process;
pub use self::rights::{Rights, Token};
use crate::limits::CONTROL_LAST_MS;

/// The control plane at work.
#[derive(Debug)]
pub struct Control {
    end: watch::Sender<bool>,
    ended: Receiver<()>,
}

impl Control {
    /// Serves at these doors, on a thread of its own, until it is told to finish.
    ///
    /// # Errors
    ///
    /// When the thread can't be started.
    pub fn start(doors: Vec<Door>, rights: Rights, process: Process) -> io::Result<Self> {
        let process = Arc::new(process);
        let router = routes::router(Arc::clone(&process), Arc::new(rights));
        Self::run(doors, router, process)
    }

    fn run(doors: Vec<Door>, router: Router, process: Arc<Process>) -> io::Result<Self> {
        let (end, ends) = watch::channel(false);
        let (alive, ended) = crossbeam_channel::bounded(0);
        let run = move || {
            let health = &process.health;
            supervision::supervise(&ends, health, || {
                door::serve(&doors, &router, &process, ends.clone())
            });
            // Before it is heard that this has ended: another process may open them anew at once.
            drop(doors);
            drop(alive);
        };
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(run)?;
        Ok(Self { end, ended })
    }

    /// Ends it after the last reactor has ended: what has been asked is still answered, within [`CONTROL_LAST_MS`].
    pub fn finish(self) {
        // Without a receiver it has ended.
        let _ = self.end.send(true);
        let _: Result<(), _> = self
            .ended
            .recv_timeout(Duration::from_millis(CONTROL_LAST_MS));
    }
}
