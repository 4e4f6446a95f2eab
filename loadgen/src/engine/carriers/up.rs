//! What a client says, on its way up.
//!
//! Owns how much of it was heard. Must not know what it says. Invariant: what was not heard is said again under its number,
//! before anything that was said later.

use std::io;

use roomcast_protocol::frame::{Decoder, Item, Opcode, Role, Rules, encode, encode_close};

use super::line::{Line, Site};
use super::pipe::Pipe;
use super::wrong;

/// What no client sends more of: it is for the relay to refuse.
const MESSAGE_MAX: usize = 1 << 30;

/// How far the client is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It is there.
    Not,
    /// It has said so.
    Properly,
    /// Without a word.
    Lost,
}

/// The side that goes up.
#[derive(Default)]
pub(super) struct Up {
    pub(super) line: Line,
    decoder: Decoder,
    /// Frames that were heard.
    said: u64,
    /// Those that are being said, and how many.
    saying: Vec<u8>,
    count: u64,
    is_asking: bool,
    /// The client has said that it goes.
    has_closed: bool,
    /// Nobody is there any more who could hear it. What it was told last is on its way down.
    is_over: bool,
}

impl Up {
    /// Takes up what the client says. Whether what is asked is to be asked again in a while, and how far the client is.
    pub(super) fn go_on(
        &mut self,
        site: &Site<'_>,
        at: &str,
        client: &mut Pipe,
    ) -> io::Result<(bool, Gone)> {
        loop {
            if self.is_asking {
                let Some((status, _)) = self.line.answer(site)? else {
                    return Ok((false, Gone::Not));
                };
                self.is_asking = false;
                match status {
                    204 => {
                        self.said += self.count;
                        self.count = 0;
                    }
                    503 => return Ok((true, Gone::Not)),
                    410 => {
                        self.is_over = true;
                        self.count = 0;
                    }
                    _ => return Err(wrong("not heard")),
                }
            }
            if self.count == 0 && !self.listen(client)? {
                let gone = match (client.is_ended, self.has_closed) {
                    (false, _) => Gone::Not,
                    (true, true) => Gone::Properly,
                    (true, false) => Gone::Lost,
                };
                return Ok((false, gone));
            }
            if self.count > 0 {
                let target = format!("{at}/up?seq={}", self.said);
                self.line.ask(site, "POST", &target, &self.saying)?;
                self.is_asking = true;
            }
        }
    }

    /// Reads what the client says. False: nothing.
    fn listen(&mut self, client: &mut Pipe) -> io::Result<bool> {
        let mut came = Vec::new();
        if !client.read(&mut came)? {
            return Ok(false);
        }
        self.saying.clear();
        let rules = Rules {
            role: Role::Server,
            max_message: MESSAGE_MAX,
        };
        let (frames, mut input) = (&mut self.saying, &mut came[..]);
        while let Some(item) = self
            .decoder
            .next(&rules, &mut input)
            .map_err(|_| wrong("what a client says"))?
        {
            self.count += u64::from(!self.is_over);
            match item {
                Item::Message { kind, payload } => encode(frames, kind.into(), payload),
                Item::Ping(payload) => encode(frames, Opcode::Ping, payload),
                Item::Pong(payload) => encode(frames, Opcode::Pong, payload),
                Item::Close { code, reason } => {
                    self.has_closed = true;
                    match code {
                        Some(code) => encode_close(frames, code, reason, None),
                        None => encode(frames, Opcode::Close, &[]),
                    }
                }
            }
        }
        Ok(true)
    }
}
