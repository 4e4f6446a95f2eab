//! One client's way: its WebSocket on this side, a session at the relay.
//!
//! Owns what has come down, by number. Must not know what it is.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use roomcast_protocol::frame::{Opcode, first_len, parts};
use roomcast_protocol::upgrade::{RequestKind, find_head_end, parse_request, write_accept};
use roomcast_protocol::v1::SUBPROTOCOL;

use super::ascent::Ascent;
use super::events::Event;
use super::line::{Incoming, Line};
use super::{AGAIN, Relay, spawn, wrong};

/// Asks for what comes, once, and passes it on: the status of the answer.
pub(super) type Fetch = fn(&mut Passage) -> io::Result<u16>;

/// The side that goes down.
pub(super) struct Passage {
    client: TcpStream,
    line: Line,
    /// Of the session, without what is asked.
    at: String,
    /// Frames that have come.
    got: u64,
    /// The close frame is among them.
    is_over: bool,
    /// The client has gone, or its session.
    ended: Arc<AtomicBool>,
}

impl Passage {
    /// Carries a client until either side ends.
    pub(super) fn begin(client: TcpStream, relay: &Relay) {
        // An error is an end.
        if let Ok(Some(mut passage)) = Self::open(client, relay) {
            let carried = passage.descend(relay.fetch);
            passage.ended.store(true, Ordering::Relaxed);
            // After a close frame the client ends its side; otherwise it is to see that something went wrong.
            let how = match carried {
                Ok(()) if passage.is_over => Shutdown::Write,
                _ => Shutdown::Both,
            };
            let _ = passage.client.shutdown(how);
        }
    }

    /// A session for who asks for a WebSocket. None, if the relay has refused one, which it is told.
    fn open(mut client: TcpStream, relay: &Relay) -> io::Result<Option<Self>> {
        client.set_nodelay(true)?;
        let head = read_request(&mut client)?;
        let request = parse_request(&head).map_err(|_| wrong("request"))?;
        let RequestKind::Upgrade(upgrade) = &request.kind else {
            return Err(wrong("no upgrade"));
        };
        let mut line = Line::new(relay.address, &relay.fields);
        let protocol = upgrade.protocols().next();
        let (path, query) = (request.path, request.query.unwrap_or_default());
        let target = format!(
            "{path}/http?protocol={}&{query}",
            protocol.unwrap_or_default()
        );
        let (status, answer) = line.ask("POST", &target, &[])?;
        if status != 200 {
            let refusal = format!(
                "HTTP/1.1 {status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            client.write_all(refusal.as_bytes())?;
            return Ok(None);
        }
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let id = answer["id"].as_str().ok_or_else(|| wrong("no id"))?;
        let mut accepted = Vec::new();
        write_accept(&mut accepted, &upgrade.accept, protocol);
        client.write_all(&accepted)?;
        let at = format!("{path}/http/{id}");
        let ended = Arc::new(AtomicBool::new(false));
        let ascent = Ascent {
            client: client.try_clone()?,
            line: line.another(),
            at: at.clone(),
            is_player: protocol == Some(SUBPROTOCOL),
            ended: Arc::clone(&ended),
            said: 0,
        };
        spawn(move || ascent.run())?;
        Ok(Some(Self {
            client,
            line,
            at,
            got: 0,
            is_over: false,
            ended,
        }))
    }

    /// Brings down what comes, until the session ends.
    fn descend(&mut self, fetch: Fetch) -> io::Result<()> {
        while !self.is_over && !self.ended.load(Ordering::Relaxed) {
            match fetch(self)? {
                200 => {}
                503 => thread::sleep(AGAIN),
                _ => return Err(wrong("no frames")),
            }
        }
        Ok(())
    }

    pub(super) fn poll(&mut self) -> io::Result<u16> {
        let target = format!("{}/poll?ack={}", self.at, self.got);
        let (status, frames) = self.line.ask("GET", &target, &[])?;
        if status == 200 {
            self.bring(&frames)?;
        }
        Ok(status)
    }

    pub(super) fn stream(&mut self) -> io::Result<u16> {
        let target = format!("{}/stream?ack={}", self.at, self.got);
        let (status, incoming) = self.line.open(&target)?;
        if status == 200 {
            self.read_frames(incoming)?;
        }
        Ok(status)
    }

    pub(super) fn events(&mut self) -> io::Result<u16> {
        let target = format!("{}/events?ack={}", self.at, self.got);
        let (status, incoming) = self.line.open(&target)?;
        if status == 200 {
            self.read_events(incoming)?;
        }
        Ok(status)
    }

    /// Passes whole frames on.
    fn bring(&mut self, frames: &[u8]) -> io::Result<()> {
        let mut at = 0;
        while at < frames.len() {
            let (opcode, _) = parts(&frames[at..]).ok_or_else(|| wrong("a frame"))?;
            at += first_len(&frames[at..]).ok_or_else(|| wrong("a frame"))?;
            self.got += 1;
            self.is_over |= opcode == Opcode::Close;
        }
        self.client.write_all(frames)
    }

    /// Passes a stream's frames on as they come, but for the pings that say that it is there.
    fn read_frames(&mut self, mut incoming: Incoming) -> io::Result<()> {
        let mut begun = Vec::new();
        loop {
            let came = incoming.fill_buf()?;
            let read = came.len();
            if read == 0 {
                return match begun.is_empty() {
                    true => Ok(()),
                    false => Err(wrong("a part of a frame")),
                };
            }
            begun.extend_from_slice(came);
            incoming.consume(read);
            let (mut whole, mut at) = (Vec::new(), 0);
            while let Some(len) = first_len(&begun[at..]) {
                let frame = &begun[at..at + len];
                let is_ping = parts(frame).is_some_and(|(opcode, _)| opcode == Opcode::Ping);
                if !is_ping {
                    whole.extend_from_slice(frame);
                }
                at += len;
            }
            begun.drain(..at);
            self.bring(&whole)?;
        }
    }

    /// Passes the frames on that events were made of. Each says which it is.
    fn read_events(&mut self, incoming: Incoming) -> io::Result<()> {
        let mut event = Event::default();
        for line in incoming.lines() {
            let line = line?;
            if !line.is_empty() {
                event.read(&line)?;
                continue;
            }
            let event = std::mem::take(&mut event);
            if let Some(number) = event.id {
                if number != self.got + 1 {
                    return Err(wrong("another frame than the next one"));
                }
                let mut frame = Vec::new();
                event.encode(&mut frame)?;
                self.bring(&frame)?;
            }
        }
        Ok(())
    }
}

/// The head of what a client asks, behind which it waits.
fn read_request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = client.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..read]);
        match find_head_end(&head, 0) {
            Ok(Some(_)) => return Ok(head),
            Ok(None) if read > 0 => {}
            _ => return Err(wrong("a head")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use roomcast_protocol::upgrade::{ClientKey, parse_client_response, write_client_request};

    use super::super::{Relay, open};
    use super::*;

    const HELLO: &[u8] = b"\x81\x05hello";
    const CLOSE: &[u8] = b"\x88\x02\x03\xe8";

    /// Answers requests of `asked` so once, then with the status 410, and all others as a relay does.
    fn relay(asked: &'static str, answer: Vec<u8>, fetch: Fetch) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut answer = Some(answer);
            for mut stream in listener.incoming().flatten() {
                let head = read_request(&mut stream).unwrap_or_default();
                let head = String::from_utf8(head).unwrap();
                let said = if head.contains(asked) {
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
            fetch,
        }
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
        let poll = relay("/poll", whole(200, &twice), Passage::poll);
        assert_eq!(heard(poll), twice);
        let with_ping = [b"\x89\x00", &twice[..]].concat();
        let stream = relay("/stream", endless(&with_ping), Passage::stream);
        assert_eq!(heard(stream), twice);
        let lines = b"id: 1\ndata: hello\n\n: beat\n\nid: 2\ndata: hello\n\nevent: close\nid: 3\ndata: 1000\n\n";
        let events = relay("/events", endless(lines), Passage::events);
        assert_eq!(heard(events), twice);
    }

    #[test]
    fn what_breaks_off_ends_the_websocket_without_a_close_frame() {
        let part = [HELLO, &HELLO[..3]].concat();
        let stream = relay("/stream", endless(&part), Passage::stream);
        assert_eq!(heard(stream), HELLO);
        let gap = b"id: 1\ndata: hello\n\nid: 3\ndata: hello\n\n";
        let events = relay("/events", endless(gap), Passage::events);
        assert_eq!(heard(events), HELLO);
        let poll = relay("/poll", whole(410, b"{}"), Passage::poll);
        assert_eq!(heard(poll), b"");
    }
}
