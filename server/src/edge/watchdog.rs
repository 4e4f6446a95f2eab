//! systemd's watchdog: fed while every reactor goes on.
//!
//! Owns: the socket that systemd named, and when it is told. Must not know: what reactors do. Invariant: it is fed by the
//! thread that waits for reactors, and only if each of them has finished an iteration within half the period; nothing that
//! only the control plane does feeds it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};
use std::{env, io, process};

use crate::limits::PULSE_MS;
use crate::shard::Common;

/// Time between two looks where nobody is to be told: a reason to wake less.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Tells systemd that the process is well.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Where that is said; nowhere, if nobody asked for it.
    socket: Option<UnixDatagram>,
    /// Time between two looks.
    every: Duration,
    /// A reactor that has not finished an iteration for this long stands still.
    patience: Duration,
    /// Of each reactor, what it noted last, and when that was first seen.
    beats: Vec<(u64, Instant)>,
    due: Instant,
}

impl Watchdog {
    /// As systemd asks for it in the environment (sd_watchdog_enabled(3)).
    pub(super) fn asked_for(reactors: usize) -> Self {
        let period = period(
            env::var("WATCHDOG_USEC").ok().as_deref(),
            env::var("WATCHDOG_PID").ok().as_deref(),
        );
        let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let Some((period, name)) = period.zip(name) else {
            return Self::new(None, NEVER, reactors, Instant::now());
        };
        match connect(&name) {
            Ok(socket) => Self::new(Some(socket), period, reactors, Instant::now()),
            Err(error) => {
                tracing::warn!(%error, "systemd's watchdog can't be fed: NOTIFY_SOCKET can't be used");
                Self::new(None, NEVER, reactors, Instant::now())
            }
        }
    }

    fn new(socket: Option<UnixDatagram>, period: Duration, reactors: usize, now: Instant) -> Self {
        let half = period / 2;
        // An idle reactor finishes one a second.
        if half < Duration::from_millis(PULSE_MS) {
            tracing::warn!(
                "WatchdogSec is too short to tell a reactor that stands still from one that sleeps: give {} s or more",
                2 * PULSE_MS / 1_000
            );
        }
        Self {
            socket,
            every: period / 4,
            patience: half,
            beats: vec![(0, now); reactors],
            due: now,
        }
    }

    /// When it wants to look.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Looks, and tells systemd if all is well.
    pub(super) fn look(&mut self, common: &Common) {
        let now = Instant::now();
        let well = self.is_well(
            (0..self.beats.len()).map(|reactor| common.beat_of(reactor)),
            now,
        );
        if let Some(socket) = self.socket.as_ref().filter(|_| well) {
            // Who does not read has restarted, or will say so itself.
            let _ = socket.send(b"WATCHDOG=1");
        }
        self.due = now + self.every;
    }

    /// Whether each reactor's note is another one than half a period ago.
    fn is_well(&mut self, notes: impl Iterator<Item = u64>, now: Instant) -> bool {
        let mut well = true;
        for (beat, note) in self.beats.iter_mut().zip(notes) {
            if beat.0 != note {
                *beat = (note, now);
            }
            well &= now.duration_since(beat.1) < self.patience;
        }
        well
    }
}

/// The period, if it is this process that is watched.
fn period(microseconds: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(process::id()));
    let period = microseconds?.parse().ok().map(Duration::from_micros)?;
    (ours && !period.is_zero()).then_some(period)
}

/// A name that begins with `@` is abstract (Linux).
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match name.as_bytes().strip_prefix(b"@") {
        None => socket.connect(name)?,
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            socket.connect_addr(&address)?;
        }
        #[cfg(not(target_os = "linux"))]
        Some(_) => return Err(io::ErrorKind::Unsupported.into()),
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reactor_that_stands_still_is_enough() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut watchdog = Watchdog::new(None, Duration::from_secs(8), 2, begin);
        assert!(watchdog.is_well([1, 1].into_iter(), at(1_000)));
        assert!(watchdog.is_well([2, 2].into_iter(), at(3_000)));
        assert!(watchdog.is_well([3, 2].into_iter(), at(6_999)));
        assert!(
            !watchdog.is_well([4, 2].into_iter(), at(7_000)),
            "half the period"
        );
        assert!(
            watchdog.is_well([5, 3].into_iter(), at(9_000)),
            "it goes on"
        );
    }

    #[test]
    fn only_who_is_watched_feeds() {
        let own = process::id().to_string();
        let eight = Some(Duration::from_secs(8));
        assert_eq!(period(Some("8000000"), None), eight);
        assert_eq!(period(Some("8000000"), Some(&own)), eight);
        for (microseconds, pid) in [
            (None, None),
            (Some("0"), None),
            (Some("soon"), None),
            (Some("8000000"), Some("1")),
        ] {
            assert_eq!(period(microseconds, pid), None);
        }
    }
}
