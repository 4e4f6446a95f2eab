//! How messages get out.

use std::io;

use super::Worker;
use super::traffic::Traffic;
use crate::engine::session::Speech;
use crate::engine::tls::Security;
use crate::engine::wire::{seal_and_write, write};

impl Worker {
    /// Tries to write up to `budget` messages that have fallen due.
    #[inline]
    pub(super) fn send_due(&mut self, budget: usize) {
        for _ in 0..budget {
            let now = self.io.now();
            let (message, value) = (self.traffic.due(), self.traffic.value_due());
            if message.min(value) > now {
                break;
            }
            if message <= value {
                self.send_next();
            } else {
                self.set_next();
            }
        }
    }

    /// Takes the next value that is due, and tries to set it.
    fn set_next(&mut self) {
        let now = self.io.tick();
        let Some((due, index)) = self.traffic.values.pop() else {
            return;
        };
        let client = &self.clients[index as usize];
        let blocked = client.blocked;
        let Traffic {
            values, measure, ..
        } = &mut self.traffic;
        if values.fell_due((index, client), due, now, measure) {
            let lag = now.saturating_sub(due);
            let measured = due >= measure.window.from;
            self.timeline.lag(lag, measured, &self.ends.gauges);
            if !blocked {
                self.flush(index);
            }
        }
    }

    /// Takes the next message that is due, with those of the same sender that follow it and are
    /// due too, and tries to write them.
    fn send_next(&mut self) {
        let now = self.io.tick();
        let Some((due, index)) = self.traffic.pop() else {
            return;
        };
        let client = &mut self.clients[index as usize];
        let blocked = client.blocked;
        let mut next = Some(due);
        while let Some(due) = next {
            if let Some(measured) = self.traffic.fell_due(client, due, now) {
                let lag = now.saturating_sub(due);
                self.timeline.lag(lag, measured, &self.ends.gauges);
            }
            next = self.traffic.pop_of(index, now);
        }
        if !blocked {
            self.flush(index);
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
                self.io.resume(index, client);
                self.io.read_later(index, client);
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
            match client.speech {
                Speech::Raw if client.pending() == 0 || !client.is_joined() => return Ok(()),
                Speech::Raw => self.flush_messages(index)?,
                Speech::V1(_) => {
                    if !self.flush_session(index)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn flush_outbox(&mut self, index: u32) -> io::Result<()> {
        let client = &mut self.clients[index as usize];
        loop {
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
                    self.traffic.count_begun(client, self.io.stamp());
                }
            }
        }
    }

    /// Writes some of the messages that are due, stamped with the time of this write. What is
    /// not written at all will be encoded anew; the rest of one that was begun is kept.
    fn flush_messages(&mut self, index: u32) -> io::Result<()> {
        let now = self.io.stamp();
        let client = &mut self.clients[index as usize];
        let room = self.rooms[client.plan.room as usize].number;
        let batch = self.traffic.encode(client, room, &mut self.random, now);
        let writing = &self.traffic.writing;
        let Some(stream) = &mut client.stream else {
            return Ok(());
        };
        let whole = match &mut client.security {
            Security::Plain => {
                let written = write(stream, &writing.out)?;
                self.timeline.bytes_out += written as u64;
                let (whole, rest) = writing.split(written);
                if !rest.is_empty() {
                    client.outbox.extend_from_slice(rest);
                    client.rest = rest.len();
                    client.begun = 1;
                }
                whole
            }
            Security::Tls(tls) => {
                let written = seal_and_write(stream, tls, &writing.out, &mut self.io.sealed)?;
                self.timeline.bytes_out += written as u64;
                // A record is opened whole or not at all, so messages are written as it is.
                if tls.unsent.is_empty() {
                    batch
                } else {
                    client.begun = batch;
                    0
                }
            }
        };
        client.begun_skipped = client.skipped;
        self.traffic.count_sent(client, whole, client.skipped, now);
        Ok(())
    }
}
