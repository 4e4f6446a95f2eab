//! How a thread waits and reads: its poll, its alarm, its buffers, and the time as it was read last.
//!
//! Owns the sleeping. Must not know clients, or what is due.
//! Invariant: a sleep ends at the latest when something is due; how long a socket may have waited to be read is never
//! told too short.

use std::io;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::ALARM;
use crate::engine::alarm::{Alarm, Lateness};
use crate::engine::client::Client;
use crate::engine::clock::{Clock, Nanos};
use crate::engine::recorder::Recorder;
use crate::scenario::Polling;

/// What one `recv` may take: large, so that a server that coalesces is read as cheaply as it
/// writes; still well within the second-level cache.
pub(super) const RECEIVE_BUFFER: usize = 256 * 1024;
/// A poll that took less did not sleep: what it reports may have been ready before.
const SLEEP_MIN: Nanos = 5_000;

/// What a poll was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// The thread slept, so that what is reported now was not ready before.
    Slept,
    /// There was something to do, or soon.
    Awake,
    /// It was awake for so long with nothing to do.
    Idle(Nanos),
}

/// The thread's side of the kernel.
pub(super) struct Io {
    clock: Clock,
    poll: Poll,
    polling: Polling,
    alarm: Alarm,
    lateness: Lateness,
    /// What is read.
    pub(super) buffer: Box<[u8]>,
    /// Where records are opened, and where they are sealed.
    pub(super) text: Vec<u8>,
    pub(super) sealed: Vec<u8>,
    /// Clients to read again without an event.
    again: Vec<u32>,
    /// The list of this iteration, kept for its memory.
    again_now: Vec<u32>,
    /// The clock as it was read last.
    now: Nanos,
    /// Since when a socket that is reported now may have been readable, at worst.
    ready_since: Nanos,
    /// How long sockets may have waited to be read.
    pub(super) receive_wait: Recorder,
}

impl Io {
    /// Of a thread that waits with `poll`.
    pub(super) fn new(clock: Clock, poll: Poll, polling: Polling) -> io::Result<Self> {
        Ok(Self {
            clock,
            alarm: Alarm::new(poll.registry(), ALARM)?,
            poll,
            polling,
            lateness: Lateness::default(),
            buffer: vec![0; RECEIVE_BUFFER].into_boxed_slice(),
            text: Vec::new(),
            sealed: Vec::new(),
            again: Vec::new(),
            again_now: Vec::new(),
            now: 0,
            ready_since: 0,
            receive_wait: Recorder::new(),
        })
    }

    /// The clock as it was read last.
    #[inline]
    pub(super) fn now(&self) -> Nanos {
        self.now
    }

    /// Reads the clock.
    #[inline]
    pub(super) fn tick(&mut self) -> Nanos {
        self.now = self.clock.now();
        self.now
    }

    /// Reads the clock for a stamp: what is decided in this step is decided as of before.
    #[inline]
    pub(super) fn stamp(&self) -> Nanos {
        self.clock.now()
    }

    /// Reads the clock because a socket was read. Tells how long it may have waited for that.
    #[inline]
    pub(super) fn tick_after_read(&mut self) -> Nanos {
        let waited = self.now.saturating_sub(self.ready_since);
        self.tick();
        waited
    }

    /// Wants events of a socket, for the client with this index.
    pub(super) fn register(&self, stream: &mut TcpStream, index: u32) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(index as usize);
        self.poll.registry().register(stream, token, interest)
    }

    /// Polls until something is due, or almost.
    pub(super) fn wait(&mut self, events: &mut Events, due: Nanos) -> io::Result<Waited> {
        let next = match due {
            Nanos::MAX => due,
            due => due.saturating_sub(self.lateness.ahead()),
        };
        let idle = next > self.now && self.again.is_empty();
        let sleep = idle && self.polling == Polling::Sleeping;
        let timeout = if sleep {
            self.alarm.arm(next, self.now)?
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => return Err(error),
        }
        let before = self.now;
        let took = self.tick() - before;
        if sleep && took > SLEEP_MIN {
            self.ready_since = self.now;
            return Ok(Waited::Slept);
        }
        if !sleep && due > before && events.is_empty() && self.again.is_empty() {
            return Ok(Waited::Idle(took));
        }
        Ok(Waited::Awake)
    }

    /// The alarm went off, as was seen at `polled`.
    pub(super) fn alarmed(&mut self, polled: Nanos, waited: Waited) {
        let late = polled.checked_sub(self.alarm.went_off());
        if let Some(late) = late.filter(|_| waited == Waited::Slept) {
            self.lateness.observe(late);
        }
    }

    /// What is reported by the next poll may have been ready since this one, which was at `polled`.
    #[inline]
    pub(super) fn handled(&mut self, polled: Nanos) {
        self.ready_since = polled;
    }

    /// Remembers to read a client without an event.
    pub(super) fn read_later(&mut self, index: u32, client: &mut Client) {
        if !client.queued {
            client.queued = true;
            self.again.push(index);
        }
    }

    /// Lets a client read (again).
    pub(super) fn resume(&mut self, index: u32, client: &mut Client) {
        client.paused = false;
        if std::mem::take(&mut client.readable) {
            self.read_later(index, client);
        }
    }

    /// Takes the list of those to read again. What is put on it meanwhile waits for the next iteration.
    #[inline]
    pub(super) fn take_again(&mut self) -> Vec<u32> {
        let mut again = std::mem::take(&mut self.again_now);
        std::mem::swap(&mut again, &mut self.again);
        again
    }

    /// Gives it back when it is empty.
    #[inline]
    pub(super) fn keep_again(&mut self, again: Vec<u32>) {
        self.again_now = again;
    }
}
