//! Writing an answer.
//!
//! Owns the bytes of every response head. Must not know why one is sent, and never repeats a byte of the request.
//!
//! Invariant: an answer that is not a 101 says how long it is, whether the connection ends with it, and that pages of every
//! origin that may connect may read it: a browser tells a page nothing of a WebSocket that was refused, but lets it `fetch` the same URL. There is no Date:
//! a server without a clock must not send one (RFC 9110 section 6.6.1).

use super::{AcceptKey, Refusal, Status, fields::is_token};

/// Whose pages may read an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Those of every origin.
    EveryPage,
    /// Only those of the server's own.
    NoPage,
}

/// What an answer carries: the server's own text, never a peer's.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// Content-Type.
    pub kind: &'a str,
    /// Further fields, each a line with its CRLF.
    pub fields: &'a str,
    /// As it is.
    pub body: &'a [u8],
}

/// Appends a whole response: status line, the fields its status must carry (405 Allow, 426 Upgrade and
/// Sec-WebSocket-Version, 429 and 503 Retry-After, 401 WWW-Authenticate), `Connection: close`, Content-Length and `body`.
///
/// With `head_only`, the answer to HEAD, `body` is measured but left out (RFC 9110 section 9.3.2). `content_type` is
/// the server's own text, never a peer's.
pub fn write_response(
    out: &mut Vec<u8>,
    status: Status,
    content_type: &str,
    body: &[u8],
    head_only: bool,
) {
    let kind = (content_type, Readers::EveryPage);
    write_with(out, status, status.fields(), kind, body, head_only);
}

/// Appends a 200 with this content, for these readers; otherwise as [`write_response`].
pub fn write_content(out: &mut Vec<u8>, content: Content<'_>, head_only: bool, readers: Readers) {
    let Content { kind, fields, body } = content;
    let kind = (kind, readers);
    write_with(out, Status::Ok200, fields, kind, body, head_only);
}

/// Appends the answer to a refused request: its status, and as text one line that says what to do.
/// Nothing for [`Refusal::TlsOnPlainPort`].
pub fn write_refusal(out: &mut Vec<u8>, refusal: Refusal) {
    write_refusal_for(out, refusal, false);
}

/// [`write_refusal`], without content if the request was a HEAD; see
/// [`asks_for_head_only`](super::asks_for_head_only).
pub fn write_refusal_for(out: &mut Vec<u8>, refusal: Refusal, head_only: bool) {
    let status = refusal.status();
    let fields = match refusal {
        Refusal::TlsOnPlainPort => return,
        Refusal::UpgradeNeedsGet => "Allow: GET\r\n",
        Refusal::PostOnly => "Allow: POST\r\n",
        // Another server, or this one anew, can be there sooner than a full one has room.
        Refusal::Draining => "Retry-After: 2\r\n",
        // Joins come back sooner than places do.
        Refusal::AddressJoins => "Retry-After: 1\r\n",
        _ => status.fields(),
    };
    let readers = match refusal {
        Refusal::OriginNotAllowed | Refusal::OriginNotSaid | Refusal::HostNotAllowed => {
            Readers::NoPage
        }
        _ => Readers::EveryPage,
    };
    let body = format!("{refusal}\n");
    write_with(
        out,
        status,
        fields,
        ("text/plain; charset=utf-8", readers),
        body.as_bytes(),
        head_only,
    );
}

/// Appends the 101 that accepts a handshake (RFC 6455 section 4.2.2, item 5). What follows it on the wire is frames.
///
/// `protocol` is the one chosen among those the client offered. One that is not a token is left out: nothing may
/// break out of its line.
pub fn write_accept(out: &mut Vec<u8>, accept: &AcceptKey, protocol: Option<&str>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(accept.as_str().as_bytes());
    if let Some(protocol) = protocol.filter(|name| is_token(name.as_bytes())) {
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(protocol.as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
}

/// The answer to a request that does more than fetch a page, after which the connection may go on.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// Its status.
    pub status: Status,
    /// Content-Type.
    pub kind: &'a str,
    /// As it is.
    pub body: &'a [u8],
}

/// Against proxies that buffer answers, change them, or give one origin's to another.
const AS_IT_IS: &str =
    "Cache-Control: no-store, no-transform\r\nVary: Origin\r\nX-Accel-Buffering: no\r\n";

/// Appends a [`Reply`] for these readers, and that the connection goes on if it `keeps`.
pub fn write_reply(out: &mut Vec<u8>, reply: Reply<'_>, keeps: bool, readers: Readers) {
    let (code, reason) = (reply.status.code(), reply.status.reason());
    let Reply { status, kind, body } = reply;
    let fields = status.fields();
    let length = body.len();
    let connection = connection(keeps);
    let readers = readable_by(readers);
    let head = format!(
        "HTTP/1.1 {code} {reason}\r\n{fields}Connection: {connection}\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n{AS_IT_IS}X-Content-Type-Options: nosniff\r\n{readers}\r\n"
    );
    out.reserve(head.len() + body.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
}

/// Appends the head of a 200 for these readers, whose content goes on until the connection ends.
pub fn write_endless(out: &mut Vec<u8>, kind: &str, readers: Readers) {
    let readers = readable_by(readers);
    let head = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {kind}\r\n{AS_IT_IS}\
         X-Content-Type-Options: nosniff\r\n{readers}\r\n"
    );
    out.extend_from_slice(head.as_bytes());
}

/// Appends a 204, without content: it has been done. Also the answer to whoever asks beforehand whether it may (a
/// preflight of CORS): it may.
pub fn write_done(out: &mut Vec<u8>, keeps: bool, readers: Readers) {
    let connection = connection(keeps);
    let readers = match readers {
        Readers::EveryPage => {
            "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, POST\r\n\
             Access-Control-Allow-Headers: *, Authorization\r\nAccess-Control-Max-Age: 86400\r\n"
        }
        Readers::NoPage => "",
    };
    let head =
        format!("HTTP/1.1 204 No Content\r\nConnection: {connection}\r\n{AS_IT_IS}{readers}\r\n");
    out.extend_from_slice(head.as_bytes());
}

/// Appends the 100 that a content waits for (RFC 9110 section 10.1.1).
pub fn write_continue(out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
}

fn connection(keeps: bool) -> &'static str {
    if keeps { "keep-alive" } else { "close" }
}

fn readable_by(readers: Readers) -> &'static str {
    match readers {
        Readers::EveryPage => {
            "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\n"
        }
        Readers::NoPage => "",
    }
}

fn write_with(
    out: &mut Vec<u8>,
    status: Status,
    fields: &str,
    (content_type, readers): (&str, Readers),
    body: &[u8],
    head_only: bool,
) {
    // RFC 9110 section 7.8: who sends Upgrade names it in Connection.
    let connection = match status {
        Status::UpgradeRequired426 => "Upgrade, close",
        _ => "close",
    };
    let code = status.code();
    let reason = status.reason();
    let length = body.len();
    let readers = readable_by(readers);
    let head = format!(
        "HTTP/1.1 {code} {reason}\r\n{fields}Connection: {connection}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         {readers}\r\n"
    );
    out.reserve(head.len() + body.len());
    out.extend_from_slice(head.as_bytes());
    if !head_only {
        out.extend_from_slice(body);
    }
}
