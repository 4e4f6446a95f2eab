//! What SIGINT and SIGTERM ask for.
//!
//! It owns their meaning. It must not know what is stopped.
//!
//! Invariant: the first asks for an end in good order; a later one is obeyed at once, unless it follows so soon that
//! it can only be the first again, as a supervisor sends it to the process and to its group.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;

/// Within this time, one stop arrives twice.
const ONE_STOP: Duration = Duration::from_millis(100);

/// A flag that the first signal sets.
///
/// # Errors
/// If the system does not let signals be listened for.
pub fn stop_on_signal() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let told = Arc::clone(&stop);
    let listen = move || {
        let mut first = None;
        for _ in signals.forever() {
            if first.get_or_insert_with(Instant::now).elapsed() > ONE_STOP {
                std::process::exit(i32::from(Exit::InvalidRun.code()));
            }
            told.store(true, Ordering::Relaxed);
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listen)?;
    Ok(stop)
}
