//! What a relay says, on its way down.
//!
//! Owns how much of it has come. Must not know what it is. Invariant: frames are passed on whole, in their order, each once.

use std::io;

use roomcast_protocol::frame::{Opcode, first_len, parts};

use super::events::Event;
use super::line::{Line, Site};
use super::pipe::Pipe;
use super::wrong;
use crate::scenario::Carrier;

/// What is awaited.
#[derive(Clone, Copy, Default)]
enum Awaited {
    #[default]
    Nothing,
    Answer,
    /// The head of an answer that goes on.
    Head,
    /// All that comes.
    Rest,
}

/// The side that goes down.
#[derive(Default)]
pub(super) struct Down {
    pub(super) line: Line,
    awaited: Awaited,
    /// Frames that have come.
    got: u64,
    event: Event,
    /// The close frame is among them.
    pub(super) is_over: bool,
}

impl Down {
    /// Passes on what comes. Whether what is asked is to be asked again in a while.
    pub(super) fn go_on(
        &mut self,
        site: &Site<'_>,
        at: &str,
        client: &mut Pipe,
    ) -> io::Result<bool> {
        // Who does not read is read no more for.
        while !self.is_over && client.is_clear() {
            let status = match self.awaited {
                Awaited::Nothing => {
                    self.ask(site, at)?;
                    continue;
                }
                Awaited::Answer => {
                    let Some((status, frames)) = self.line.answer(site)? else {
                        return Ok(false);
                    };
                    self.awaited = Awaited::Nothing;
                    if status == 200 {
                        self.bring(&frames, client)?;
                    }
                    status
                }
                Awaited::Head => {
                    let Some(status) = self.line.opened(site)? else {
                        return Ok(false);
                    };
                    self.awaited = match status {
                        200 => Awaited::Rest,
                        _ => Awaited::Nothing,
                    };
                    status
                }
                Awaited::Rest => {
                    let has_more = self.line.read()?;
                    match site.relay.carrier {
                        Carrier::Events => self.bring_events(client)?,
                        Carrier::Stream | Carrier::Poll | Carrier::Ws => {
                            self.bring_stream(client)?;
                        }
                    }
                    if self.line.is_over() && !self.is_over {
                        if !self.line.came().is_empty() {
                            return Err(wrong("a part of a frame"));
                        }
                        self.awaited = Awaited::Nothing;
                    } else if !has_more {
                        return Ok(false);
                    }
                    200
                }
            };
            match status {
                200 => {}
                503 => return Ok(true),
                _ => return Err(wrong("no frames")),
            }
        }
        Ok(false)
    }

    fn ask(&mut self, site: &Site<'_>, at: &str) -> io::Result<()> {
        let what = site.relay.carrier.name();
        let target = format!("{at}/{what}?ack={}", self.got);
        match site.relay.carrier {
            Carrier::Poll | Carrier::Ws => {
                self.awaited = Awaited::Answer;
                self.line.ask(site, "GET", &target, &[])
            }
            Carrier::Stream | Carrier::Events => {
                self.awaited = Awaited::Head;
                self.line.open(site, &target)
            }
        }
    }

    /// Passes whole frames on.
    fn bring(&mut self, frames: &[u8], client: &mut Pipe) -> io::Result<()> {
        let mut at = 0;
        while at < frames.len() {
            let (opcode, _) = parts(&frames[at..]).ok_or_else(|| wrong("a frame"))?;
            at += first_len(&frames[at..]).ok_or_else(|| wrong("a frame"))?;
            self.got += 1;
            self.is_over |= opcode == Opcode::Close;
        }
        client.write(frames)
    }

    /// Passes a stream's frames on, but for the pings that say that it is there.
    fn bring_stream(&mut self, client: &mut Pipe) -> io::Result<()> {
        let came = self.line.came();
        let (mut whole, mut at) = (Vec::new(), 0);
        while let Some(len) = first_len(&came[at..]) {
            let frame = &came[at..at + len];
            let is_ping = parts(frame).is_some_and(|(opcode, _)| opcode == Opcode::Ping);
            if !is_ping {
                whole.extend_from_slice(frame);
            }
            at += len;
        }
        came.drain(..at);
        self.bring(&whole, client)
    }

    /// Passes the frames on that events were made of. Each says which it is.
    fn bring_events(&mut self, client: &mut Pipe) -> io::Result<()> {
        let came = self.line.came();
        let end = came.iter().rposition(|&byte| byte == b'\n');
        let lines: Vec<u8> = came.drain(..end.map_or(0, |end| end + 1)).collect();
        let lines = str::from_utf8(&lines).map_err(|_| wrong("a text"))?;
        let (mut frames, mut number) = (Vec::new(), self.got);
        for line in lines.lines() {
            if !line.is_empty() {
                self.event.read(line)?;
                continue;
            }
            let event = std::mem::take(&mut self.event);
            if let Some(id) = event.id {
                number += 1;
                if id != number {
                    // What came before it is passed on.
                    self.bring(&frames, client)?;
                    return Err(wrong("another frame than the next one"));
                }
                event.encode(&mut frames)?;
            }
        }
        self.bring(&frames, client)
    }
}
