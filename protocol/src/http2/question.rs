//! A stream's request, as HTTP/1.1 says it.

use http::request::Parts;
use http::{Method, header};

/// What a connection says of itself and not of a request, which HTTP/2 has no place for (RFC 9113 section 8.2.2), and what would wait
/// for an answer before the content, which is on its way already.
const OF_CONNECTIONS: [header::HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::EXPECT,
    header::TRAILER,
];

/// Appends the head of a request. `content`: there will be some. Returns whether that comes in chunks, because its length is not
/// said.
pub(super) fn write(out: &mut Vec<u8>, parts: &Parts, content: bool) -> bool {
    let target = match &parts.method {
        &Method::CONNECT => parts.uri.authority().map(|it| it.as_str()),
        _ => parts.uri.path_and_query().map(|it| it.as_str()),
    };
    let line = format!("{} {} HTTP/1.1\r\n", parts.method, target.unwrap_or("*"));
    out.extend_from_slice(line.as_bytes());
    let authority = parts.uri.authority().map(|it| it.as_str());
    if let Some(authority) = authority {
        out.extend_from_slice(format!("Host: {authority}\r\n").as_bytes());
    }
    for (name, value) in &parts.headers {
        // Both may be there if they say the same (RFC 9113 section 8.3.1); else there are two, and it is refused.
        let is_same = name == header::HOST && authority.is_some_and(|it| value == it);
        if OF_CONNECTIONS.contains(name) || is_same {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let in_chunks = content && !parts.headers.contains_key(header::CONTENT_LENGTH);
    if in_chunks {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
    in_chunks
}

/// Appends content that came, as a chunk if so; none is the last one.
pub(super) fn write_content(out: &mut Vec<u8>, bytes: &[u8], in_chunks: bool) {
    if !in_chunks {
        return out.extend_from_slice(bytes);
    }
    out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upgrade::{Body, Framing, parse_request};

    fn head(request: http::request::Builder, content: bool) -> (String, bool) {
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let mut out = Vec::new();
        let in_chunks = write(&mut out, &parts, content);
        (String::from_utf8(out).expect("text"), in_chunks)
    }

    #[test]
    fn a_request_is_what_our_own_parser_takes() {
        let request = http::Request::get("https://a.example:7/rooms/r/http?x=1")
            .header("origin", "https://b.example")
            .header("host", "a.example:7")
            .header("te", "trailers");
        let (head, _) = head(request, false);
        let request = parse_request(head.as_bytes()).expect("a good head");
        assert_eq!((request.method, request.path), ("GET", "/rooms/r/http"));
        assert_eq!(request.host, Some("a.example:7"));
        assert_eq!(request.origin, Some("https://b.example"));
        assert!(!head.contains("trailers"));
    }

    #[test]
    fn two_hosts_are_refused() {
        let request = http::Request::get("https://a/").header("host", "b");
        let (head, _) = head(request, false);
        assert!(parse_request(head.as_bytes()).is_err(), "{head}");
    }

    #[test]
    fn content_without_a_length_comes_in_chunks() {
        let (head, in_chunks) = head(http::Request::post("https://a/"), true);
        let request = parse_request(head.as_bytes()).expect("a good head");
        assert!(in_chunks && request.framing == Framing::Chunked);
        let mut out = Vec::new();
        for part in [&b"hello"[..], b" you", b""] {
            write_content(&mut out, part, in_chunks);
        }
        let mut content = Vec::new();
        let mut body = Body::new(request.framing, 100).expect("a bound");
        assert!(body.next(&mut &out[..], &mut content) == Ok(true));
        assert_eq!(content, b"hello you");
    }
}
