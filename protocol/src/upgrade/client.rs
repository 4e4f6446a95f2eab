//! The client's side of the handshake (RFC 6455 section 4.1).
//!
//! Owns the request a client sends and its judgement of the answer. Must not know URLs or sockets.

use super::{
    AcceptKey, ClientKey, MAX_FIELDS, MAX_HEAD,
    fields::{PROTOCOL_FIELD, elements, list_contains},
};

/// Why a client has no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server answered with this status instead of 101.
    #[error("the server answered with HTTP status {0}, not 101: check the address and the path")]
    Status(u16),
    /// The answer is not HTTP/1.1.
    #[error("the server's answer is not HTTP/1.1: check that a WebSocket server listens there")]
    Malformed,
    /// The answer's head is over [`MAX_HEAD`] bytes or [`MAX_FIELDS`] fields.
    #[error("the head of the server's answer is over 8192 bytes or 100 fields")]
    TooLarge,
    /// The 101 does not say `Upgrade: websocket`.
    #[error("the server switched to something that is not WebSocket")]
    NotWebSocket,
    /// The 101 does not say `Connection: Upgrade`.
    #[error("the server's 101 lacks 'Connection: Upgrade'")]
    NoConnectionUpgrade,
    /// Sec-WebSocket-Accept is missing, repeated, or not the answer to this key.
    #[error("the server's Sec-WebSocket-Accept does not answer this client's key")]
    BadAccept,
    /// An extension that was not offered, since none is.
    #[error("the server chose an extension that was not offered")]
    UnexpectedExtension,
    /// A subprotocol that was not offered.
    #[error("the server chose a subprotocol that was not offered")]
    UnexpectedProtocol,
    /// A subprotocol was offered and the server chose none; like browsers, this client does not go on without.
    #[error("the server does not speak the subprotocol that was asked for")]
    MissingProtocol,
}

/// Appends a client's handshake. `extra` are more fields (name, value), such as Origin.
///
/// `host` is `name[:port]` and `path_and_query` starts with `/`; all texts are the caller's own and must hold no line
/// breaks.
pub fn write_client_request(
    out: &mut Vec<u8>,
    host: &str,
    path_and_query: &str,
    key: &ClientKey,
    protocol: Option<&str>,
    extra: &[(&str, &str)],
) {
    let key = key.as_str();
    let head = format!(
        "GET {path_and_query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    let protocol = protocol.map(|name| (PROTOCOL_FIELD, name));
    for (name, value) in protocol.iter().chain(extra) {
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Judges the answer at the front of `bytes`, everything received so far: `None` while it is incomplete, else how
/// many bytes it took; frames may stand behind. Interim answers (1xx but 101) are passed over, as RFC 9110 section
/// 15.2 demands.
///
/// # Errors
///
/// [`ClientError`]; no further call makes sense after one.
pub fn parse_client_response(
    bytes: &[u8],
    key: &ClientKey,
    protocol: Option<&str>,
) -> Result<Option<usize>, ClientError> {
    let mut start = 0;
    loop {
        let window = &bytes[start..bytes.len().min(MAX_HEAD)];
        let mut table = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut table);
        let len = match response.parse(window) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if bytes.len() >= MAX_HEAD => {
                return Err(ClientError::TooLarge);
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(ClientError::TooLarge),
            Err(_) => return Err(ClientError::Malformed),
        };
        start += len;
        match (response.code, response.version) {
            (Some(101), Some(1)) => {
                judge(response.headers, key.expected_accept(), protocol)?;
                return Ok(Some(start));
            }
            (Some(101), _) | (None, _) => return Err(ClientError::Malformed),
            (Some(100..=199), _) => {}
            (Some(code), _) => return Err(ClientError::Status(code)),
        }
    }
}

/// Where an answer that is a redirection (3xx) sends the client: its Location (RFC 9110 section 10.2.2). `None` if
/// `bytes`, everything received so far, hold no such answer whole.
#[must_use]
pub fn redirect_location(bytes: &[u8]) -> Option<&str> {
    let mut start = 0;
    loop {
        let mut table = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut table);
        let window = bytes.get(start..bytes.len().min(MAX_HEAD))?;
        let Ok(httparse::Status::Complete(len)) = response.parse(window) else {
            return None;
        };
        start += len;
        match response.code {
            Some(100..=199) => {}
            Some(300..=399) => {
                let mut fields = response.headers.iter();
                let location = fields.find(|field| field.name.eq_ignore_ascii_case("location"))?;
                return std::str::from_utf8(location.value).ok();
            }
            _ => return None,
        }
    }
}

/// RFC 6455 section 4.1, the six steps a client validates a 101 with.
fn judge(
    fields: &[httparse::Header<'_>],
    expected: AcceptKey,
    offered: Option<&str>,
) -> Result<(), ClientError> {
    let values = |field: &'static str| {
        let named = move |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(field);
        fields.iter().filter(named).map(|header| header.value)
    };
    let once = |field| {
        let mut values = values(field);
        (values.next(), values.next().is_some())
    };
    match once("Upgrade") {
        (Some(value), false) if value.eq_ignore_ascii_case(b"websocket") => {}
        _ => return Err(ClientError::NotWebSocket),
    }
    if !values("Connection").any(|value| list_contains(value, "upgrade")) {
        return Err(ClientError::NoConnectionUpgrade);
    }
    match once("Sec-WebSocket-Accept") {
        (Some(value), false) if value == expected.as_str().as_bytes() => {}
        _ => return Err(ClientError::BadAccept),
    }
    if values("Sec-WebSocket-Extensions").any(|value| elements(value).next().is_some()) {
        return Err(ClientError::UnexpectedExtension);
    }
    match (once(PROTOCOL_FIELD), offered) {
        ((None, _), None) => Ok(()),
        ((None, _), Some(_)) => Err(ClientError::MissingProtocol),
        ((Some(chosen), false), Some(offered)) if chosen == offered.as_bytes() => Ok(()),
        _ => Err(ClientError::UnexpectedProtocol),
    }
}
