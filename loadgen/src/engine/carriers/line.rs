//! Requests and their answers, one at a time on a connection that is kept.
//!
//! Owns the connection. Must not know sessions. Invariant: a request is sent again only if the connection had been kept from an
//! earlier one, which a server may end at any time (RFC 9112 section 9.3.1).

use std::io::{self, ErrorKind};

use mio::event::Event;
use mio::{Registry, Token};

use super::pipe::Pipe;
use super::{Relay, wrong};

/// Bytes of an answer's head, at most, and its fields.
const HEAD_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 32;

/// Where requests of a line leave.
pub(super) struct Site<'a> {
    pub(super) relay: &'a Relay,
    pub(super) registry: &'a Registry,
    pub(super) token: Token,
}

/// A connection, if there is one.
#[derive(Default)]
pub(super) struct Line {
    pipe: Option<Pipe>,
    /// What was asked, until its answer begins.
    request: Vec<u8>,
    /// It had been answered before that.
    is_kept: bool,
    came: Vec<u8>,
}

impl Line {
    pub(super) fn heed(&mut self, event: &Event) -> io::Result<()> {
        self.pipe.as_mut().map_or(Ok(()), |pipe| pipe.heed(event))
    }

    /// Asks for something.
    pub(super) fn ask(
        &mut self,
        site: &Site<'_>,
        method: &str,
        target: &str,
        content: &[u8],
    ) -> io::Result<()> {
        let (fields, length) = (&site.relay.fields, content.len());
        let head =
            format!("{method} {target} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n");
        self.request = [head.as_bytes(), content].concat();
        self.is_kept = self.pipe.is_some();
        match self.send(site) {
            Err(_) if self.is_kept => self.send_anew(site),
            sent => sent,
        }
    }

    /// The same on a connection of its own.
    pub(super) fn open(&mut self, site: &Site<'_>, target: &str) -> io::Result<()> {
        self.pipe = None;
        self.ask(site, "GET", target, &[])
    }

    fn send_anew(&mut self, site: &Site<'_>) -> io::Result<()> {
        self.pipe = None;
        self.is_kept = false;
        self.send(site)
    }

    fn send(&mut self, site: &Site<'_>) -> io::Result<()> {
        let pipe = match &mut self.pipe {
            Some(pipe) => pipe,
            None => {
                self.came.clear();
                let pipe = Pipe::connect(site.relay.address, site.registry, site.token)?;
                self.pipe.insert(pipe)
            }
        };
        pipe.write(&self.request)
    }

    /// The whole answer, once it is there: its status and its content.
    pub(super) fn answer(&mut self, site: &Site<'_>) -> io::Result<Option<(u16, Vec<u8>)>> {
        self.read_answer(site)?;
        let Some((end, head)) = Head::read(&self.came)? else {
            return Ok(None);
        };
        if self.came.len() < end + head.length {
            return match self.is_over() {
                true => Err(wrong("a part of an answer")),
                false => Ok(None),
            };
        }
        let content = self.came.drain(..end + head.length).skip(end).collect();
        if head.is_last {
            self.pipe = None;
        }
        Ok(Some((head.status, content)))
    }

    /// The status of an answer that does not end before its connection, once it is there.
    pub(super) fn opened(&mut self, site: &Site<'_>) -> io::Result<Option<u16>> {
        self.read_answer(site)?;
        let Some((end, head)) = Head::read(&self.came)? else {
            return Ok(None);
        };
        self.came.drain(..end);
        Ok(Some(head.status))
    }

    /// Reads, and asks again where a kept connection turns out to be none.
    fn read_answer(&mut self, site: &Site<'_>) -> io::Result<()> {
        let read = self.read();
        let is_lost = match &read {
            Ok(_) => self.is_over() && self.came.is_empty(),
            Err(_) => true,
        };
        if is_lost && self.is_kept && self.came.is_empty() {
            return self.send_anew(site);
        }
        if is_lost {
            return Err(read
                .err()
                .unwrap_or_else(|| ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    /// Reads what is there, at most so much at once. False: there is nothing now.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        match &mut self.pipe {
            Some(pipe) => pipe.read(&mut self.came),
            None => Ok(false),
        }
    }

    /// What has come and was not taken.
    pub(super) fn came(&mut self) -> &mut Vec<u8> {
        &mut self.came
    }

    /// Whether nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        self.pipe.as_ref().is_none_or(|pipe| pipe.is_ended)
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
    /// The head at the front, and where it ends, once it is whole.
    fn read(bytes: &[u8]) -> io::Result<Option<(usize, Self)>> {
        let bad = || wrong("the head of an answer");
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(bytes).map_err(|_| bad())? {
            httparse::Status::Complete(end) => {
                let head = Self::of(&response).ok_or_else(bad)?;
                Ok(Some((end, head)))
            }
            httparse::Status::Partial if bytes.len() < HEAD_MAX => Ok(None),
            httparse::Status::Partial => Err(bad()),
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
    fn a_head_is_read_once_it_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello";
        let expected = Head {
            status: 200,
            length: 5,
            is_last: true,
        };
        let end = answer.len() - 5;
        for cut in 0..end {
            assert_eq!(Head::read(&answer[..cut]).unwrap(), None);
        }
        assert_eq!(Head::read(answer).unwrap(), Some((end, expected)));
        for bad in ["HTTP/1.1 204\r\nContent-Length: x\r\n\r\n", "hello\r\n"] {
            assert!(Head::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
