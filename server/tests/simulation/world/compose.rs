//! What a player sends: requests and frames, and what each of them means to a server, as marks on the stream.
//!
//! Owns: every shape of good and bad input. Must not know: when it is sent, or what the server made of it.
//! Invariant: a mark stands where the last byte of what it means ends, in the order of the bytes.

use std::rc::Rc;

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{
    MAX_EMPTY_FRAGMENTS, MessageKind, Opcode, encode_close, encode_masked, header,
};
use roomcast_protocol::upgrade::{ClientKey, write_client_request};

use super::choices::Choices;

/// A message, by reference.
pub(crate) type Message = (MessageKind, Rc<[u8]>);

/// What a run of bytes means to the server.
#[derive(Debug, Clone)]
pub(crate) enum Mark {
    /// A request for a seat.
    Seat {
        room: Rc<str>,
        place: Place,
    },
    /// A request that is answered with this status, or a head that is no request.
    Request {
        status: u16,
    },
    Message(Message),
    /// Packets of a client of roomcast.v1.
    Packets(Errand, Rc<[u8]>),
    Ping(Rc<[u8]>),
    Close(Option<CloseCode>),
    /// A breach of the protocol, to be noticed at its last byte at the latest.
    Breach(CloseCode),
}

/// Where a seat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Room,
    /// Hears itself.
    Echo,
    /// Before a room of roomcast.v1: the seat there is asked for by a packet.
    Door,
}

/// What packets are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    Join,
    Speak,
    Leave,
}

/// Bytes to send, with marks.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) bytes: Vec<u8>,
    /// Each with the length of `bytes` that completes it.
    pub(crate) marks: Vec<(usize, Mark)>,
}

impl Script {
    fn mark(&mut self, mark: Mark) {
        self.marks.push((self.bytes.len(), mark));
    }

    /// A request that asks for a seat, or for something else.
    pub(crate) fn request(
        &mut self,
        path: &str,
        mark: Mark,
        key: &ClientKey,
        protocol: Option<&'static str>,
    ) {
        write_client_request(&mut self.bytes, "relay", path, key, protocol, &[]);
        self.mark(mark);
    }

    /// A request that is no WebSocket's.
    pub(crate) fn other_request(&mut self, choices: &mut Choices<'_>) {
        let (bytes, status): (&[u8], u16) = choices.one_of(&[
            (b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n", 200),
            (b"HEAD / HTTP/1.1\r\nHost: relay\r\n\r\n", 200),
            (b"GET /nowhere HTTP/1.1\r\nHost: relay\r\n\r\n", 404),
            (b"GET /rooms/a%2F HTTP/1.1\r\nHost: relay\r\n\r\n", 404),
            (b"GET /rooms/plain HTTP/1.1\r\nHost: relay\r\n\r\n", 426),
            (b"POST /rooms/plain HTTP/1.1\r\nHost: relay\r\n\r\n", 405),
            (b"GET / HTTP/1.1\r\nHost: relay\nX: y\r\n\r\n", 400),
            (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
            (b"\x00\x01\x02\x03", 400),
        ]);
        self.bytes.extend_from_slice(bytes);
        self.mark(Mark::Request { status });
    }

    /// The beginning of a request that never ends.
    pub(crate) fn unfinished_request(&mut self) {
        self.bytes
            .extend_from_slice(b"GET /rooms/never HTTP/1.1\r\nHost: relay\r\nX-Trickle: ");
    }

    /// A message in one frame, or in fragments with a ping between.
    pub(crate) fn message(&mut self, message: &Message, choices: &mut Choices<'_>) {
        self.frames(message, choices);
        self.mark(Mark::Message(message.clone()));
    }

    /// What a client of roomcast.v1 has to say.
    pub(crate) fn packets(&mut self, errand: Errand, packets: &[u8], choices: &mut Choices<'_>) {
        let message = (MessageKind::Binary, Rc::from(packets));
        self.frames(&message, choices);
        self.mark(Mark::Packets(errand, message.1));
    }

    fn frames(&mut self, (kind, payload): &Message, choices: &mut Choices<'_>) {
        let mut opcode = Opcode::from(*kind);
        let mut rest = &payload[..];
        for _ in 0..choices.one_of(&[0, 0, 0, 1, 3]) {
            let (part, after) = rest.split_at(choices.below(rest.len().min(1000) + 1));
            rest = after;
            self.frame(false, opcode, part, choices);
            opcode = Opcode::Continuation;
            if choices.once_in(3) {
                self.ping(b"between fragments", choices);
            }
        }
        self.frame(true, opcode, rest, choices);
    }

    pub(crate) fn ping(&mut self, payload: &[u8], choices: &mut Choices<'_>) {
        self.frame(true, Opcode::Ping, payload, choices);
        self.mark(Mark::Ping(payload.into()));
    }

    pub(crate) fn pong(&mut self, payload: &[u8], choices: &mut Choices<'_>) {
        self.frame(true, Opcode::Pong, payload, choices);
    }

    pub(crate) fn close(&mut self, code: Option<CloseCode>, choices: &mut Choices<'_>) {
        let key = key(choices);
        match code {
            Some(code) => encode_close(&mut self.bytes, code, "bye", Some(key)),
            None => encode_masked(&mut self.bytes, Opcode::Close, &[], key),
        }
        self.mark(Mark::Close(code));
    }

    /// One of the things that a peer must not send, complete enough to be noticed.
    pub(crate) fn breach(&mut self, max_message: usize, choices: &mut Choices<'_>) {
        const WRONG: CloseCode = CloseCode::PROTOCOL_ERROR;
        let too_big = header(true, Opcode::Binary, max_message + 1, Some([0; 4]));
        let empty = |first: u8| [first, 0x80, 0, 0, 0, 0];
        let mut nothing = empty(0x01).to_vec();
        (0..MAX_EMPTY_FRAGMENTS).for_each(|_| nothing.extend(empty(0x00)));
        let frames: [(&[u8], CloseCode); 13] = [
            (b"\x81\x02hi", WRONG),                                    // no mask
            (b"\xc1\x80\0\0\0\0", WRONG),                              // RSV1
            (b"\x83\x80\0\0\0\0", WRONG),                              // opcode 3
            (b"\x8b\x80\0\0\0\0", WRONG),                              // opcode 11
            (b"\x80\x80\0\0\0\0", WRONG),                              // nothing to continue
            (b"\x09\x80\0\0\0\0", WRONG),                              // a ping in fragments
            (b"\x89\xfe\0\x7e\0\0\0\0", WRONG),                        // a ping of 126 bytes
            (b"\x82\xfe\0\x05\0\0\0\0", WRONG),                        // not the shortest length
            (b"\x88\x81\0\0\0\0\x03", WRONG),                          // a close of one byte
            (b"\x88\x82\0\0\0\0\x03\xed", WRONG),                      // 1005
            (b"\x81\x82\0\0\0\0\xc3\x28", CloseCode::INVALID_PAYLOAD), // not UTF-8
            (too_big.as_bytes(), CloseCode::TOO_BIG),
            (&nothing, CloseCode::POLICY), // a message of nothing, without end
        ];
        let (bytes, code) = choices.one_of(&frames);
        self.bytes.extend_from_slice(bytes);
        self.mark(Mark::Breach(code));
    }

    fn frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8], choices: &mut Choices<'_>) {
        let key = key(choices);
        let head = header(fin, opcode, payload.len(), Some(key));
        self.bytes.extend_from_slice(head.as_bytes());
        // The specification's own loop (RFC 6455 section 5.3), so that no mask is checked against itself.
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        let (fours, rest) = self.bytes[start..].as_chunks_mut::<4>();
        for four in fours {
            let masked = u32::from_ne_bytes(*four) ^ u32::from_ne_bytes(key);
            *four = masked.to_ne_bytes();
        }
        let last = rest.iter_mut().zip(key);
        last.for_each(|(byte, key)| *byte ^= key);
    }
}

fn key(choices: &mut Choices<'_>) -> [u8; 4] {
    let byte = choices.below(256) as u8;
    [byte, byte ^ 0x55, byte.wrapping_mul(7), !byte]
}

/// A message that no other one is equal to, unless it is too short to hold its number.
pub(crate) fn message(number: u32, len: usize, choices: &mut Choices<'_>) -> Message {
    if choices.below(2) == 0 {
        let mut payload = vec![number as u8; len];
        for (to, from) in payload.iter_mut().zip(number.to_be_bytes()) {
            *to = from;
        }
        return (MessageKind::Binary, payload.into());
    }
    // Characters of one to four bytes, so that fragments end inside of them.
    let mut text = format!("{number} ");
    text.truncate(len);
    text.push_str(&"é€𝄞a".repeat((len - text.len()) / "é€𝄞a".len()));
    text.push_str(&"-".repeat(len - text.len()));
    (MessageKind::Text, text.into_bytes().into())
}
