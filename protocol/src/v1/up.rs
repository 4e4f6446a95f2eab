//! What a client sends: packets, one or more in a message.
//!
//! Owns: the kinds of section 5 of `docs/PROTOCOL.md`, both ways.
//! Must not know: in what order they may come (that is a session's).
//! Invariant: [`Packet::encode`] makes the only bytes from which decoding makes the same packet.
//!
//! ```
//! use roomcast_protocol::v1::up::{self, Audience, Packet};
//! use roomcast_protocol::v1::Payload;
//!
//! let mut message = Vec::new();
//! let payload = Payload::Text("hi");
//! let hello = Packet::Event { term: None, to: Audience::Others, droppable: false, payload };
//! hello.encode(&mut message);
//! assert_eq!(message, [0x09, 2, b'h', b'i']);
//! let packets: Result<Vec<_>, _> = up::decode(&message)?.collect();
//! assert_eq!(packets?, [hello]);
//! # Ok::<(), roomcast_protocol::v1::Malformed>(())
//! ```

pub use super::act::Act;
use super::act::kind as act;
use super::bytes::{Reader, varint_len, write_head, write_owner, write_packet};
use super::list::{Change, List, Property};
use super::{
    CUT_MS_MAX, DELAY_MS_MAX, Fault, Groups, Key, Life, Malformed, NUMBER_MAX, Name, Owner, Pairs,
    Payload, PlayerId, Term, Token, write_varint,
};

mod kind {
    pub(super) const OTHERS: u8 = 0x08;
    pub(super) const ALL: u8 = 0x10;
    pub(super) const ONE: u8 = 0x18;
    pub(super) const LIST: u8 = 0x20;
    pub(super) const HOST: u8 = 0x28;
    pub(super) const GROUP: u8 = 0x30;
    pub(super) const STATE: u8 = 0x38;
    pub(super) const DELETE: u8 = 0x40;
    pub(super) const JOIN: u8 = 0x48;
    pub(super) const LEAVE: u8 = 0x50;
    pub(super) const PROPERTIES: u8 = 0x58;
    pub(super) const PING: u8 = 0x60;
    pub(super) const IMPAIR: u8 = 0x68;
    pub(super) const AUDIENCE: u8 = 0x70;
    pub(super) const GROUPS: u8 = 0x78;
    pub(super) const WILLING: u8 = 0x80;

    /// Of an event or state: its payload is text.
    pub(super) const TEXT: u8 = 1;
    /// Of an event: it need not arrive.
    pub(super) const DROPPABLE: u8 = 2;
    /// Of a state or its end: its key is the room's.
    pub(super) const ROOM: u8 = 2;
    /// Of an event, a state, its end, or properties: its sender is the host, or believes so.
    pub(super) const AS_HOST: u8 = 4;
    /// Of a join.
    pub(super) const TOKEN: u8 = 1;
    pub(super) const CURSOR: u8 = 2;
    /// Of a ping: what ticks need is asked for.
    pub(super) const TICKS: u8 = 1;
    /// Of groups: there are no others.
    pub(super) const ONLY: u8 = 1;
    /// Of an audience, in its body: who it is, and the rest.
    pub(super) const TO: u8 = 3;
    pub(super) const STAYS: u8 = 4;
    pub(super) const ROOM_KEY: u8 = 8;
    /// Of who would be the host, in its body.
    pub(super) const IS_WILLING: u8 = 1;
    pub(super) const IS_VISIBLE: u8 = 2;
}

/// A packet from a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// A message to players.
    Event {
        /// The term in which it is sent as host; None: as any player.
        term: Option<Term>,
        /// Who gets it.
        to: Audience<'a>,
        /// Whether it is left out for who is behind.
        droppable: bool,
        /// What it says.
        payload: Payload<'a>,
    },
    /// The newest value under a key.
    State {
        /// As for an event.
        term: Option<Term>,
        /// Its key.
        key: Key,
        /// Whether the key is the room's, and not the sender's.
        room: bool,
        /// The value.
        payload: Payload<'a>,
    },
    /// A key has no value any more.
    Delete {
        /// As for an event.
        term: Option<Term>,
        /// The key.
        key: Key,
        /// Whether it is the room's.
        room: bool,
    },
    /// Who gets a key from now on.
    Audience(KeyAudience),
    /// Which groups the player is in.
    Groups {
        /// It is in no others.
        only: bool,
        /// Those that it joins and leaves; none only if it is in no others.
        groups: Groups<'a>,
    },
    /// The first packet of a connection.
    Join(Join<'a>),
    /// The player goes.
    Leave,
    /// Properties are to change, all or none.
    Properties {
        /// As for an event.
        term: Option<Term>,
        /// Whose.
        owner: Owner,
        /// At least one.
        changes: List<'a, Change<'a>>,
    },
    /// Asks for the relay's time, and says that the client is there.
    Ping {
        /// Comes back in the answer.
        echo: u64,
        /// The round-trip time that the client has come to, in microseconds; 0: none yet.
        trip: u64,
        /// Whether the answer is to say what ticks need.
        ticks: bool,
    },
    /// Asks for a bad network.
    Impair(Impairment),
    /// Who would be the host. Who says nothing is willing and visible.
    Willing {
        /// It would be the host.
        willing: bool,
        /// Its page is not hidden.
        visible: bool,
    },
    /// What only the host may do.
    Act {
        /// The term in which the sender believes that it is the host.
        term: Term,
        /// What it is.
        act: Act<'a>,
    },
}

/// Who gets an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Audience<'a> {
    /// All but its author.
    Others,
    /// All.
    All,
    /// One player.
    One(PlayerId),
    /// These players, ascending, at least one.
    List(List<'a, PlayerId>),
    /// The others who are in a group.
    Group(u32),
    /// The room's host.
    Host,
}

/// Who gets a key from now on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyAudience {
    /// The key.
    pub key: Key,
    /// Whether it is the room's.
    pub room: bool,
    /// Who gets it.
    pub to: StateAudience,
    /// Whether it is the room's once its author has left.
    pub stays: bool,
}

/// Who gets a state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StateAudience {
    /// All but its author: what holds unless something else is said.
    Others,
    /// All.
    All,
    /// The members of a group.
    Group(u32),
    /// The room's host.
    Host,
}

/// Who wants in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Join<'a> {
    /// The client's [`MINOR`](super::MINOR).
    pub minor: u64,
    /// Whether the room must be there.
    pub mode: Mode,
    /// Which player comes back, if any.
    pub back: Option<Back>,
    /// Its name, if it is somebody new.
    pub name: Name<'a>,
    /// Its properties, if it is somebody new.
    pub properties: List<'a, Property<'a>>,
    /// Settings for the room, if it is a new one.
    pub wishes: Pairs<'a>,
}

/// Whether the room must be there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Join the room, or make it.
    Any,
    /// Only join one that is there.
    Join,
    /// Only make one that is not.
    Create,
}

/// Which player comes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Back {
    /// Its secret.
    pub token: Token,
    /// What it has had; None if it has lost what it knew.
    pub cursor: Option<Cursor>,
}

/// How far a client has got in the log of a room.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cursor {
    /// Of which life of the room it speaks.
    pub life: Life,
    /// The last entry that it has had, or that was not for it.
    pub seq: u64,
}

/// A bad network, as a client asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Impairment {
    /// Milliseconds that each write waits, up to [`DELAY_MS_MAX`].
    pub delay: u64,
    /// Milliseconds that it waits longer at random, up to [`DELAY_MS_MAX`].
    pub jitter: u64,
    /// Bytes a second; 0: any.
    pub rate: u64,
    /// Milliseconds until the connection breaks, up to [`CUT_MS_MAX`]; 0: never.
    pub cut: u64,
}

/// The packets of a message from a client, which may be wrong from the second on.
///
/// # Errors
/// If the message is empty.
pub fn decode(message: &[u8]) -> Result<Packets<'_>, Malformed> {
    if message.is_empty() {
        return Err(Fault::Empty.of("a message"));
    }
    Ok(Packets(Reader(message)))
}

/// The packets of one message. Ends after the first that is malformed.
#[derive(Clone)]
pub struct Packets<'a>(Reader<'a>);

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let packet = match self.0.packet() {
            Ok(None) => return None,
            Ok(Some((kind, body))) => Packet::decode(kind, body),
            Err(fault) => Err(fault.of("a packet")),
        };
        if packet.is_err() {
            self.0 = Reader(&[]);
        }
        Some(packet)
    }
}

impl<'a> Packet<'a> {
    /// Its name in `docs/PROTOCOL.md`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Event { to, .. } => match to {
                Audience::Others => "EVENT_OTHERS",
                Audience::All => "EVENT_ALL",
                Audience::One(_) => "EVENT_ONE",
                Audience::List(_) => "EVENT_LIST",
                Audience::Group(_) => "EVENT_GROUP",
                Audience::Host => "EVENT_HOST",
            },
            Self::State { .. } => "STATE",
            Self::Delete { .. } => "DELETE",
            Self::Audience(_) => "AUDIENCE",
            Self::Groups { .. } => "GROUPS",
            Self::Join(_) => "JOIN",
            Self::Leave => "LEAVE",
            Self::Properties { .. } => "PROPERTIES",
            Self::Ping { .. } => "PING",
            Self::Impair(_) => "IMPAIR",
            Self::Willing { .. } => "WILLING",
            Self::Act { act, .. } => act.kind().1,
        }
    }

    /// Whether it counts among the packets that the relay acknowledges.
    #[must_use]
    pub const fn is_numbered(&self) -> bool {
        match self {
            Self::Event { .. }
            | Self::Leave
            | Self::Properties { .. }
            | Self::Impair(_)
            | Self::Audience(_)
            | Self::Groups { .. }
            | Self::Willing { .. }
            | Self::Act { .. } => true,
            Self::Join(_) | Self::Ping { .. } | Self::State { .. } | Self::Delete { .. } => false,
        }
    }

    /// The term in which its sender believes that it is the host, if it says so.
    #[must_use]
    pub const fn term(&self) -> Option<Term> {
        match *self {
            Self::Event { term, .. }
            | Self::State { term, .. }
            | Self::Delete { term, .. }
            | Self::Properties { term, .. } => term,
            Self::Act { term, .. } => Some(term),
            Self::Join(_)
            | Self::Leave
            | Self::Ping { .. }
            | Self::Impair(_)
            | Self::Audience(_)
            | Self::Groups { .. }
            | Self::Willing { .. } => None,
        }
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Event {
                term,
                to,
                droppable,
                payload,
            } => encode_event(out, term, to, droppable, payload),
            Self::State {
                term,
                key,
                room,
                payload,
            } => {
                let text = if payload.is_text() { kind::TEXT } else { 0 };
                let bytes = payload.bytes();
                let len = term_len(term) + varint_len(u64::from(key)) + bytes.len();
                let kind = kind::STATE | text | of_room(room) | as_host(term);
                write_head(out, kind, len);
                write_term(out, term);
                write_varint(out, u64::from(key));
                out.extend_from_slice(bytes);
            }
            Self::Delete { term, key, room } => {
                let kind = kind::DELETE | of_room(room) | as_host(term);
                write_packet(out, kind, |out| {
                    write_term(out, term);
                    write_varint(out, u64::from(key));
                });
            }
            Self::Audience(audience) => {
                write_packet(out, kind::AUDIENCE, |out| audience.write(out));
            }
            Self::Groups { only, groups } => {
                let only = if only { kind::ONLY } else { 0 };
                write_packet(out, kind::GROUPS | only, |out| groups.write(out));
            }
            Self::Join(join) => join.encode(out),
            Self::Leave => write_head(out, kind::LEAVE, 0),
            Self::Properties {
                term,
                owner,
                changes,
            } => write_packet(out, kind::PROPERTIES | as_host(term), |out| {
                write_term(out, term);
                write_owner(out, owner);
                changes.write(out);
            }),
            Self::Ping { echo, trip, ticks } => {
                let ticks = if ticks { kind::TICKS } else { 0 };
                write_packet(out, kind::PING | ticks, |out| {
                    write_varint(out, echo);
                    write_varint(out, trip);
                });
            }
            Self::Impair(to) => write_packet(out, kind::IMPAIR, |out| {
                for number in [to.delay, to.jitter, to.rate, to.cut] {
                    write_varint(out, number);
                }
            }),
            Self::Willing { willing, visible } => write_packet(out, kind::WILLING, |out| {
                let willing = if willing { kind::IS_WILLING } else { 0 };
                out.push(willing | if visible { kind::IS_VISIBLE } else { 0 });
            }),
            Self::Act { term, act } => write_packet(out, act.kind().0, |out| {
                write_varint(out, term);
                act.write(out);
            }),
        }
    }

    fn decode(kind: u8, mut body: Reader<'a>) -> Result<Self, Malformed> {
        let name = name_of(kind).ok_or_else(|| Fault::UnknownKind(kind).of("a packet"))?;
        let packet = Self::read(kind, &mut body);
        packet
            .and_then(|packet| body.end().map(|()| packet))
            .map_err(|fault| fault.of(name))
    }

    fn read(kind: u8, body: &mut Reader<'a>) -> Result<Self, Fault> {
        let as_host = kind & kind::AS_HOST != 0;
        let term = as_host.then(|| body.varint("the term")).transpose()?;
        Ok(match kind & !7 {
            kind::STATE => Self::State {
                term,
                key: body.u32("the key")?,
                room: kind & kind::ROOM != 0,
                payload: Payload::new(body.rest(), kind & kind::TEXT != 0)?,
            },
            kind::DELETE => Self::Delete {
                term,
                key: body.u32("the key")?,
                room: kind & kind::ROOM != 0,
            },
            kind::AUDIENCE => Self::Audience(KeyAudience::read(body)?),
            kind::GROUPS => {
                let only = kind & kind::ONLY != 0;
                let groups = Groups::read(body)?;
                if groups.is_empty() && !only {
                    return Err(Fault::Nothing("the list"));
                }
                Self::Groups { only, groups }
            }
            kind::JOIN => Self::Join(Join::read(kind, body)?),
            kind::LEAVE => Self::Leave,
            kind::PROPERTIES => Self::Properties {
                term,
                owner: body.owner("the owner")?,
                changes: List::read(body, 1)?,
            },
            kind::PING => Self::Ping {
                echo: body.varint("the echo")?,
                trip: body.varint("the trip")?,
                ticks: kind & kind::TICKS != 0,
            },
            kind::IMPAIR => Self::Impair(Impairment {
                delay: body.bounded(DELAY_MS_MAX, "the delay")?,
                jitter: body.bounded(DELAY_MS_MAX, "the jitter")?,
                rate: body.varint("the rate")?,
                cut: body.bounded(CUT_MS_MAX, "the cut")?,
            }),
            kind::WILLING => {
                let flags = body.u8("the flags")?;
                if flags & !(kind::IS_WILLING | kind::IS_VISIBLE) != 0 {
                    return Err(Fault::UnknownFlags(flags));
                }
                Self::Willing {
                    willing: flags & kind::IS_WILLING != 0,
                    visible: flags & kind::IS_VISIBLE != 0,
                }
            }
            act @ act::HAND_OVER..=act::TRIPS => Self::Act {
                term: body.varint("the term")?,
                act: Act::read(act, body)?,
            },
            event => Self::Event {
                term,
                to: match event {
                    kind::OTHERS => Audience::Others,
                    kind::ALL => Audience::All,
                    kind::ONE => Audience::One(body.player("the id")?),
                    kind::GROUP => Audience::Group(body.u32("the group")?),
                    kind::HOST => Audience::Host,
                    _ => Audience::List(List::read(body, 1)?),
                },
                droppable: kind & kind::DROPPABLE != 0,
                payload: Payload::new(body.rest(), kind & kind::TEXT != 0)?,
            },
        })
    }
}

/// The name of a kind that a relay understands.
const fn name_of(kind: u8) -> Option<&'static str> {
    Some(match (kind & !7, kind & 7) {
        (kind::OTHERS, _) => "EVENT_OTHERS",
        (kind::ALL, _) => "EVENT_ALL",
        (kind::ONE, _) => "EVENT_ONE",
        (kind::LIST, _) => "EVENT_LIST",
        (kind::HOST, _) => "EVENT_HOST",
        (kind::GROUP, _) => "EVENT_GROUP",
        (kind::STATE, _) => "STATE",
        (kind::DELETE, 0 | 2 | 4 | 6) => "DELETE",
        (kind::AUDIENCE, 0) => "AUDIENCE",
        (kind::GROUPS, 0..2) => "GROUPS",
        (kind::JOIN, 0..4) => "JOIN",
        (kind::LEAVE, 0) => "LEAVE",
        (kind::PROPERTIES, 0 | kind::AS_HOST) => "PROPERTIES",
        (kind::PING, 0..2) => "PING",
        (kind::IMPAIR, 0) => "IMPAIR",
        (kind::WILLING, 0) => "WILLING",
        (act::HAND_OVER, 0) => "HAND_OVER",
        (act::KICK, 0) => "KICK",
        (act::LOCK, 0) => "LOCK",
        (act::CLOSE, 0) => "CLOSE",
        (act::SNAPSHOT, 0) => "SNAPSHOT",
        (act::TRIPS, 0) => "TRIPS",
        _ => return None,
    })
}

fn encode_event(
    out: &mut Vec<u8>,
    term: Option<Term>,
    to: Audience<'_>,
    droppable: bool,
    payload: Payload<'_>,
) {
    let mut flags = if payload.is_text() { kind::TEXT } else { 0 };
    if droppable {
        flags |= kind::DROPPABLE;
    }
    flags |= as_host(term);
    let bytes = payload.bytes();
    let kind = match to {
        Audience::Others => kind::OTHERS,
        Audience::All => kind::ALL,
        Audience::Host => kind::HOST,
        Audience::One(_) => kind::ONE,
        Audience::Group(_) => kind::GROUP,
        Audience::List(_) => kind::LIST,
    };
    match to {
        Audience::Others | Audience::All | Audience::Host => {
            write_head(out, kind | flags, term_len(term) + bytes.len());
            write_term(out, term);
            out.extend_from_slice(bytes);
        }
        Audience::One(_) | Audience::Group(_) | Audience::List(_) => {
            write_packet(out, kind | flags, |out| {
                write_term(out, term);
                match to {
                    Audience::One(id) => write_owner(out, Some(id)),
                    Audience::Group(group) => write_varint(out, u64::from(group)),
                    Audience::List(ids) => ids.write(out),
                    Audience::Others | Audience::All | Audience::Host => {}
                }
                out.extend_from_slice(bytes);
            });
        }
    }
}

const fn as_host(term: Option<Term>) -> u8 {
    if term.is_some() { kind::AS_HOST } else { 0 }
}

/// Bytes of a term.
const fn term_len(term: Option<Term>) -> usize {
    match term {
        Some(term) => varint_len(term),
        None => 0,
    }
}

fn write_term(out: &mut Vec<u8>, term: Option<Term>) {
    if let Some(term) = term {
        write_varint(out, term);
    }
}

const fn of_room(room: bool) -> u8 {
    if room { kind::ROOM } else { 0 }
}

impl KeyAudience {
    fn read(body: &mut Reader<'_>) -> Result<Self, Fault> {
        let key = body.u32("the key")?;
        let flags = body.u8("the flags")?;
        if flags & !(kind::TO | kind::STAYS | kind::ROOM_KEY) != 0 {
            return Err(Fault::UnknownFlags(flags));
        }
        Ok(Self {
            key,
            room: flags & kind::ROOM_KEY != 0,
            to: match flags & kind::TO {
                0 => StateAudience::Others,
                1 => StateAudience::All,
                2 => StateAudience::Group(body.u32("the group")?),
                _ => StateAudience::Host,
            },
            stays: flags & kind::STAYS != 0,
        })
    }

    fn write(self, out: &mut Vec<u8>) {
        write_varint(out, u64::from(self.key));
        let (to, group) = match self.to {
            StateAudience::Others => (0, None),
            StateAudience::All => (1, None),
            StateAudience::Group(group) => (2, Some(group)),
            StateAudience::Host => (3, None),
        };
        let stays = if self.stays { kind::STAYS } else { 0 };
        out.push(to | stays | if self.room { kind::ROOM_KEY } else { 0 });
        if let Some(group) = group {
            write_varint(out, u64::from(group));
        }
    }
}

impl Impairment {
    /// Whether a relay would take it.
    #[must_use]
    pub const fn is_within_bounds(&self) -> bool {
        self.delay <= DELAY_MS_MAX
            && self.jitter <= DELAY_MS_MAX
            && self.rate <= NUMBER_MAX
            && self.cut <= CUT_MS_MAX
    }
}

impl<'a> Join<'a> {
    fn read(kind: u8, body: &mut Reader<'a>) -> Result<Self, Fault> {
        let minor = body.varint("the minor version")?;
        let mode = match body.u8("the mode")? {
            0 => Mode::Any,
            1 => Mode::Join,
            2 => Mode::Create,
            other => return Err(Fault::UnknownMode(other)),
        };
        let token = kind & kind::TOKEN != 0;
        let cursor = kind & kind::CURSOR != 0;
        if cursor && !token {
            return Err(Fault::CursorWithoutToken);
        }
        let mut back = None;
        if token {
            back = Some(Back {
                token: Token(body.array("the token")?),
                cursor: None,
            });
        }
        if let (Some(back), true) = (&mut back, cursor) {
            back.cursor = Some(Cursor {
                life: Life(body.array("the life")?),
                seq: body.varint("the seq")?,
            });
        }
        Ok(Self {
            minor,
            mode,
            back,
            name: body.name()?,
            properties: List::read(body, 0)?,
            wishes: Pairs::read(body)?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut kind = kind::JOIN;
        if let Some(back) = self.back {
            kind |= kind::TOKEN;
            if back.cursor.is_some() {
                kind |= kind::CURSOR;
            }
        }
        write_packet(out, kind, |out| {
            write_varint(out, self.minor);
            out.push(match self.mode {
                Mode::Any => 0,
                Mode::Join => 1,
                Mode::Create => 2,
            });
            if let Some(back) = self.back {
                out.extend_from_slice(&back.token.0);
                if let Some(cursor) = back.cursor {
                    out.extend_from_slice(&cursor.life.0);
                    write_varint(out, cursor.seq);
                }
            }
            self.name.write(out);
            self.properties.write(out);
            self.wishes.write(out);
        });
    }
}
