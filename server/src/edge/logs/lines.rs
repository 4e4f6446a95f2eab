//! The way of a line to standard error: a bounded queue, and a thread that writes.
//!
//! Must not know: what lines say. Invariant: whoever has something to say never waits. A line that finds no room is
//! dropped and counted, and the count is said as soon as lines go out again.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::limits::{LOG_FAREWELL_MS, LOG_LINE_BYTES, LOG_LINES};

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    queue: Sender<Entry>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line(Box<[u8]>),
    /// Everything before it has been written: tell them.
    End(Sender<()>),
}

/// Standard error without the lock that whoever panics elsewhere might wait for.
pub(super) fn standard_error() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(own) => Box::new(File::from(own)),
        Err(_) => Box::new(io::stderr()),
    }
}

impl Lines {
    /// Starts the thread that writes to `out`.
    pub(super) fn open(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, queue) = bounded(LOG_LINES);
        let dropped = Arc::default();
        let lines = Self {
            queue: sender,
            dropped: Arc::clone(&dropped),
        };
        thread::Builder::new()
            .name("logs".to_owned())
            .spawn(move || write(&queue, out, &dropped))?;
        Ok(lines)
    }

    /// Puts a line, with its line break, into the queue.
    pub(super) fn push(&self, line: &[u8]) {
        let line = if line.len() > LOG_LINE_BYTES {
            [&line[..LOG_LINE_BYTES], b"...\n"].concat().into()
        } else {
            line.into()
        };
        if self.queue.try_send(Entry::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was pushed before has been written, for twice [`LOG_FAREWELL_MS`] at most.
    pub(super) fn finish(&self) {
        let (told, written) = bounded(1);
        let patience = Duration::from_millis(LOG_FAREWELL_MS);
        if self.queue.send_timeout(Entry::End(told), patience).is_ok() {
            let _ = written.recv_timeout(patience);
        }
    }
}

fn write(queue: &Receiver<Entry>, mut out: impl Write, dropped: &AtomicU64) {
    let mut said = 0;
    for entry in queue {
        match entry {
            // A terminal that was closed takes no lines, and there is nobody else to tell.
            Entry::Line(line) => drop(out.write_all(&line)),
            Entry::End(told) => drop(told.send(())),
        }
        let now = dropped.load(Ordering::Relaxed);
        if now > said && queue.is_empty() {
            said = now;
            tracing::warn!(
                dropped = now,
                "log lines were dropped, because nobody read standard error"
            );
        }
    }
}

/// One line that is being logged: `fmt` writes it whole, in one go.
#[derive(Debug)]
pub(super) struct Line(Option<Lines>);

impl Line {
    pub(super) fn of(lines: Option<&Lines>) -> Self {
        Self(lines.cloned())
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(lines) = &self.0 {
            lines.push(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes a line only when it is told to.
    struct Reluctant {
        may: mpsc::Receiver<()>,
        taken: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Reluctant {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.may.recv();
            let _ = self.taken.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_logs_never_waits_and_what_is_lost_is_counted() {
        let (allow, may) = mpsc::channel();
        let (taken, lines_taken) = mpsc::channel();
        let lines = Lines::open(Reluctant { may, taken }).unwrap();
        // One may be with the writer already.
        let pushed = LOG_LINES + 1 + 10;
        for line in 0..pushed {
            lines.push(format!("{line}\n").as_bytes());
        }
        let dropped = lines.dropped() as usize;
        assert!((10..=11).contains(&dropped), "{dropped}");
        // Nobody reads, and still it comes to an end.
        lines.finish();
        drop(allow);
        let taken: Vec<Vec<u8>> = lines_taken.iter().take(pushed - dropped).collect();
        assert_eq!(taken.len(), pushed - dropped);
        assert_eq!(taken[0], b"0\n");
    }

    #[test]
    fn a_line_has_a_bound() {
        let (allow, may) = mpsc::channel();
        let (taken, lines_taken) = mpsc::channel();
        let lines = Lines::open(Reluctant { may, taken }).unwrap();
        lines.push(&vec![b'x'; 2 * LOG_LINE_BYTES]);
        drop(allow);
        let line = lines_taken.recv().unwrap();
        assert_eq!(line.len(), LOG_LINE_BYTES + 4);
        lines.finish();
    }
}
