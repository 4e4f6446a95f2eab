//! Calls: what requests ask of sessions, by their paths.
//!
//! Owns: the paths, and how a session is named in them. Must not know: what becomes of a call.

use std::fmt;

use roomcast_protocol::upgrade::{Refusal, Request, RequestKind, RoomName, room_name};

use super::NAME_DIGITS;
use crate::limits::{Limits, TICKET_BYTES};
use crate::shard::admission::Admission;
use crate::shard::finding::{Form, Kind};
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

/// How a stream writes frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::shard) enum Format {
    /// As they are.
    Frames,
    /// For EventSource.
    Events,
    /// For one that came without a session, and comes back with the name of this one.
    Watch,
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
    /// The same, and then all that comes.
    Stream(Id, u64, Format),
    /// A seat, and all that comes; or what comes from this number on, if the session of who asks is still there.
    Watch(Box<Opening>, Option<(Id, u64)>),
    /// To take the frames in the content, of which the first has this number.
    Up(Id, u64),
    /// To take the content as one text, which has this number; without, it is the next one.
    Text(Id, Option<u64>),
    /// To leave.
    Close(Id),
    /// In which room to play.
    Match(Box<(Kind, Form)>),
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
        let opening = || {
            Box::new(Opening {
                room,
                admission: Admission::by_http(room, said(request.query, "protocol")),
                ticket: tickets::carried(request).map(Box::from),
            })
        };
        Some(match (request.method, rest) {
            ("POST", None) => Ok(Self::Open(opening())),
            ("GET", Some("events")) => {
                let seen = request.last_event.and_then(|it| it.split_once(':'));
                let seen = seen.and_then(|(id, count)| Some((Id::of(id)?, count_of(count)?)));
                Ok(Self::Watch(opening(), seen))
            }
            (method, Some(rest)) => Self::of_session(method, rest, request),
            _ => Err(Refusal::PostOnly),
        })
    }

    fn of_session(method: &str, rest: &str, request: &Request<'_>) -> Result<Self, Refusal> {
        let (id, what) = rest.split_once('/').ok_or(Refusal::NotFound)?;
        let id = Id::of(id).ok_or(Refusal::NotFound)?;
        let said = |name| said(request.query, name);
        let number = |name| said(name).and_then(count_of).ok_or(Refusal::NoNumber);
        match (method, what) {
            ("GET", "poll") => Ok(Self::Poll(id, number("ack")?)),
            ("GET", "stream") => Ok(Self::Stream(id, number("ack")?, Format::Frames)),
            ("GET", "events") => {
                // Of who comes back, the address is still the first one.
                let seen = request.last_event.and_then(count_of);
                let ack = seen.map_or_else(|| number("ack"), Ok)?;
                Ok(Self::Stream(id, ack, Format::Events))
            }
            ("POST", "up") => Ok(Self::Up(id, number("seq")?)),
            ("POST", "text") if said("seq").is_none() => Ok(Self::Text(id, None)),
            ("POST", "text") => Ok(Self::Text(id, Some(number("seq")?))),
            ("POST", "close") => Ok(Self::Close(id)),
            (_, "poll" | "stream" | "events") => Err(Refusal::MethodNotAllowed),
            (_, "up" | "text" | "close") => Err(Refusal::PostOnly),
            _ => Err(Refusal::NotFound),
        }
    }

    /// Whether it takes a seat though it is a GET, which any page may have its visitor's browser send.
    pub(in crate::shard) fn is_watch(&self) -> bool {
        matches!(self, Self::Watch(..))
    }

    /// The session for which its content is, which may be large.
    pub(in crate::shard) fn brings_to(&self) -> Option<Id> {
        match self {
            Self::Up(id, _) | Self::Text(id, _) => Some(*id),
            Self::Preflight
            | Self::Open(_)
            | Self::Poll(..)
            | Self::Stream(..)
            | Self::Watch(..)
            | Self::Match(_)
            | Self::Close(_) => None,
        }
    }

    /// Whether its answer goes on until its connection ends.
    pub(in crate::shard) fn is_endless(&self) -> bool {
        matches!(self, Self::Stream(..) | Self::Watch(..))
    }

    /// Whether its answer crosses between reactors as it is written.
    pub(in crate::shard) fn is_linked(&self) -> bool {
        self.is_endless() || matches!(self, Self::Match(_))
    }

    /// Bytes that its content may have.
    pub(in crate::shard) fn content_max(&self, limits: &Limits) -> usize {
        match self.brings_to() {
            Some(_) => limits.up_bytes(),
            None => TICKET_BYTES,
        }
    }

    /// The reactor that answers it, if it is not any.
    pub(in crate::shard) fn home(&self, common: &Common) -> Option<usize> {
        match self {
            Self::Preflight => None,
            Self::Match(asked) => Some(common.owner(&asked.0)),
            Self::Open(opening) | Self::Watch(opening, _) => Some(common.home(&opening.room)),
            Self::Poll(id, _)
            | Self::Stream(id, ..)
            | Self::Up(id, _)
            | Self::Text(id, _)
            | Self::Close(id) => Some(id.reactor).filter(|&reactor| reactor < common.reactors),
        }
    }
}

/// A number of frames.
fn count_of(text: &str) -> Option<u64> {
    let is_count = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_count)
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
        called_with(line, "")
    }

    fn called_with(line: &str, fields: &str) -> String {
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let request = parse_request(head.as_bytes()).expect("a good head");
        match Call::of(&request) {
            None => "nothing".into(),
            Some(Err(refusal)) => format!("{refusal:?}"),
            Some(Ok(Call::Open(opening))) => format!("Open({:?})", opening.ticket),
            Some(Ok(Call::Watch(opening, seen))) => {
                format!("Watch({:?}, {seen:?})", opening.ticket)
            }
            Some(Ok(call)) => format!("{call:?}"),
        }
    }

    /// As EventSource says it.
    #[test]
    fn who_comes_back_says_where_it_was() {
        let id = format!("0002{:08x}{:032x}", 7, u128::MAX);
        let events = format!("GET /rooms/a/http/{id}/events?ack=5");
        let watch = "GET /rooms/a/http/events";
        for (line, last, call) in [
            (&*events, "9".into(), "Stream(Id(2, 7), 9, Events)"),
            (&*events, "+9".into(), "Stream(Id(2, 7), 5, Events)"),
            (watch, format!("{id}:9"), "Watch(None, Some((Id(2, 7), 9)))"),
            (watch, format!("{id}:"), "Watch(None, None)"),
            (watch, "9".into(), "Watch(None, None)"),
        ] {
            let field = format!("Last-Event-ID: {last}\r\n");
            assert_eq!(called_with(line, &field), call, "{line} {field}");
            assert_ne!(called_with(line, &field.repeat(2)), "nothing");
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
            (
                format!("GET {}", at("stream?ack=5")),
                "Stream(Id(2, 7), 5, Frames)",
            ),
            (
                format!("GET {}", at("events?ack=5")),
                "Stream(Id(2, 7), 5, Events)",
            ),
            (format!("GET {}", at("events")), "NoNumber"),
            ("GET /rooms/a/http/events".into(), "Watch(None, None)"),
            (format!("POST {}", at("text")), "Text(Id(2, 7), None)"),
            (
                format!("POST {}", at("text?seq=1")),
                "Text(Id(2, 7), Some(1))",
            ),
            (format!("POST {}", at("text?seq=x")), "NoNumber"),
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
