//! The Rust crate `tungstenite` as a player, in the test's own process.

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Error, Message, WebSocket};

use super::{Event, Kind, Part, Player};
use crate::relay::Relay;
use crate::stream::Stream;

pub(crate) struct Tungstenite {
    name: String,
    socket: WebSocket<Stream>,
    closed_with: Option<u16>,
}

impl Tungstenite {
    pub(crate) fn join(url: &str, index: usize) -> Self {
        let host = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split('/').next())
            .expect("a ws URL");
        let stream = Stream::plain(host.parse().expect("an address"));
        Self::over(stream, url, format!("tungstenite-{index}"))
    }

    /// Over rustls.
    pub(crate) fn join_secure(relay: &Relay, path: &str, index: usize) -> Self {
        let stream = Stream::tls(relay.secure_addr(), &relay.client());
        let name = format!("tungstenite-tls-{index}");
        Self::over(stream, &relay.secure_url(path), name)
    }

    fn over(stream: Stream, url: &str, name: String) -> Self {
        let (socket, _) = tungstenite::client(url, stream).expect("tungstenite joins");
        Self {
            name,
            socket,
            closed_with: None,
        }
    }

    fn write(&mut self, message: Message) {
        self.socket.send(message).expect("tungstenite sends");
    }
}

impl Player for Tungstenite {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, kind: Kind, bytes: &[u8]) {
        self.write(match kind {
            Kind::Text => Message::text(std::str::from_utf8(bytes).expect("text")),
            Kind::Binary => Message::binary(bytes.to_vec()),
        });
    }

    fn fragments(&mut self, kind: Kind, parts: &[Part<'_>]) {
        let last = parts.iter().rposition(|part| matches!(part, Part::Data(_)));
        let mut opcode = match kind {
            Kind::Text => Data::Text,
            Kind::Binary => Data::Binary,
        };
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::Ping(bytes) => self.ping(bytes),
                Part::Data(bytes) => {
                    let frame =
                        Frame::message(bytes.to_vec(), OpCode::Data(opcode), Some(at) == last);
                    self.write(Message::Frame(frame));
                    opcode = Data::Continue;
                }
            }
        }
    }

    fn ping(&mut self, bytes: &[u8]) {
        self.write(Message::Ping(bytes.to_vec().into()));
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.socket
            .close(Some(CloseFrame {
                code: code.into(),
                reason: reason.into(),
            }))
            .expect("tungstenite closes");
    }

    fn next(&mut self) -> Event {
        loop {
            return match self.socket.read() {
                Ok(Message::Text(text)) => Event::Message(Kind::Text, text.as_bytes().to_vec()),
                Ok(Message::Binary(bytes)) => Event::Message(Kind::Binary, bytes.to_vec()),
                Ok(Message::Pong(bytes)) => Event::Pong(bytes.to_vec()),
                Ok(Message::Ping(_)) => continue,
                Ok(Message::Close(close)) => {
                    self.closed_with = close.map(|close| close.code.into());
                    continue;
                }
                Ok(Message::Frame(_)) => Event::Failed("a bare frame is never read".to_owned()),
                // 1006 is what RFC 6455 7.1.5 calls an end without a close frame.
                Err(Error::ConnectionClosed) => Event::Closed(self.closed_with.unwrap_or(1006)),
                Err(error) => Event::Failed(error.to_string()),
            };
        }
    }
}
