//! What TLS adds to a client's way in, to its reads and to its writes.

use std::io::{self, Read};

use super::leave::NO_CLOSE;
use super::{Stage, Worker};
use crate::engine::client::Phase;
use crate::engine::clock::Nanos;
use crate::engine::fault::Fault;
use crate::engine::socket::Failure;
use crate::engine::tls::{Security, Tls};
use crate::engine::trust::Secure;
use crate::engine::wire::{open_and_answer, write, write_or_keep, write_whole};

impl Worker {
    /// TCP is connected: begins the TLS handshake.
    pub(super) fn begin_securing(&mut self, index: u32, secure: &Secure, since: Nanos) {
        let client = &mut self.clients[index as usize];
        let Some(stream) = &mut client.stream else {
            return;
        };
        self.io.sealed.clear();
        let begun = Tls::new(secure, &mut self.io.sealed);
        client.phase = Phase::Securing {
            connecting_since: since,
            since: self.io.now(),
        };
        let written = match begun {
            Ok(tls) => {
                client.security = Security::Tls(Box::new(tls));
                write_whole(stream, &self.io.sealed)
            }
            Err(error) => Err(Failure::Tls(error)),
        };
        match written {
            Ok(()) => self.read_handshake(index),
            Err(failure) => self.failed(index, failure),
        }
    }

    /// Goes on with the TLS handshake as far as what has come allows.
    pub(super) fn read_handshake(&mut self, index: u32) {
        loop {
            let client = &mut self.clients[index as usize];
            let (Phase::Securing { .. }, Some(stream), Security::Tls(tls)) =
                (&client.phase, &mut client.stream, &mut client.security)
            else {
                return;
            };
            let read = match stream.read(&mut self.io.buffer) {
                Ok(0) => return self.failed(index, Failure::EndedInTls),
                Ok(read) => read,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted => continue,
                    // Who closes without having read all that came resets the connection.
                    io::ErrorKind::ConnectionReset => {
                        return self.failed(index, Failure::EndedInTls);
                    }
                    _ => return self.failed(index, error.into()),
                },
            };
            let io = &mut self.io;
            let input = &mut io.buffer[..read];
            let answered = open_and_answer(stream, tls, input, &mut io.text, &mut io.sealed);
            let (secure, resumed) = (tls.is_secure(), tls.is_resumed());
            if let Err(failure) = answered {
                return self.failed(index, failure);
            }
            if secure {
                return self.secured(index, resumed);
            }
        }
    }

    /// The TLS handshake is complete.
    fn secured(&mut self, index: u32, resumed: bool) {
        let now = self.io.tick();
        let Phase::Securing {
            connecting_since,
            since,
        } = self.clients[index as usize].phase
        else {
            return;
        };
        self.ramp.tls.record(now - since);
        if resumed {
            self.ramp.connections.tls_resumed += 1;
        } else {
            self.ramp.connections.tls_full += 1;
        }
        self.request(index, connecting_since);
    }

    /// Takes the records out of what was read at `now`, and the frames out of them.
    pub(super) fn records(&mut self, index: u32, input: &mut [u8], now: Nanos) {
        let client = &mut self.clients[index as usize];
        let Security::Tls(tls) = &mut client.security else {
            return;
        };
        let mut text = std::mem::take(&mut self.io.text);
        text.clear();
        self.io.sealed.clear();
        let opened = tls.open(input, &mut text, &mut self.io.sealed);
        let peer_closed = tls.peer_closed();
        if !self.io.sealed.is_empty() {
            // Behind what is sealed already, before what is not.
            tls.unsent.extend_from_slice(&self.io.sealed);
            if !client.blocked {
                self.flush(index);
            }
        }
        let attempt = self.clients[index as usize].attempt;
        if !text.is_empty() {
            self.frames(index, &mut text, now);
        }
        self.io.text = text;
        // A close frame begins the leave, which is an attempt of its own, and still has an end.
        let client = &self.clients[index as usize];
        let is_same = client.attempt == attempt || matches!(client.phase, Phase::Leaving { .. });
        match opened {
            _ if !is_same => {}
            Err(fault) => self.broken(index, &fault),
            Ok(()) if peer_closed => self.ended(index),
            Ok(()) => {}
        }
    }

    /// The server broke TLS, or says that we did.
    fn broken(&mut self, index: u32, fault: &Fault) {
        let client = &self.clients[index as usize];
        if !fault.is_alert() {
            self.broke_protocol(index, format!("TLS: {fault}"));
        } else if client.is_joined() && self.stage != Stage::Close {
            self.endings.count(client, NO_CLOSE, self.io.now());
        }
        match self.clients[index as usize].phase {
            Phase::Leaving { .. } => self.left(index, false),
            Phase::Greeting { .. } => self.failed(index, Failure::Tls(fault.clone())),
            _ => self.lost(index),
        }
    }

    /// Writes what was sealed, then seals and writes the outbox, and behind the last close frame
    /// a close_notify.
    pub(super) fn flush_sealed(&mut self, index: u32) -> io::Result<()> {
        loop {
            let client = &mut self.clients[index as usize];
            let (Some(stream), Security::Tls(tls)) = (&mut client.stream, &mut client.security)
            else {
                return Ok(());
            };
            self.io.sealed.clear();
            if !tls.unsent.is_empty() {
                let written = write(stream, &tls.unsent)?;
                self.timeline.bytes_out += written as u64;
                tls.unsent.drain(..written);
                if tls.unsent.is_empty() {
                    tls.unsent = Vec::new();
                    self.traffic.count_begun(client, self.io.stamp());
                }
                continue;
            }
            if !client.outbox.is_empty() {
                let outbox = std::mem::take(&mut client.outbox);
                tls.seal(&outbox, &mut self.io.sealed)
                    .map_err(io::Error::other)?;
            } else if matches!(client.phase, Phase::Leaving { answered: true }) && !tls.is_closed()
            {
                tls.close(&mut self.io.sealed).map_err(io::Error::other)?;
            } else {
                return Ok(());
            }
            self.timeline.bytes_out += write_or_keep(stream, tls, &self.io.sealed)? as u64;
        }
    }
}
