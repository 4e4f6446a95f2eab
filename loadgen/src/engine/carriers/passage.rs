//! One client's way: its WebSocket on this side, a session at the relay.
//!
//! Owns how far it is. Must not know what is said. Invariant: whatever goes wrong ends the WebSocket without a close frame.

use std::io;

use mio::event::Event;
use mio::{Registry, Token};
use roomcast_protocol::upgrade::{
    Request, RequestKind, Upgrade, find_head_end, parse_request, write_accept,
};
use roomcast_protocol::v1::SUBPROTOCOL;

use super::down::Down;
use super::line::Site;
use super::pipe::Pipe;
use super::up::{Gone, Up};
use super::{Relay, wrong};

/// Whose socket has an event.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Client,
    Down,
    Up,
}

/// How far it is.
enum Stage {
    /// The client asks for a WebSocket: what has come of that.
    Asked(Vec<u8>),
    /// The relay is asked for a session: what the client is answered then, and the path of its room.
    Opening {
        accept: Vec<u8>,
        path: String,
        is_player: bool,
    },
    /// There is a session, without what is asked of it.
    Open { at: String, is_player: bool },
    /// The relay is told that the client is gone.
    Leaving,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It waits for events.
    Wait,
    /// It is to go on in a while.
    Again,
    /// It is over.
    End,
}

pub(super) struct Passage {
    stage: Stage,
    client: Pipe,
    down: Down,
    up: Up,
    /// The client was told that nothing more comes.
    has_ended: bool,
}

impl Passage {
    pub(super) fn new(client: Pipe) -> Self {
        Self {
            stage: Stage::Asked(Vec::new()),
            client,
            down: Down::default(),
            up: Up::default(),
            has_ended: false,
        }
    }

    pub(super) fn heed(&mut self, side: Side, event: &Event) -> io::Result<()> {
        match side {
            Side::Client => self.client.heed(event),
            Side::Down => self.down.line.heed(event),
            Side::Up => self.up.line.heed(event),
        }
    }

    /// Does what can be done now. `token` is that of a side.
    pub(super) fn go_on(
        &mut self,
        relay: &Relay,
        registry: &Registry,
        token: impl Fn(Side) -> Token,
    ) -> io::Result<Then> {
        let site = |side| Site {
            relay,
            registry,
            token: token(side),
        };
        let (down, up) = (site(Side::Down), site(Side::Up));
        if let Stage::Asked(head) = &mut self.stage {
            while self.client.read(head)? {}
            if find_head_end(head, 0)
                .map_err(|_| wrong("a head"))?
                .is_none()
            {
                return Ok(if self.client.is_ended {
                    Then::End
                } else {
                    Then::Wait
                });
            }
            let head = std::mem::take(head);
            self.open(&down, &head)?;
        }
        if let Stage::Opening { .. } = self.stage
            && let Some((status, answer)) = self.down.line.answer(&down)?
            && !self.opened(status, &answer)?
        {
            return Ok(Then::End);
        }
        match &self.stage {
            Stage::Open { .. } => self.carry(&down, &up),
            Stage::Leaving if self.up.line.answer(&up)?.is_some() => Ok(Then::End),
            _ => Ok(Then::Wait),
        }
    }

    /// Asks for a session for who asks for a WebSocket.
    fn open(&mut self, site: &Site<'_>, head: &[u8]) -> io::Result<()> {
        let request = parse_request(head).map_err(|_| wrong("a request"))?;
        let Request {
            path,
            query,
            kind: RequestKind::Upgrade(upgrade),
            ..
        } = &request
        else {
            return Err(wrong("no upgrade"));
        };
        let protocol = upgrade.protocols().next();
        let (named, query) = (protocol.unwrap_or_default(), query.unwrap_or_default());
        let target = format!("{path}/http?protocol={named}&{query}");
        self.down.line.ask(site, "POST", &target, &[])?;
        self.stage = Stage::Opening {
            accept: accepted(upgrade, protocol),
            path: (*path).to_owned(),
            is_player: protocol == Some(SUBPROTOCOL),
        };
        Ok(())
    }

    /// The relay has answered. False: it gives no session, which the client is told.
    fn opened(&mut self, status: u16, answer: &[u8]) -> io::Result<bool> {
        let Stage::Opening {
            accept,
            path,
            is_player,
        } = &self.stage
        else {
            return Ok(false);
        };
        if status != 200 {
            let refusal = format!(
                "HTTP/1.1 {status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            self.client.write(refusal.as_bytes())?;
            return Ok(false);
        }
        let answer: serde_json::Value = serde_json::from_slice(answer)?;
        let id = answer["id"].as_str().ok_or_else(|| wrong("no id"))?;
        self.client.write(accept)?;
        self.stage = Stage::Open {
            at: format!("{path}/http/{id}"),
            is_player: *is_player,
        };
        Ok(true)
    }

    fn carry(&mut self, down: &Site<'_>, up: &Site<'_>) -> io::Result<Then> {
        let Stage::Open { at, is_player } = &self.stage else {
            return Ok(Then::Wait);
        };
        let mut again = self.down.go_on(down, at, &mut self.client)?;
        if self.down.is_over && self.client.is_clear() && !self.has_ended {
            self.has_ended = true;
            self.client.end();
        }
        let (up_again, gone) = self.up.go_on(up, at, &mut self.client)?;
        again |= up_again;
        match gone {
            Gone::Properly if self.down.is_over => Ok(Then::End),
            // It comes back.
            Gone::Lost if *is_player || self.down.is_over => Ok(Then::End),
            // As at the end of a WebSocket without a word.
            Gone::Lost => {
                self.up.line.ask(up, "POST", &format!("{at}/close"), &[])?;
                self.stage = Stage::Leaving;
                Ok(Then::Wait)
            }
            Gone::Properly | Gone::Not if again => Ok(Then::Again),
            Gone::Properly | Gone::Not => Ok(Then::Wait),
        }
    }
}

fn accepted(upgrade: &Upgrade<'_>, protocol: Option<&str>) -> Vec<u8> {
    let mut accepted = Vec::new();
    write_accept(&mut accepted, &upgrade.accept, protocol);
    accepted
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use roomcast_protocol::upgrade::{ClientKey, parse_client_response, write_client_request};

    use super::super::{Relay, open};
    use super::*;
    use crate::scenario::Carrier;

    const HELLO: &[u8] = b"\x81\x05hello";
    const CLOSE: &[u8] = b"\x88\x02\x03\xe8";

    /// Answers who asks for what comes so once, then with the status 410, and all others as a relay does.
    fn relay(carrier: Carrier, answer: Vec<u8>) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut answer = Some(answer);
            for mut stream in listener.incoming().flatten() {
                let head = read_head(&mut stream);
                let said = if head.contains(&format!("/{}?", carrier.name())) {
                    answer.take().unwrap_or_else(|| whole(410, b""))
                } else if head.contains("/http?") {
                    whole(200, b"{\"id\":\"it\"}")
                } else {
                    whole(204, b"")
                };
                let _ = stream.write_all(&said);
            }
        });
        Relay {
            address,
            fields: String::new(),
            carrier,
        }
    }

    fn read_head(stream: &mut TcpStream) -> String {
        let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
        while find_head_end(&head, 0).unwrap().is_none() {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "a whole head");
            head.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8(head).unwrap()
    }

    fn whole(status: u16, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let head = format!(
            "HTTP/1.1 {status} So\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), content].concat()
    }

    fn endless(content: &[u8]) -> Vec<u8> {
        [b"HTTP/1.1 200 So\r\nConnection: close\r\n\r\n", content].concat()
    }

    /// What a client gets behind its 101 until its WebSocket ends.
    fn heard(relay: Relay) -> Vec<u8> {
        let door = open(relay).unwrap();
        let mut client = TcpStream::connect(door.address).unwrap();
        let (key, mut request) = (ClientKey::from_bytes([7; 16]), Vec::new());
        write_client_request(&mut request, "it", "/rooms/a", &key, None, &[]);
        client.write_all(&request).unwrap();
        let mut came = Vec::new();
        // A reset is an end, too.
        let _ = client.read_to_end(&mut came);
        let end = parse_client_response(&came, &key, None).unwrap();
        came.split_off(end.expect("a whole answer"))
    }

    #[test]
    fn frames_reach_the_client_as_a_relay_gives_them() {
        let twice = [HELLO, HELLO, CLOSE].concat();
        let poll = relay(Carrier::Poll, whole(200, &twice));
        assert_eq!(heard(poll), twice);
        let with_ping = [b"\x89\x00", &twice[..]].concat();
        let stream = relay(Carrier::Stream, endless(&with_ping));
        assert_eq!(heard(stream), twice);
        let lines = b"id: 1\ndata: hello\n\n: beat\n\nid: 2\ndata: hello\n\nevent: close\nid: 3\ndata: 1000\n\n";
        let events = relay(Carrier::Events, endless(lines));
        assert_eq!(heard(events), twice);
    }

    #[test]
    fn what_breaks_off_ends_the_websocket_without_a_close_frame() {
        let part = [HELLO, &HELLO[..3]].concat();
        let stream = relay(Carrier::Stream, endless(&part));
        assert_eq!(heard(stream), HELLO);
        let gap = b"id: 1\ndata: hello\n\nid: 3\ndata: hello\n\n";
        let events = relay(Carrier::Events, endless(gap));
        assert_eq!(heard(events), HELLO);
        let poll = relay(Carrier::Poll, whole(410, b"{}"));
        assert_eq!(heard(poll), b"");
    }
}
