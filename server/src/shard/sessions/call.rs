//! Calls: what requests ask of sessions, by their paths.
//!
//! Owns: the paths, and how a session is named in them. Must not know: what becomes of a call.

use std::fmt;

use roomcast_protocol::upgrade::{Refusal, Request, RequestKind, RoomName, room_name};

use super::NAME_DIGITS;
use crate::limits::{Limits, TICKET_BYTES};
use crate::shard::admission::Admission;
use crate::shard::{Common, tickets};

/// A session's name. Whoever knows it is the player.
#[derive(Clone, Copy)]
pub(in crate::shard) struct Id {
    pub(super) reactor: usize,
    pub(super) slot: u32,
    pub(super) secret: u128,
}

impl Id {
    fn of(text: &str) -> Option<Self> {
        let [reactor, slot, secret] = NAME_DIGITS;
        let is_name = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.len() != reactor + slot + secret || !is_name {
            return None;
        }
        let (reactor, rest) = text.split_at(reactor);
        let (slot, secret) = rest.split_at(slot);
        Some(Self {
            reactor: usize::from_str_radix(reactor, 16).ok()?,
            slot: u32::from_str_radix(slot, 16).ok()?,
            secret: u128::from_str_radix(secret, 16).ok()?,
        })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reactor,
            slot,
            secret,
        } = self;
        write!(f, "{reactor:04x}{slot:08x}{secret:032x}")
    }
}

/// Not its secret.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({}, {})", self.reactor, self.slot)
    }
}

/// Somebody asks for a seat, and for a session.
#[derive(Debug, Clone)]
pub(in crate::shard) struct Opening {
    pub(super) room: RoomName,
    pub(super) admission: Admission,
    /// Of the head; one in the content comes before it.
    pub(super) ticket: Option<Box<str>>,
}

/// What a request asks for.
#[derive(Debug, Clone)]
pub(in crate::shard) enum Call {
    /// Whether a page may ask.
    Preflight,
    /// A seat in a room.
    Open(Box<Opening>),
    /// The frames from this number on; those before it have arrived.
    Poll(Id, u64),
    /// To take the frames in the content, of which the first has this number.
    Up(Id, u64),
    /// To leave.
    Close(Id),
}

impl Call {
    /// What this request asks of sessions; `None` if that is nothing.
    pub(in crate::shard) fn of(request: &Request<'_>) -> Option<Result<Self, Refusal>> {
        let RequestKind::Plain = request.kind else {
            return None;
        };
        if request.method == "OPTIONS" {
            return Some(Ok(Self::Preflight));
        }
        let (room, rest) = request.path.strip_prefix("/rooms/")?.split_once('/')?;
        let rest = rest.strip_prefix("http")?;
        let rest = match rest.strip_prefix('/') {
            None if !rest.is_empty() => return None,
            rest => rest,
        };
        let Some(room) = room_name(room) else {
            return Some(Err(Refusal::BadRoomName));
        };
        Some(match (request.method, rest) {
            ("POST", None) => Ok(Self::Open(Box::new(Opening {
                room,
                admission: Admission::by_http(room, said(request.query, "protocol")),
                ticket: tickets::carried(request).map(Box::from),
            }))),
            (method, Some(rest)) => Self::of_session(method, rest, request.query),
            _ => Err(Refusal::PostOnly),
        })
    }

    fn of_session(method: &str, rest: &str, query: Option<&str>) -> Result<Self, Refusal> {
        let (id, what) = rest.split_once('/').ok_or(Refusal::NotFound)?;
        let id = Id::of(id).ok_or(Refusal::NotFound)?;
        let number = |name| {
            let number = said(query, name).filter(|it| it.bytes().all(|it| it.is_ascii_digit()));
            number
                .and_then(|number| number.parse().ok())
                .ok_or(Refusal::NoNumber)
        };
        match (method, what) {
            ("GET", "poll") => Ok(Self::Poll(id, number("ack")?)),
            ("POST", "up") => Ok(Self::Up(id, number("seq")?)),
            ("POST", "close") => Ok(Self::Close(id)),
            (_, "poll") => Err(Refusal::MethodNotAllowed),
            (_, "up" | "close") => Err(Refusal::PostOnly),
            _ => Err(Refusal::NotFound),
        }
    }

    /// The session for which its content is, which may be large.
    pub(in crate::shard) fn brings_to(&self) -> Option<Id> {
        match self {
            Self::Up(id, _) => Some(*id),
            Self::Preflight | Self::Open(_) | Self::Poll(..) | Self::Close(_) => None,
        }
    }

    /// Bytes that its content may have.
    pub(in crate::shard) fn content_max(&self, limits: &Limits) -> usize {
        match self {
            Self::Up(..) => limits.up_bytes(),
            Self::Preflight | Self::Open(_) | Self::Poll(..) | Self::Close(_) => TICKET_BYTES,
        }
    }

    /// The reactor that answers it, if it is not any.
    pub(in crate::shard) fn home(&self, common: &Common) -> Option<usize> {
        match self {
            Self::Preflight => None,
            Self::Open(opening) => Some(common.home(&opening.room)),
            Self::Poll(id, _) | Self::Up(id, _) | Self::Close(id) => {
                Some(id.reactor).filter(|&reactor| reactor < common.reactors)
            }
        }
    }
}

/// What a query says under a name, first, if that needs no decoding.
fn said<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let mut said = pairs.filter(|(said, _)| *said == name);
    said.next().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::upgrade::parse_request;

    use super::*;

    fn called(line: &str) -> String {
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
        let request = parse_request(head.as_bytes()).expect("a good head");
        match Call::of(&request) {
            None => "nothing".into(),
            Some(Err(refusal)) => format!("{refusal:?}"),
            Some(Ok(Call::Open(opening))) => format!("Open({:?})", opening.ticket),
            Some(Ok(call)) => format!("{call:?}"),
        }
    }

    #[test]
    fn calls_by_their_paths() {
        let id = format!("0002{:08x}{:032x}", 7, u128::MAX);
        let at = |what: &str| format!("/rooms/a/http/{id}/{what}");
        for (line, call) in [
            ("POST /rooms/a/http".into(), "Open(None)"),
            ("POST /rooms/a/http?x&ticket=y".into(), "Open(Some(\"y\"))"),
            ("OPTIONS /rooms/a/http".into(), "Preflight"),
            (format!("OPTIONS {}", at("up")), "Preflight"),
            (format!("GET {}", at("poll?ack=5")), "Poll(Id(2, 7), 5)"),
            (format!("POST {}", at("up?a=b&seq=0")), "Up(Id(2, 7), 0)"),
            (format!("POST {}", at("close")), "Close(Id(2, 7))"),
            (format!("GET {}", at("poll")), "NoNumber"),
            (format!("GET {}", at("poll?ack=-1")), "NoNumber"),
            (format!("GET {}", at("poll?ack=+1")), "NoNumber"),
            (format!("GET {}", at("poll?ack=")), "NoNumber"),
            (
                format!("GET {}", at("poll?ack=18446744073709551616")),
                "NoNumber",
            ),
            (format!("GET {}", at("up?seq=0")), "PostOnly"),
            (format!("HEAD {}", at("close")), "PostOnly"),
            (format!("POST {}", at("poll?ack=1")), "MethodNotAllowed"),
            (format!("GET {}", at("poll/?ack=1")), "NotFound"),
            ("OPTIONS /match".into(), "Preflight"),
            (
                format!("GET /rooms/a/http/{}/poll?ack=1", &id[1..]),
                "NotFound",
            ),
            (
                format!("GET /rooms/a/http/+{}/poll?ack=1", &id[1..]),
                "NotFound",
            ),
            ("GET /rooms/a/http".into(), "PostOnly"),
            ("GET /rooms/a/https".into(), "nothing"),
            ("POST /rooms/a%20/http".into(), "BadRoomName"),
            ("POST /rooms/a".into(), "nothing"),
            ("POST /echo/http".into(), "nothing"),
        ] {
            assert_eq!(called(&line), call, "{line}");
        }
        assert_eq!(Id::of(&id).map(|id| id.to_string()), Some(id));
    }
}
