//! A stream's answer, of which HTTP/1.1 is the source.
//!
//! Owns: where its head ends and how long its content is. Must not know: windows. Invariant: what says that it is so long is no
//! longer.

use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::upgrade::{MAX_FIELDS, find_head_end};

/// How far an answer is.
#[derive(Debug)]
pub(super) enum Answer {
    /// Its head arrives.
    Head(Vec<u8>),
    /// So many bytes of content are to come; None: until it ends.
    Content(Option<u64>),
}

/// The head of an answer, and how many bytes of content follow, if that is known.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) length: Option<u64>,
}

/// What connections say of themselves.
fn is_of_connections(name: &str) -> bool {
    let names = ["connection", "keep-alive", "transfer-encoding", "upgrade"];
    names.iter().any(|it| name.eq_ignore_ascii_case(it))
}

/// Reads a head that may be in `bytes`, behind what came of it before; answers how many bytes were taken, and the head if it is whole.
/// None if that is none.
pub(super) fn read(before: &mut Vec<u8>, bytes: &[u8]) -> Option<(usize, Option<Head>)> {
    let scanned = before.len();
    before.extend_from_slice(bytes);
    let Some(end) = find_head_end(before, scanned).ok()? else {
        return Some((bytes.len(), None));
    };
    let head = parse(&before[..end])?;
    *before = Vec::new();
    let taken = end - scanned;
    if head.response.status().is_informational() {
        // Nobody waits for it: content comes without being asked for.
        let rest = bytes.get(taken..)?;
        let (more, head) = read(before, rest)?;
        return Some((taken + more, head));
    }
    Some((taken, Some(head)))
}

fn parse(head: &[u8]) -> Option<Head> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    parsed.parse(head).ok()?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(parsed.code?).ok()?;
    let mut length = None;
    for field in parsed
        .headers
        .iter()
        .filter(|it| !is_of_connections(it.name))
    {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(field.value).ok()?;
        if name == header::CONTENT_LENGTH {
            length = Some(value.to_str().ok()?.parse().ok()?);
        }
        response.headers_mut().append(name, value);
    }
    if response.status() == StatusCode::NO_CONTENT {
        length = Some(0);
    }
    Some(Head { response, length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upgrade::{Readers, Reply, Status, write_continue, write_done, write_reply};

    #[test]
    fn what_we_write_is_read_wherever_it_is_cut() {
        let reply = Reply {
            status: Status::Gone410,
            kind: "application/json",
            body: b"{}\n",
        };
        let mut bytes = Vec::new();
        write_continue(&mut bytes);
        write_reply(&mut bytes, reply, true, Readers::EveryPage);
        let end = bytes.len() - reply.body.len();
        for cut in 0..=end {
            let mut before = Vec::new();
            let (first, none) = read(&mut before, &bytes[..cut]).expect("a head");
            let head = match none {
                Some(head) => head,
                None => {
                    assert_eq!(first, cut);
                    let (second, head) = read(&mut before, &bytes[cut..]).expect("a head");
                    assert_eq!(first + second, end);
                    head.expect("it is whole")
                }
            };
            assert_eq!(head.length, Some(3));
            assert_eq!(head.response.status(), 410);
            assert!(!head.response.headers().contains_key("connection"));
            assert!(
                head.response
                    .headers()
                    .contains_key("access-control-allow-origin")
            );
        }
    }

    #[test]
    fn nothing_is_as_long_as_nothing() {
        let mut bytes = Vec::new();
        write_done(&mut bytes, true, Readers::NoPage);
        let (taken, head) = read(&mut Vec::new(), &bytes).expect("a head");
        assert_eq!((taken, head.expect("whole").length), (bytes.len(), Some(0)));
    }
}
