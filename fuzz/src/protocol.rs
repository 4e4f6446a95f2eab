//! Targets for `roomcast-protocol`: everything that reads what a peer sent.

use std::str::from_utf8;

#[path = "v1.rs"]
mod v1;

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{
    Decoder, Item, MAX_CONTROL_PAYLOAD, MessageKind, Opcode, Role, Rules, Violation, encode,
    encode_close, encode_masked,
};
use roomcast_protocol::mask::{Isa, unmask_in_place_with, unmask_to_vec_with};
use roomcast_protocol::proxy_header;
use roomcast_protocol::upgrade::{
    Body, ClientKey, Framing, HopField, Refusal, RequestKind, find_head_end, parse_client_response,
    parse_request, room_name, write_accept, write_refusal,
};
use roomcast_protocol::utf8;

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target of this module by its name, which is also that of its corpus.
pub const TARGETS: [Target; 11] = [
    ("frame_server", frame_server),
    ("frame_client", frame_client),
    ("utf8_stream", utf8_stream),
    ("mask", mask),
    ("upgrade_request", upgrade_request),
    ("upgrade_body", upgrade_body),
    ("upgrade_response", upgrade_response),
    ("proxy_header", proxy_header),
    ("v1_up", v1_up),
    ("v1_down", v1_down),
    ("v1_client", v1_client),
];

/// Cuts `bytes` into pieces of the lengths in `lens` (0 counts as 256), over and over.
fn pieces<'b>(bytes: &'b [u8], lens: &[u8]) -> Vec<&'b [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for len in lens.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let len = if *len == 0 { 256 } else { usize::from(*len) };
        let (piece, after) = rest.split_at(len.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// An [`Item`] that owns its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseCode>, String),
}

impl From<Item<'_>> for Seen {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Message { kind, payload } => Self::Message(kind, payload.to_vec()),
            Item::Ping(payload) => Self::Ping(payload.to_vec()),
            Item::Pong(payload) => Self::Pong(payload.to_vec()),
            Item::Close { code, reason } => Self::Close(code, reason.to_owned()),
        }
    }
}

impl Seen {
    fn check(&self, rules: &Rules) {
        match self {
            Self::Message(kind, payload) => {
                assert!(payload.len() <= rules.max_message);
                assert!(*kind == MessageKind::Binary || from_utf8(payload).is_ok());
            }
            Self::Ping(payload) | Self::Pong(payload) => {
                assert!(payload.len() <= MAX_CONTROL_PAYLOAD);
            }
            Self::Close(code, reason) => {
                assert!(code.is_none_or(CloseCode::is_valid_on_wire));
                assert!(reason.len() <= MAX_CONTROL_PAYLOAD - 2);
                assert!(code.is_some() || reason.is_empty());
            }
        }
    }

    /// Appends it as the peer of `role` would send it, in one frame.
    fn write(&self, role: Role, out: &mut Vec<u8>) {
        let key = [0x12, 0x34, 0x56, 0x78];
        let mut put = |opcode, payload: &[u8]| match role {
            Role::Server => encode_masked(out, opcode, payload, key),
            Role::Client => encode(out, opcode, payload),
        };
        match self {
            Self::Message(kind, payload) => put((*kind).into(), payload),
            Self::Ping(payload) => put(Opcode::Ping, payload),
            Self::Pong(payload) => put(Opcode::Pong, payload),
            Self::Close(None, _) => put(Opcode::Close, &[]),
            Self::Close(Some(code), reason) => {
                encode_close(out, *code, reason, (role == Role::Server).then_some(key));
            }
        }
    }
}

/// All items up to a violation or a close. Memory is checked on the way.
fn decode(rules: &Rules, pieces: &[&[u8]]) -> (Vec<Seen>, Option<Violation>) {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    let mut arrived = 0;
    for piece in pieces {
        arrived += piece.len();
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            match decoder.next(rules, &mut input) {
                Ok(Some(item)) => seen.push(Seen::from(item)),
                Ok(None) => break,
                Err(violation) => {
                    assert_eq!(decoder.next(rules, &mut input), Err(violation));
                    return (seen, Some(violation));
                }
            }
            assert!(decoder.buffered() <= (2 * arrived).min(rules.max_message) + 512);
            if matches!(seen.last(), Some(Seen::Close(..))) {
                return (seen, None);
            }
        }
        assert!(input.is_empty());
        assert!(decoder.buffered() <= (2 * arrived).min(rules.max_message) + 512);
        assert_eq!(decoder.is_idle(), decoder.buffered() == 0);
    }
    (seen, None)
}

/// `data`: which limit, three lengths of pieces, the wire.
fn frames(role: Role, data: &[u8]) {
    let Some((&[limit, lens @ ..], wire)) = data.split_first_chunk::<4>() else {
        return;
    };
    let max_message = [70_000, 1000, 125, 0][usize::from(limit % 4)];
    let rules = Rules { role, max_message };
    let whole = decode(&rules, &[wire]);
    assert_eq!(decode(&rules, &pieces(wire, &lens)), whole, "in pieces");
    assert_eq!(decode(&rules, &pieces(wire, &[1])), whole, "byte by byte");

    let mut again = Vec::new();
    for item in &whole.0 {
        item.check(&rules);
        item.write(role, &mut again);
    }
    assert_eq!(decode(&rules, &[&again]), (whole.0, None), "sent on");
}

/// Frames as a server reads them: any split gives the same, memory stays bounded, and what was read can be sent on.
pub fn frame_server(data: &[u8]) {
    frames(Role::Server, data);
}

/// The same as a client.
pub fn frame_client(data: &[u8]) {
    frames(Role::Client, data);
}

/// Text in pieces and whole, against std. `data`: three lengths of pieces, the text.
pub fn utf8_stream(data: &[u8]) {
    let Some((lens, text)) = data.split_first_chunk::<3>() else {
        return;
    };
    assert_eq!(utf8::is_valid(text), from_utf8(text).is_ok());
    for pieces in [pieces(text, lens), pieces(text, &[1])] {
        let mut stream = utf8::Stream::default();
        let mut arrived = 0;
        let mut failed = false;
        for piece in pieces {
            arrived += piece.len();
            let so_far = from_utf8(&text[..arrived]);
            let bad = so_far.is_err_and(|error| error.error_len().is_some());
            failed = stream.push(piece).is_err();
            assert_eq!(failed, bad, "after {arrived} bytes");
            if failed {
                break;
            }
        }
        let valid = !failed && stream.finish().is_ok();
        assert_eq!(valid, from_utf8(text).is_ok());
    }
}

/// Every instruction set against the scalar loop. `data`: key, phase, alignment, payload.
pub fn mask(data: &[u8]) {
    let Some((&[a, b, c, d, phase, offset], payload)) = data.split_first_chunk::<6>() else {
        return;
    };
    let key = [a, b, c, d];
    let (phase, offset) = (usize::from(phase), usize::from(offset % 64));
    let scalar = |(i, byte): (usize, &u8)| byte ^ key[(phase + i) % 4];
    let expected: Vec<u8> = payload.iter().enumerate().map(scalar).collect();
    for isa in Isa::available() {
        let mut in_place = vec![0xa5; offset];
        in_place.extend_from_slice(payload);
        in_place.push(0xa5);
        let end = offset + payload.len();
        unmask_in_place_with(isa, &mut in_place[offset..end], key, phase);
        assert!(in_place[offset..end] == expected, "{isa:?} in place");
        let around = in_place[..offset].iter().chain(&in_place[end..]);
        assert!(around.copied().all(|byte| byte == 0xa5), "{isa:?} beyond");

        let mut copied = vec![0xa5; offset];
        unmask_to_vec_with(isa, payload, key, phase, &mut copied);
        assert!(copied[offset..] == expected, "{isa:?} copying");
    }
}

/// A request in pieces and whole, as a server reads it. `data`: three lengths of pieces, the bytes.
pub fn upgrade_request(data: &[u8]) {
    let Some((lens, bytes)) = data.split_first_chunk::<3>() else {
        return;
    };
    let serve = |pieces: &[&[u8]]| {
        let mut received = Vec::new();
        for piece in pieces {
            let scanned = received.len();
            received.extend_from_slice(piece);
            match find_head_end(&received, scanned) {
                Ok(None) => {}
                Ok(Some(end)) => return Ok(Some((end, request(&received[..end])?))),
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(None)
    };
    let whole = serve(&[bytes]);
    assert_eq!(serve(&pieces(bytes, lens)), whole, "in pieces");
    assert_eq!(serve(&pieces(bytes, &[1])), whole, "byte by byte");
    if let Err(refusal) = whole {
        let mut answer = Vec::new();
        write_refusal(&mut answer, refusal);
        // One that spoke TLS could not read an answer.
        let answered = answer.starts_with(b"HTTP/1.1 ") && answer.len() > 100;
        assert!(answered || refusal == Refusal::TlsOnPlainPort && answer.is_empty());
    }
}

/// The content of a request in pieces and whole. `data`: its length, or that it comes in chunks; three lengths of pieces,
/// the bytes.
pub fn upgrade_body(data: &[u8]) {
    let Some((&[length, lens @ ..], bytes)) = data.split_first_chunk::<4>() else {
        return;
    };
    const MOST: usize = 200;
    let framing = match length {
        255 => Framing::Chunked,
        length => Framing::Length(length.into()),
    };
    let read = |pieces: &[&[u8]]| {
        let mut body = Body::new(framing, MOST)?;
        let (mut content, mut taken) = (Vec::new(), 0);
        for mut piece in pieces.iter().copied() {
            let len = piece.len();
            let whole = body.next(&mut piece, &mut content)?;
            assert!(content.len() <= MOST);
            taken += len - piece.len();
            if whole {
                return Ok(Some((content, taken)));
            }
            assert!(piece.is_empty());
        }
        Ok::<_, Refusal>(None)
    };
    let whole = read(&[bytes]);
    assert_eq!(read(&pieces(bytes, &lens)), whole, "in pieces");
    assert_eq!(read(&pieces(bytes, &[1])), whole, "byte by byte");
    if let Ok(Some((content, taken))) = whole {
        let announced = usize::from(length);
        match framing {
            Framing::Length(_) => assert_eq!((content.len(), taken), (announced, announced)),
            Framing::Chunked => assert!(taken >= content.len() + 5),
        }
    }
}

/// The header of a proxy, in pieces. `data`: lengths of three pieces, the bytes.
pub fn proxy_header(data: &[u8]) {
    let Some((lens, bytes)) = data.split_first_chunk::<3>() else {
        return;
    };
    let read = |pieces: &[&[u8]]| {
        let mut decoder = proxy_header::Decoder::default();
        let mut taken = 0;
        for mut piece in pieces.iter().copied() {
            let len = piece.len();
            let said = decoder.next(&mut piece)?;
            taken += len - piece.len();
            if let Some(origin) = said {
                return Ok(Some((origin, taken)));
            }
            assert!(piece.is_empty() && decoder.wants() > 0);
        }
        Ok::<_, proxy_header::NoHeader>(None)
    };
    let whole = read(&[bytes]);
    assert_eq!(read(&pieces(bytes, lens)), whole, "in pieces");
    assert_eq!(read(&pieces(bytes, &[1])), whole, "byte by byte");
    // Who reads what is wanted has nothing in hand of what follows.
    let (mut decoder, mut at) = (proxy_header::Decoder::default(), 0);
    while let Some(mut piece) = bytes.get(at..at + decoder.wants()) {
        at += piece.len();
        match decoder.next(&mut piece) {
            Ok(None) => assert!(piece.is_empty()),
            Ok(Some(origin)) => {
                assert!(piece.is_empty());
                return assert_eq!(whole, Ok(Some((origin, at))));
            }
            Err(no) => return assert_eq!(whole, Err(no)),
        }
    }
}

/// What a request says, owned and checked.
fn request(head: &[u8]) -> Result<String, Refusal> {
    let request = parse_request(head)?;
    assert!(request.path.starts_with('/') && !request.path.contains('?'));
    let host = request.host.unwrap_or_default();
    assert!(!host.contains(['\r', '\n', '\0']));
    if let Some(name) = request.path.strip_prefix("/rooms/").and_then(room_name) {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        assert!((1..=64).contains(&name.len()) && name.bytes().all(allowed));
        assert!(![".", ".."].contains(&&*name));
        let again = room_name(&name);
        assert_eq!(again.as_deref(), Some(&*name), "a name names itself");
    }
    for field in [HopField::Customary, HopField::Standard] {
        // At least a comma or a line for each.
        assert!(request.forwarded.hops(field).count() <= head.len() / 2);
    }
    if let RequestKind::Upgrade(upgrade) = &request.kind {
        assert_eq!(request.method, "GET");
        let mut answer = Vec::new();
        let protocol = upgrade.protocols().next();
        write_accept(&mut answer, &upgrade.accept, protocol);
        let lines = answer.split(|byte| *byte == b'\n').count();
        assert_eq!(
            lines,
            6 + usize::from(protocol.is_some()),
            "nothing of the peer's adds a line"
        );
        let protocols: Vec<&str> = upgrade.protocols().collect();
        return Ok(format!("{request:?} {protocols:?}"));
    }
    Ok(format!("{request:?}"))
}

/// A server's answer, as a client reads it that gets it byte by byte. `data`: whether a subprotocol was asked for,
/// the bytes. The key is that of RFC 6455 section 1.3.
pub fn upgrade_response(data: &[u8]) {
    let Some((asked, bytes)) = data.split_first() else {
        return;
    };
    let key = ClientKey::from_bytes(*b"the sample nonce");
    let protocol = (asked % 2 == 1).then_some("roomcast.v1");
    let parse = |len| parse_client_response(&bytes[..len], &key, protocol);
    let whole = parse(bytes.len());
    // Beyond that it takes too long, and a head must have ended.
    let few = bytes.len().min(2048);
    let first = (0..=few).map(parse).find(|outcome| *outcome != Ok(None));
    match first {
        Some(first) => assert_eq!(first, whole, "more bytes change nothing"),
        None => assert!(few < bytes.len() || whole == Ok(None)),
    }
    if let Ok(Some(len)) = whole {
        assert!(bytes[..len].ends_with(b"\n"));
    }
}

/// A message of `roomcast.v1` from a client: one encoding of what it means, and reasons that fit.
pub fn v1_up(data: &[u8]) {
    v1::up(data);
}

/// The same from a relay.
pub fn v1_down(data: &[u8]) {
    v1::down(data);
}

/// A client of `roomcast.v1` whose sockets open, close and deliver what they like: it stays within its bounds, sends
/// nothing before its join is answered, and its time never goes backwards.
pub fn v1_client(data: &[u8]) {
    v1::client(data);
}
