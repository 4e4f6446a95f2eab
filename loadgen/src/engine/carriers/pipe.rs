//! A socket that blocks nobody.
//!
//! Owns what it has not taken yet. Must not know what it is for. Invariant: edges are not lost: what may be there to be read is
//! known until a read has found the end of it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// Bytes read at once.
const READ: usize = 16 * 1024;

pub(super) struct Pipe {
    stream: TcpStream,
    unsent: Vec<u8>,
    is_readable: bool,
    /// Its end has come.
    is_closing: bool,
    /// That has been read: the other side says nothing more.
    pub(super) is_ended: bool,
}

impl Pipe {
    pub(super) fn new(
        mut stream: TcpStream,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unsent: Vec::new(),
            is_readable: true,
            is_closing: false,
            is_ended: false,
        })
    }

    /// One that is to be connected, and may be written meanwhile.
    pub(super) fn connect(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        Self::new(TcpStream::connect(address)?, registry, token)
    }

    pub(super) fn heed(&mut self, event: &Event) -> io::Result<()> {
        self.is_closing |= event.is_read_closed() || event.is_error();
        self.is_readable |= event.is_readable() || self.is_closing;
        if event.is_writable() {
            return self.flush();
        }
        Ok(())
    }

    /// Whether it has taken everything.
    pub(super) fn is_clear(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Appends what is there to `into`, at most so much at once. False: there is nothing now.
    pub(super) fn read(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        if !self.is_readable || self.is_ended {
            return Ok(false);
        }
        let before = into.len();
        into.resize(before + READ, 0);
        let read = self.stream.read(&mut into[before..]);
        into.truncate(before + read.as_ref().map_or(0, |&read| read));
        match read {
            Ok(read) => {
                self.is_ended = read == 0;
                // What comes after a short read is an edge, but an end that has been told of.
                self.is_readable = read == READ || self.is_closing;
                Ok(true)
            }
            Err(error) if would_block(&error) => {
                self.is_readable = false;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says nothing more.
    pub(super) fn end(&self) {
        // Whoever is gone hears nothing anyway.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// One that is not connected yet takes nothing, either.
fn would_block(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}
