//! What a client says, on its way up.
//!
//! Owns how much of it was heard. Must not know what it says. Invariant: what was not heard is said again under its number,
//! before anything that was said later.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use roomcast_protocol::frame::{Decoder, Item, Opcode, Role, Rules, encode, encode_close};

use super::line::Line;
use super::{AGAIN, wrong};

/// Bytes read of a WebSocket at once: with what is begun, less than goes up in one request.
const READ: usize = 16 * 1024;

/// What no client sends more of: it is for the relay to refuse.
const MESSAGE_MAX: usize = 1 << 30;

/// The side that goes up.
pub(super) struct Ascent {
    pub(super) client: TcpStream,
    pub(super) line: Line,
    /// Of the session, without what is asked.
    pub(super) at: String,
    /// A player of roomcast.v1 that loses its connection comes back.
    pub(super) is_player: bool,
    /// The client has gone, or its session.
    pub(super) ended: Arc<AtomicBool>,
    /// Frames that were heard.
    pub(super) said: u64,
}

impl Ascent {
    /// Takes up what the client says until it goes.
    pub(super) fn run(mut self) {
        let gone = self.climb();
        let is_lost = !matches!(gone, Ok(true));
        if is_lost && !self.is_player {
            // As at the end of a WebSocket without a word.
            let _ = self.line.ask("POST", &format!("{}/close", self.at), &[]);
        }
        if gone.is_err() || (is_lost && self.is_player) {
            self.ended.store(true, Ordering::Relaxed);
            let _ = self.client.shutdown(Shutdown::Both);
        }
    }

    /// The same. Whether it has said that it goes.
    fn climb(&mut self) -> io::Result<bool> {
        let rules = Rules {
            role: Role::Server,
            max_message: MESSAGE_MAX,
        };
        let (mut decoder, mut buffer) = (Decoder::default(), vec![0; READ]);
        let mut has_closed = false;
        loop {
            let read = self.client.read(&mut buffer)?;
            if read == 0 {
                return Ok(has_closed);
            }
            let (mut frames, mut count) = (Vec::new(), 0);
            let mut input = &mut buffer[..read];
            while let Some(item) = decoder
                .next(&rules, &mut input)
                .map_err(|_| wrong("what a client says"))?
            {
                count += 1;
                match item {
                    Item::Message { kind, payload } => encode(&mut frames, kind.into(), payload),
                    Item::Ping(payload) => encode(&mut frames, Opcode::Ping, payload),
                    Item::Pong(payload) => encode(&mut frames, Opcode::Pong, payload),
                    Item::Close { code, reason } => {
                        has_closed = true;
                        match code {
                            Some(code) => encode_close(&mut frames, code, reason, None),
                            None => encode(&mut frames, Opcode::Close, &[]),
                        }
                    }
                }
            }
            if count > 0 {
                self.say(&frames, count)?;
            }
        }
    }

    /// Says these frames, until it is told that they were heard, or that nobody is there any more.
    fn say(&mut self, frames: &[u8], count: u64) -> io::Result<()> {
        let target = format!("{}/up?seq={}", self.at, self.said);
        loop {
            match self.line.ask("POST", &target, frames)?.0 {
                204 => {
                    self.said += count;
                    return Ok(());
                }
                503 => thread::sleep(AGAIN),
                // What it was told last is on its way down.
                410 => return Ok(()),
                _ => return Err(wrong("not heard")),
            }
        }
    }
}
