//! What TLS adds to a client's way in, to its reads and to its writes.

use std::io::{self, Read};

use mio::net::TcpStream;

use super::leave::NO_CLOSE;
use super::send::write;
use super::{Stage, Worker};
use crate::engine::client::Phase;
use crate::engine::clock::Nanos;
use crate::engine::socket::Failure;
use crate::engine::tls::{Fault, Security, Tls};
use crate::engine::trust::Secure;

impl Worker {
    /// TCP is connected: begins the TLS handshake.
    pub(super) fn begin_securing(&mut self, index: u32, secure: &Secure, since: Nanos) {
        let client = &mut self.clients[index as usize];
        let Some(stream) = &mut client.stream else {
            return;
        };
        self.sealed.clear();
        let begun = Tls::new(secure, &mut self.sealed);
        client.phase = Phase::Securing {
            connecting_since: since,
            since: self.now,
        };
        let written = match begun {
            Ok(tls) => {
                client.security = Security::Tls(Box::new(tls));
                write_whole(stream, &self.sealed)
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
            let read = match stream.read(&mut self.buffer) {
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
            let input = &mut self.buffer[..read];
            let answered = open_and_answer(stream, tls, input, &mut self.text, &mut self.sealed);
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
        let now = self.settings.clock.now();
        self.now = now;
        let Phase::Securing {
            connecting_since,
            since,
        } = self.clients[index as usize].phase
        else {
            return;
        };
        self.tls.record(now - since);
        if resumed {
            self.connections.tls_resumed += 1;
        } else {
            self.connections.tls_full += 1;
        }
        self.request(index, connecting_since);
    }

    /// Takes the records out of what was read at `now`, and the frames out of them.
    pub(super) fn records(&mut self, index: u32, input: &mut [u8], now: Nanos) {
        let client = &mut self.clients[index as usize];
        let Security::Tls(tls) = &mut client.security else {
            return;
        };
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        self.sealed.clear();
        let opened = tls.open(input, &mut text, &mut self.sealed);
        let peer_closed = tls.peer_closed();
        if !self.sealed.is_empty() {
            // Behind what is sealed already, before what is not.
            tls.unsent.extend_from_slice(&self.sealed);
            if !client.blocked {
                self.flush(index);
            }
        }
        let attempt = self.clients[index as usize].attempt;
        if !text.is_empty() {
            self.frames(index, &mut text, now);
        }
        self.text = text;
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
            self.count_disconnect(index, NO_CLOSE);
        }
        match self.clients[index as usize].phase {
            Phase::Leaving { .. } => self.left(index, false),
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
            self.sealed.clear();
            if !tls.unsent.is_empty() {
                let written = write(stream, &tls.unsent)?;
                self.timeline.bytes_out += written as u64;
                tls.unsent.drain(..written);
                if tls.unsent.is_empty() {
                    tls.unsent = Vec::new();
                    self.count_begun(index);
                }
                continue;
            }
            if !client.outbox.is_empty() {
                let outbox = std::mem::take(&mut client.outbox);
                tls.seal(&outbox, &mut self.sealed)
                    .map_err(io::Error::other)?;
            } else if matches!(client.phase, Phase::Leaving { answered: true }) && !tls.is_closed()
            {
                tls.close(&mut self.sealed).map_err(io::Error::other)?;
            } else {
                return Ok(());
            }
            self.timeline.bytes_out += write_or_keep(stream, tls, &self.sealed)? as u64;
        }
    }
}

/// Seals `text` in `scratch` and writes it with one send; what the socket does not take is kept.
/// Nothing else may be kept. Tells how many bytes were written.
#[inline]
pub(super) fn seal_and_write(
    stream: &mut TcpStream,
    tls: &mut Tls,
    text: &[u8],
    scratch: &mut Vec<u8>,
) -> io::Result<usize> {
    scratch.clear();
    tls.seal(text, scratch).map_err(io::Error::other)?;
    write_or_keep(stream, tls, scratch)
}

fn write_or_keep(stream: &mut TcpStream, tls: &mut Tls, sealed: &[u8]) -> io::Result<usize> {
    debug_assert!(tls.unsent.is_empty(), "records in order");
    let written = match write(stream, sealed) {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    tls.unsent.extend_from_slice(&sealed[written..]);
    Ok(written)
}

/// Opens what was read during a handshake into `text`, and answers what has to be answered; also when opening failed:
/// then the answer is the alert. `sealed` is scratch space.
pub(in crate::engine) fn open_and_answer(
    stream: &mut TcpStream,
    tls: &mut Tls,
    input: &mut [u8],
    text: &mut Vec<u8>,
    sealed: &mut Vec<u8>,
) -> Result<(), Failure> {
    text.clear();
    sealed.clear();
    let opened = tls.open(input, text, sealed);
    let written = write_whole(stream, sealed);
    opened.map_err(Failure::Tls).and(written)
}

/// Writes a part of a handshake: far less than the buffer of a socket that has sent nothing.
pub(in crate::engine) fn write_whole(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Failure> {
    if bytes.is_empty() {
        return Ok(());
    }
    match write(stream, bytes) {
        Ok(written) if written == bytes.len() => Ok(()),
        Ok(_) => Err(Failure::Io(io::ErrorKind::WriteZero)),
        Err(error) => Err(error.into()),
    }
}
