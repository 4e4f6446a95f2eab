//! How messages get out.

use std::io::{self, Write};

use roomcast_protocol::frame;

use super::secure::seal_and_write;
use super::{Stage, Worker};
use crate::engine::clock::Nanos;
use crate::engine::tls::Security;
use crate::payload::{Room, Stamp};

/// Bytes of messages that one write may carry, if a client has several due.
const BATCH_BYTES: usize = 16 * 1024;

impl Worker {
    /// Tries to write up to `budget` messages that have fallen due.
    #[inline]
    pub(super) fn send_due(&mut self, budget: usize) {
        let mut budget = budget;
        while budget > 0 && self.next_send() <= self.now {
            budget -= 1;
            self.send_next();
        }
    }

    /// When the next message is due; `Nanos::MAX`: no further one.
    #[inline]
    pub(super) fn next_send(&self) -> Nanos {
        let due = self.ring.due();
        if due < self.measure.window.to {
            due
        } else {
            Nanos::MAX
        }
    }

    /// Takes the next message that is due, with those of the same sender that follow it and are
    /// due too, and tries to write them.
    fn send_next(&mut self) {
        let now = self.settings.clock.now();
        self.now = now;
        let Some((due, index)) = self.ring.pop() else {
            return;
        };
        let blocked = self.clients[index as usize].blocked;
        self.fell_due(index, due, now);
        while self.next_send() <= now && self.ring.whose() == Some(index) {
            let Some((due, _)) = self.ring.pop() else {
                return;
            };
            self.fell_due(index, due, now);
        }
        if !blocked {
            self.flush(index);
        }
    }

    /// A message of this client is due.
    fn fell_due(&mut self, index: u32, due: Nanos, now: Nanos) {
        let client = &mut self.clients[index as usize];
        let healthy = client.is_healthy();
        self.measure.fell_due(healthy, due);
        client.due += 1;
        if !client.is_joined() {
            client.skip_pending();
            self.measure.unconnected(healthy, due);
            return;
        }
        self.measure.tried(healthy, due, now);
        let measured = due >= self.measure.window.from;
        self.timeline
            .lag(now.saturating_sub(due), measured, &self.ends.gauges);
        self.unsent += u64::from(healthy);
        if client.blocked {
            self.measure.blocked(healthy, due);
        }
    }

    /// Writes what the client has to write, until that is nothing or the socket is full.
    pub(super) fn flush(&mut self, index: u32) {
        if let Err(error) = self.try_flush(index) {
            let client = &mut self.clients[index as usize];
            if error.kind() == io::ErrorKind::WouldBlock {
                client.blocked = true;
            } else {
                // What the server said before it ended the connection may still be unread.
                client.ending = true;
                self.resume(index);
                self.read_later(index);
            }
        }
    }

    fn try_flush(&mut self, index: u32) -> io::Result<()> {
        self.clients[index as usize].blocked = false;
        loop {
            match self.clients[index as usize].security {
                Security::Plain => self.flush_outbox(index)?,
                Security::Tls(_) => self.flush_sealed(index)?,
            }
            let client = &self.clients[index as usize];
            let pending = client.pending() as usize;
            if pending == 0 || !client.is_joined() {
                return Ok(());
            }
            self.flush_messages(index, pending)?;
        }
    }

    fn flush_outbox(&mut self, index: u32) -> io::Result<()> {
        loop {
            let client = &mut self.clients[index as usize];
            let Some(stream) = &mut client.stream else {
                return Ok(());
            };
            if client.outbox.is_empty() {
                return Ok(());
            }
            let written = write(stream, &client.outbox)?;
            client.outbox.drain(..written);
            self.timeline.bytes_out += written as u64;
            if client.rest > 0 {
                client.rest = client.rest.saturating_sub(written);
                if client.rest == 0 {
                    self.count_begun(index);
                }
            }
        }
    }

    /// Writes some of the messages that are due, stamped with the time of this write. What is
    /// not written at all will be encoded anew; the rest of one that was begun is kept.
    fn flush_messages(&mut self, index: u32, pending: usize) -> io::Result<()> {
        let now = self.settings.clock.now();
        let client = &self.clients[index as usize];
        let batch = pending.min((BATCH_BYTES / self.frame_len).max(1));
        let room = self.rooms[client.plan.room as usize].number;
        let first = client.sequence;
        self.out.clear();
        for ahead in 0..batch as u32 {
            let sequence = first + ahead;
            let intended_ns = self.due_of(index, sequence);
            self.payload.clear();
            let stamp = Stamp {
                room: Room::new(self.settings.run, room),
                sender: client.plan.member as u16,
                sequence,
                intended_ns,
                delay_ns: now.saturating_sub(intended_ns),
            };
            self.measure.codec().write(&stamp, &mut self.payload);
            let key = self.random.u32(..).to_le_bytes();
            frame::encode_masked(&mut self.out, self.opcode, &self.payload, key);
        }
        let client = &mut self.clients[index as usize];
        let Some(stream) = &mut client.stream else {
            return Ok(());
        };
        let whole = match &mut client.security {
            Security::Plain => {
                let written = write(stream, &self.out)?;
                self.timeline.bytes_out += written as u64;
                let (whole, begun) = (written / self.frame_len, written % self.frame_len);
                if begun > 0 {
                    let end = (whole + 1) * self.frame_len;
                    client.outbox.extend_from_slice(&self.out[written..end]);
                    client.rest = end - written;
                    client.begun = 1;
                }
                whole
            }
            Security::Tls(tls) => {
                let written = seal_and_write(stream, tls, &self.out, &mut self.sealed)?;
                self.timeline.bytes_out += written as u64;
                // A record is opened whole or not at all, so messages are written as it is.
                if tls.unsent.is_empty() {
                    batch
                } else {
                    client.begun = batch as u32;
                    0
                }
            }
        };
        client.begun_skipped = client.skipped;
        for ahead in 0..whole as u32 {
            self.count_sent(index, self.due_of(index, first + ahead), now);
        }
        Ok(())
    }

    /// When a message that is not begun yet was due.
    fn due_of(&self, index: u32, sequence: u32) -> Nanos {
        let skipped = self.clients[index as usize].skipped;
        self.due_after(index, sequence, skipped)
    }

    /// When the message with this sequence number was due, before which `skipped` were given up.
    fn due_after(&self, index: u32, sequence: u32, skipped: u32) -> Nanos {
        let phase = self.clients[index as usize].plan.phase.unwrap_or_default();
        let k = u64::from(sequence) + u64::from(skipped);
        self.start + phase + self.period.offset(k)
    }

    /// The connection is ending: what the client still has to send is never to be sent, but for
    /// the first `kept` that are begun.
    pub(super) fn give_up(&mut self, index: u32, kept: u32) {
        let client = &self.clients[index as usize];
        let healthy = client.is_healthy();
        let (first, pending, begun) = (client.sequence, client.pending(), client.begun);
        let (skipped, begun_skipped) = (client.skipped, client.begun_skipped);
        if healthy {
            self.unsent -= u64::from(pending.saturating_sub(kept));
        }
        // In the close stage it is the generator that gives them up.
        if self.stage == Stage::Close {
            return;
        }
        for ahead in kept..pending {
            let skipped = if ahead < begun {
                begun_skipped
            } else {
                skipped
            };
            let due = self.due_after(index, first + ahead, skipped);
            self.measure.unconnected(healthy, due);
        }
    }

    /// What was begun is wholly written now.
    pub(super) fn count_begun(&mut self, index: u32) {
        let client = &mut self.clients[index as usize];
        let (begun, skipped) = (std::mem::take(&mut client.begun), client.begun_skipped);
        if begun == 0 {
            return;
        }
        let first = client.sequence;
        let now = self.settings.clock.now();
        for ahead in 0..begun {
            let due = self.due_after(index, first + ahead, skipped);
            self.count_sent(index, due, now);
        }
    }

    /// The client's next message, which was due at `due`, is wholly written.
    fn count_sent(&mut self, index: u32, due: Nanos, now: Nanos) {
        let client = &mut self.clients[index as usize];
        let healthy = client.is_healthy();
        client.sequence += 1;
        self.unsent -= u64::from(healthy);
        // A healthy sender is one of the receivers itself.
        let receivers = u64::from(self.receivers[client.plan.room as usize]);
        let others = receivers.saturating_sub(u64::from(healthy));
        self.measure.sent(healthy, due, now, others);
    }
}

/// Writes once; an interrupted write is repeated.
pub(super) fn write(stream: &mut mio::net::TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
