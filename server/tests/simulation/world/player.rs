//! One simulated client: how it behaves, and what it makes of the server's bytes.
//!
//! Owns: the client's decoder and habits. Must not know: other players, what should have come.
//! Invariant: every byte of the server is judged by the client side of `roomcast_protocol`.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{Decoder, Item, Role, Rules};
use roomcast_protocol::upgrade::{ClientError, ClientKey, parse_client_response};
use roomcast_protocol::v1::SUBPROTOCOL;

use super::compose::Message;
use super::endings::Conduct;
use super::ledger::GuestId;
use super::secure::Tls;

/// The most payload that a client of the simulation takes.
const MAX_MESSAGE: usize = 1 << 20;

/// How a player behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Reads at once, answers pings, never ends on its own: what the server owes it is everything.
    Steady,
    /// Reads at once over a narrow line, and may leave in any way.
    Brisk,
    /// Reads a little, now and then.
    Slow,
    /// Never reads.
    Deaf,
}

/// Something that came from the server.
#[derive(Debug, Clone)]
pub(crate) enum Heard {
    /// An HTTP answer that is no 101.
    Status(u16),
    /// The 101.
    Welcome,
    Message(Message),
    Ping,
    Pong(Vec<u8>),
    Close(Option<CloseCode>, String),
}

#[derive(Debug)]
enum Stage {
    /// The answer to the request, so far.
    Answer(Vec<u8>),
    Frames(Decoder),
    /// What comes now means nothing: an HTTP body.
    Body,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Player {
    pub(crate) habit: Habit,
    /// Whose connection it is, if that speaks roomcast.v1.
    pub(crate) guest: Option<GuestId>,
    pub(crate) key: ClientKey,
    /// It knocked where TLS is spoken.
    pub(crate) at_tls: bool,
    /// It speaks it.
    pub(crate) tls: Option<Tls>,
    stage: Stage,
    /// It has sent something after which it sends no more messages.
    pub(crate) done: bool,
    /// It sends whole requests and frames only; not so while it trickles a head.
    pub(crate) asked: bool,
    /// It ends its side of TCP once the server has ended the other.
    pub(crate) polite: bool,
    pub(crate) ended: bool,
}

impl Player {
    pub(crate) fn new(habit: Habit, number: u32, polite: bool) -> Self {
        let mut nonce = *b"simulated player";
        nonce[..4].copy_from_slice(&number.to_be_bytes());
        Self {
            habit,
            guest: None,
            key: ClientKey::from_bytes(nonce),
            at_tls: false,
            tls: None,
            stage: Stage::Answer(Vec::new()),
            done: false,
            asked: false,
            polite,
            ended: false,
        }
    }

    /// Whether the 101 has come, so that it may send frames.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Frames(_))
    }

    /// How it behaves where TLS is spoken.
    pub(crate) fn conduct(&self) -> Option<Conduct> {
        let conduct = self.tls.as_ref().map(|tls| tls.conduct(self.ended));
        self.at_tls.then(|| {
            conduct.unwrap_or(Conduct {
                hung_up: self.ended,
                ..Conduct::default()
            })
        })
    }

    /// The server was given so many bytes; returns how many they are without records.
    pub(crate) fn given(&mut self, bytes: usize) -> usize {
        self.tls.as_mut().map_or(bytes, |tls| tls.given(bytes))
    }

    /// Reads what came.
    ///
    /// # Errors
    ///
    /// When a client would fail the connection.
    pub(crate) fn read(&mut self, bytes: &mut Vec<u8>) -> Result<Vec<Heard>, String> {
        let mut heard = Vec::new();
        if let Stage::Answer(answer) = &mut self.stage {
            answer.append(bytes);
            match parse_client_response(answer, &self.key, self.guest.map(|_| SUBPROTOCOL)) {
                Ok(None) => return Ok(heard),
                Ok(Some(len)) => {
                    bytes.extend(answer.drain(len..));
                    heard.push(Heard::Welcome);
                    self.stage = Stage::Frames(Decoder::default());
                }
                Err(ClientError::Status(status)) => {
                    heard.push(Heard::Status(status));
                    self.stage = Stage::Body;
                }
                Err(error) => return Err(format!("no HTTP answer: {error}")),
            }
        }
        let Stage::Frames(decoder) = &mut self.stage else {
            return Ok(heard);
        };
        let rules = Rules {
            role: Role::Client,
            max_message: MAX_MESSAGE,
        };
        let mut input = &mut bytes[..];
        loop {
            heard.push(match decoder.next(&rules, &mut input) {
                Ok(None) => return Ok(heard),
                Ok(Some(Item::Message { kind, payload })) => Heard::Message((kind, payload.into())),
                Ok(Some(Item::Ping([]))) => Heard::Ping,
                Ok(Some(Item::Ping(_))) => return Err("a ping with a payload".into()),
                Ok(Some(Item::Pong(payload))) => Heard::Pong(payload.to_vec()),
                Ok(Some(Item::Close { code, reason })) => Heard::Close(code, reason.to_owned()),
                Err(violation) => {
                    return Err(format!("the server broke the protocol: {violation}"));
                }
            });
        }
    }

    /// Whether what came so far ended in the middle of something.
    pub(crate) fn is_in_the_middle(&self) -> bool {
        match &self.stage {
            Stage::Answer(answer) => !answer.is_empty(),
            Stage::Frames(decoder) => !decoder.is_idle(),
            Stage::Body => false,
        }
    }
}
