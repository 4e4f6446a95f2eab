//! Handshakes to take apart, and a server that is nothing but its parser.

#![allow(dead_code, reason = "each test file uses its part")]

use roomcast_protocol::upgrade::{Refusal, Request, RequestKind, find_head_end, parse_request};

pub const LINE: &str = "GET /rooms/lobby HTTP/1.1";
pub const HOST: &str = "Host: relay.example:7777";
pub const CONNECTION: &str = "Connection: Upgrade";
pub const UPGRADE: &str = "Upgrade: websocket";
pub const VERSION: &str = "Sec-WebSocket-Version: 13";
pub const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
pub const GOOD: [&str; 6] = [LINE, HOST, CONNECTION, UPGRADE, VERSION, KEY];

/// A masked text frame "Hello" (RFC 6455 section 5.7), as sent along with a handshake.
pub const FRAME: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";

/// Lines with their CR LF, and the blank line.
pub fn head(lines: &[&str]) -> Vec<u8> {
    let mut head: Vec<u8> = lines
        .iter()
        .flat_map(|line| [line.as_bytes(), b"\r\n"].concat())
        .collect();
    head.extend_from_slice(b"\r\n");
    head
}

/// A good handshake with `line` replaced by `others`.
pub fn instead(line: &str, others: &[&str]) -> Vec<u8> {
    let at = GOOD
        .iter()
        .position(|each| *each == line)
        .expect("a line of GOOD");
    head(&[&GOOD[..at], others, &GOOD[at + 1..]].concat())
}

/// A good handshake and more field lines.
pub fn with(more: &[&str]) -> Vec<u8> {
    head(&[&GOOD[..], more].concat())
}

/// A page request: `line`, a Host, and `more`.
pub fn page(line: &str, more: &[&str]) -> Vec<u8> {
    head(&[&[line, HOST], more].concat())
}

/// What a request came to, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub host: String,
    pub origin: Option<String>,
    /// Accept and protocols.
    pub upgrade: Option<(String, Vec<String>)>,
}

impl From<Request<'_>> for Seen {
    fn from(request: Request<'_>) -> Self {
        Self {
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            query: request.query.map(str::to_owned),
            host: request.host.unwrap_or_default().to_owned(),
            origin: request.origin.map(str::to_owned),
            upgrade: match request.kind {
                RequestKind::Plain => None,
                RequestKind::Upgrade(upgrade) => Some((
                    upgrade.accept.as_str().to_owned(),
                    upgrade.protocols().map(str::to_owned).collect(),
                )),
            },
        }
    }
}

/// What a server makes of segments: the request and the bytes behind its head, a refusal, or nothing yet.
pub fn serve<'s>(
    segments: impl IntoIterator<Item = &'s [u8]>,
) -> Result<Option<(Seen, Vec<u8>)>, Refusal> {
    let mut received = Vec::new();
    let mut outcome = Ok(None);
    let mut scanned = 0;
    for segment in segments {
        received.extend_from_slice(segment);
        if let Ok(None) = outcome {
            outcome = find_head_end(&received, scanned);
            scanned = received.len();
        }
    }
    let Some(end) = outcome? else {
        return Ok(None);
    };
    let request = Seen::from(parse_request(&received[..end])?);
    Ok(Some((request, received[end..].to_vec())))
}

/// The same outcome whole, byte by byte, and cut in two at every point.
pub fn serve_every_way(bytes: &[u8], name: &str) -> Result<Option<(Seen, Vec<u8>)>, Refusal> {
    let whole = serve([bytes]);
    assert_eq!(serve(bytes.chunks(1)), whole, "{name}: byte by byte");
    for at in 0..=bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(serve([front, back]), whole, "{name}: cut at {at}");
    }
    whole
}

/// The request in `bytes`, after checking that splits and what follows the head make no difference.
pub fn judge(bytes: &[u8], name: &str) -> Result<Seen, Refusal> {
    let whole = serve_every_way(bytes, name);
    if !matches!(whole, Ok(None)) {
        let tails: [&[u8]; 4] = [FRAME, b"\0\r\n\n", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 9000]];
        for tail in tails {
            let followed = serve([&[bytes, tail].concat()[..]]);
            let expected = whole
                .clone()
                .map(|seen| seen.map(|(request, _)| (request, tail.to_vec())));
            assert_eq!(followed, expected, "{name}: followed by {:?}", &tail[..4]);
        }
    }
    let (request, rest) = whole?.unwrap_or_else(|| panic!("{name}: no end of head"));
    assert_eq!(rest, b"", "{name}: the head is all there is");
    Ok(request)
}
