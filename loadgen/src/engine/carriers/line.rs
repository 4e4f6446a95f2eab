//! Requests and their answers, one at a time on a connection that is kept.
//!
//! Owns the connection. Must not know sessions. Invariant: a request is sent again only if the connection had been kept from an
//! earlier one, which a server may end at any time (RFC 9112 section 9.3.1).

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For how long an answer is waited for: longer than a poll is held.
const PATIENCE: Duration = Duration::from_secs(40);

/// Bytes of an answer's head, at most, and its fields.
const HEAD_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 32;

/// What an answer is read from.
pub(super) type Incoming = BufReader<TcpStream>;

/// A connection, if there is one.
pub(super) struct Line {
    address: SocketAddr,
    /// Fields that every request has, each with its CRLF.
    fields: String,
    kept: Option<Incoming>,
}

impl Line {
    pub(super) fn new(address: SocketAddr, fields: &str) -> Self {
        Self {
            address,
            fields: fields.to_owned(),
            kept: None,
        }
    }

    /// Another connection to the same server.
    pub(super) fn another(&self) -> Self {
        Self::new(self.address, &self.fields)
    }

    /// Asks, and waits for the whole answer: its status and its content.
    pub(super) fn ask(
        &mut self,
        method: &str,
        target: &str,
        content: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let is_kept = self.kept.is_some();
        match self.ask_once(method, target, content) {
            Err(_) if is_kept => self.ask_once(method, target, content),
            answered => answered,
        }
    }

    fn ask_once(
        &mut self,
        method: &str,
        target: &str,
        content: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let mut incoming = self.send(method, target, content)?;
        let head = Head::read(&mut incoming)?;
        let mut answer = vec![0; head.length];
        incoming.read_exact(&mut answer)?;
        self.kept = Some(incoming).filter(|_| !head.is_last);
        Ok((head.status, answer))
    }

    /// Asks for an answer that does not end before the connection: its status, and what its content is read from.
    pub(super) fn open(&mut self, target: &str) -> io::Result<(u16, Incoming)> {
        self.kept = None;
        let mut incoming = self.send("GET", target, &[])?;
        Ok((Head::read(&mut incoming)?.status, incoming))
    }

    fn send(&mut self, method: &str, target: &str, content: &[u8]) -> io::Result<Incoming> {
        let mut incoming = match self.kept.take() {
            Some(incoming) => incoming,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                BufReader::new(stream)
            }
        };
        let (fields, length) = (&self.fields, content.len());
        let head =
            format!("{method} {target} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n");
        let request = [head.as_bytes(), content].concat();
        incoming.get_mut().write_all(&request)?;
        Ok(incoming)
    }
}

/// What matters of an answer's head.
#[derive(Debug, PartialEq)]
struct Head {
    status: u16,
    /// Bytes of its content.
    length: usize,
    /// The connection ends behind it.
    is_last: bool,
}

impl Head {
    /// Takes a head, and nothing that stands behind it.
    fn read(incoming: &mut impl BufRead) -> io::Result<Self> {
        let bad = || io::Error::new(ErrorKind::InvalidData, "the head of an answer");
        let mut bytes = Vec::new();
        loop {
            let (before, came) = (bytes.len(), incoming.fill_buf()?);
            if came.is_empty() || before > HEAD_MAX {
                return Err(bad());
            }
            bytes.extend_from_slice(came);
            let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let mut response = httparse::Response::new(&mut fields);
            match response.parse(&bytes).map_err(|_| bad())? {
                httparse::Status::Complete(end) => {
                    incoming.consume(end - before);
                    return Self::of(&response).ok_or_else(bad);
                }
                httparse::Status::Partial => incoming.consume(bytes.len() - before),
            }
        }
    }

    fn of(response: &httparse::Response<'_, '_>) -> Option<Self> {
        let value = |name: &str| {
            let mut fields = response.headers.iter();
            let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
            str::from_utf8(field.value).ok()
        };
        Some(Self {
            status: response.code?,
            length: match value("Content-Length") {
                None => 0,
                Some(length) => length.parse().ok()?,
            },
            is_last: value("Connection").is_some_and(|it| it.eq_ignore_ascii_case("close")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_wherever_it_is_cut_and_nothing_behind_it() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello";
        let expected = Head {
            status: 200,
            length: 5,
            is_last: true,
        };
        for cut in 1..answer.len() {
            let mut incoming = answer[..cut].chain(&answer[cut..]);
            assert_eq!(Head::read(&mut incoming).unwrap(), expected);
            let mut content = String::new();
            incoming.read_to_string(&mut content).unwrap();
            assert_eq!(content, "hello");
        }
        for bad in [
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 204\r\nContent-Length: x\r\n\r\n",
            "hello\r\n",
        ] {
            assert!(Head::read(&mut bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
