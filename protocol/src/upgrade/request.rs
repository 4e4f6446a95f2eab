//! Reading a request.
//!
//! Owns what a head says and the order in which it is judged: request line, HTTP version, field lines, Host,
//! framing, method, target, handshake. Must not know paths, rooms or whether the server has a place left.
//!
//! Invariant: a request that gets through is read the same by every implementation of RFC 9112; only a POST has content.

use super::{
    AcceptKey, Forwarded, Framing, MAX_FIELDS, Protocols, Refusal,
    fields::{PROTOCOL_FIELD, cut, elements, is_token, list_contains},
    head::find_head_end,
    target::{RequestLine, Target, Version, is_authority},
};

/// A request that this server may answer; borrows from the head.
#[derive(Debug, Clone)]
pub struct Request<'h> {
    /// `GET`, `HEAD`, `POST` or `OPTIONS`; `GET` if `kind` is an upgrade.
    pub method: &'h str,
    /// Starts with `/`, without query; not decoded.
    pub path: &'h str,
    /// What stands behind the first `?`, not decoded.
    pub query: Option<&'h str>,
    /// `name[:port]`, of the target if that is absolute (RFC 9112 section 3.2.2), else of the Host field. Only HTTP/1.0
    /// may say neither.
    pub host: Option<&'h str>,
    /// The Origin field (RFC 6454 section 7), printable ASCII; browsers always send it with a handshake.
    pub origin: Option<&'h str>,
    /// A page of another origin asks and does not say of which, as it does with an image, a frame or a link: there is no Origin,
    /// and Sec-Fetch-Site, which pages can't write, says neither `same-origin` nor `none` (W3C Fetch Metadata, section 2.3).
    pub is_foreign: bool,
    /// What stands behind `Bearer` in the Authorization field (RFC 6750 section 2.1).
    pub bearer: Option<&'h str>,
    /// What proxies say about who it is from. Anybody may have written it: whose word counts is for the server to know.
    pub forwarded: Forwarded<'h>,
    /// The Last-Event-ID field, by which an EventSource says where it was (WHATWG HTML, section 9.2.4).
    pub last_event: Option<&'h str>,
    /// Where its content ends; that of all but a POST has no bytes.
    pub framing: Framing,
    /// Its content waits for a 100 (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// Another request may follow on this connection (RFC 9112 section 9.3). Never in HTTP/1.0.
    pub keeps: bool,
    /// Whether a WebSocket is asked for.
    pub kind: RequestKind<'h>,
}

/// What a request asks for.
#[derive(Debug, Clone)]
pub enum RequestKind<'h> {
    /// A whole and correct handshake of RFC 6455 section 4.2.1.
    Upgrade(Upgrade<'h>),
    /// A page. Also with an upgrade to something else (h2c), which a server may ignore (RFC 9110 section 7.8), and
    /// with a lone `Connection: Upgrade`, which proxies add to everything.
    Plain,
}

/// A correct handshake.
#[derive(Debug, Clone)]
pub struct Upgrade<'h> {
    /// What the 101 has to say.
    pub accept: AcceptKey,
    fields: &'h [u8],
}

impl<'h> Upgrade<'h> {
    /// The subprotocols offered, tokens all, most wanted first; empty if none was asked for.
    pub fn protocols(&self) -> Protocols<'h> {
        Protocols::new(self.fields)
    }
}

/// Reads the head at the front of `bytes`, whole and with its blank line. What stands behind it is not looked at.
///
/// Of a handshake, extensions are not looked at either: none is supported, so every offer is declined by silence
/// (RFC 6455 section 9.1).
///
/// # Errors
///
/// Every [`Refusal`] that is not marked as the server's own.
pub fn parse_request(bytes: &[u8]) -> Result<Request<'_>, Refusal> {
    // Scanned again, because the line discipline is what makes the leniencies of any parser below harmless.
    let end = find_head_end(bytes, 0)?.ok_or(Refusal::IncompleteHead)?;
    let head = &bytes[..end];
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let (line, fields) = cut(head, b'\n').ok_or(Refusal::IncompleteHead)?;
    let line = RequestLine::parse(line.strip_suffix(b"\r").unwrap_or(line))?;

    let known = Known::read(fields)?;
    let host = match (known.host.first, known.host.repeated) {
        (None, _) if line.version == Version::Http10 => None,
        (None, _) => return Err(Refusal::NoHost),
        (_, true) => return Err(Refusal::RepeatedHost),
        (Some(host), _) => Some(
            str::from_utf8(host)
                .ok()
                .filter(|host| is_authority(host.as_bytes()))
                .ok_or(Refusal::BadHost)?,
        ),
    };
    let framing = known.framing(&line)?;

    let asks = known.upgrade_websocket || known.key.first.is_some();
    if asks && line.version == Version::Http10 {
        return Err(Refusal::UpgradeNeedsHttp11);
    }
    match line.method {
        "GET" => {}
        _ if asks => return Err(Refusal::UpgradeNeedsGet),
        "HEAD" | "POST" | "OPTIONS" => {}
        _ => return Err(Refusal::MethodNotAllowed),
    }
    let target = Target::parse(line.target)?;
    let kind = if asks {
        RequestKind::Upgrade(Upgrade {
            accept: known.handshake()?,
            fields,
        })
    } else {
        RequestKind::Plain
    };
    Ok(Request {
        method: line.method,
        path: target.path,
        query: target.query,
        host: target.authority.or(host),
        origin: known.origin()?,
        is_foreign: known.is_foreign && known.origin.first.is_none(),
        bearer: known.bearer()?,
        forwarded: Forwarded::new(fields),
        last_event: known.last_event(),
        framing,
        expects_continue: known.expects_continue && line.version == Version::Http11,
        keeps: !known.connection_close && line.version == Version::Http11,
        kind,
    })
}

/// A field that may come once.
#[derive(Default)]
struct Once<'h> {
    first: Option<&'h [u8]>,
    repeated: bool,
}

impl<'h> Once<'h> {
    fn put(&mut self, value: &'h [u8]) {
        self.repeated = self.first.is_some();
        self.first.get_or_insert(value);
    }
}

/// The fields that matter.
#[derive(Default)]
struct Known<'h> {
    host: Once<'h>,
    origin: Once<'h>,
    authorization: Once<'h>,
    content_length: Once<'h>,
    transfer_encoding: Once<'h>,
    last_event: Once<'h>,
    is_foreign: bool,
    expects_continue: bool,
    connection_close: bool,
    connection_upgrade: bool,
    upgrade_websocket: bool,
    key: Once<'h>,
    version: Once<'h>,
    bad_protocol: bool,
}

impl<'h> Known<'h> {
    /// `fields`: everything behind the request line, with the blank line.
    fn read(fields: &'h [u8]) -> Result<Self, Refusal> {
        let mut table = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let lines = match httparse::parse_headers(fields, &mut table) {
            Ok(httparse::Status::Complete((_, lines))) => lines,
            Ok(httparse::Status::Partial) => return Err(Refusal::IncompleteHead),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyFields),
            Err(_) => return Err(why_bad(fields)),
        };
        let mut known = Self::default();
        for &httparse::Header { name, value } in lines {
            let is = |field: &str| name.eq_ignore_ascii_case(field);
            if is("Host") {
                known.host.put(value);
            } else if is("Connection") {
                known.connection_upgrade |= list_contains(value, "upgrade");
                known.connection_close |= list_contains(value, "close");
            } else if is("Upgrade") {
                known.upgrade_websocket |= list_contains(value, "websocket");
            } else if is("Sec-WebSocket-Key") {
                known.key.put(value);
            } else if is("Sec-WebSocket-Version") {
                known.version.put(value);
            } else if is(PROTOCOL_FIELD) {
                known.bad_protocol |= !elements(value).all(is_token);
            } else if is("Origin") {
                known.origin.put(value);
            } else if is("Sec-Fetch-Site") {
                known.is_foreign |= value != b"same-origin" && value != b"none";
            } else if is("Authorization") {
                known.authorization.put(value);
            } else if is("Content-Length") {
                known.content_length.put(value);
            } else if is("Last-Event-ID") {
                known.last_event.put(value);
            } else if is("Transfer-Encoding") {
                known.transfer_encoding.put(value);
            } else if is("Expect") {
                known.expects_continue |= list_contains(value, "100-continue");
            }
        }
        Ok(known)
    }

    /// Where the content ends, without two opinions about that (RFC 9112 section 6.3). Only a POST has any.
    fn framing(&self, line: &RequestLine<'h>) -> Result<Framing, Refusal> {
        let has_content = line.method == "POST";
        let length = &self.content_length;
        if let Some(coding) = self.transfer_encoding.first {
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked")
                && !self.transfer_encoding.repeated
                && line.version == Version::Http11;
            return match has_content && is_chunked && length.first.is_none() {
                true => Ok(Framing::Chunked),
                false => Err(Refusal::TransferEncoding),
            };
        }
        let digits = match (length.first, length.repeated) {
            (None, _) => return Ok(Framing::Length(0)),
            (Some(digits), false) => digits,
            (_, true) => return Err(Refusal::BadContentLength),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::BadContentLength);
        }
        if !has_content && digits.iter().any(|&digit| digit != b'0') {
            return Err(Refusal::RequestBody);
        }
        let length = str::from_utf8(digits).ok().and_then(|it| it.parse().ok());
        length.map(Framing::Length).ok_or(Refusal::BodyTooLarge)
    }

    fn origin(&self) -> Result<Option<&'h str>, Refusal> {
        let Some(origin) = self.origin.first else {
            return Ok(None);
        };
        match str::from_utf8(origin) {
            Ok(origin) if origin.is_ascii() && !self.origin.repeated => Ok(Some(origin)),
            _ => Err(Refusal::BadOrigin),
        }
    }

    /// Of two it would not be known which is meant.
    fn last_event(&self) -> Option<&'h str> {
        let value = self.last_event.first.filter(|_| !self.last_event.repeated);
        value.and_then(|value| str::from_utf8(value).ok())
    }

    /// Whose scheme is in any case (RFC 9110 section 11.1). Of two fields one reader takes the first, another the last.
    fn bearer(&self) -> Result<Option<&'h str>, Refusal> {
        if self.authorization.repeated {
            return Err(Refusal::RepeatedAuthorization);
        }
        let value = self.authorization.first.unwrap_or_default();
        let parts = str::from_utf8(value).ok();
        let bearer = parts
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
        Ok(bearer.map(|(_, token)| token.trim_matches(' ')))
    }

    /// RFC 6455 section 4.2.1. The version before the key: other versions have other keys.
    fn handshake(&self) -> Result<AcceptKey, Refusal> {
        if !(self.upgrade_websocket && self.connection_upgrade) {
            return Err(Refusal::HalfUpgrade);
        }
        if self.version.repeated {
            return Err(Refusal::RepeatedVersion);
        }
        if self.version.first != Some(b"13") {
            return Err(Refusal::WebSocketVersion);
        }
        if self.key.repeated {
            return Err(Refusal::RepeatedKey);
        }
        let key = self.key.first.ok_or(Refusal::NoKey)?;
        let accept = AcceptKey::answer(key).ok_or(Refusal::BadKey)?;
        if self.bad_protocol {
            return Err(Refusal::BadProtocol);
        }
        Ok(accept)
    }
}

/// Which rule the first bad line breaks.
fn why_bad(fields: &[u8]) -> Refusal {
    for line in fields.split(|&byte| byte == b'\n') {
        if let [b' ' | b'\t', ..] = line {
            return Refusal::FoldedField;
        }
        match cut(line, b':') {
            Some((name, _)) if is_token(name) => {}
            Some(([name @ .., b' ' | b'\t'], _)) if is_token(super::fields::trim(name)) => {
                return Refusal::SpaceBeforeColon;
            }
            _ => return Refusal::BadField,
        }
    }
    Refusal::BadField
}
