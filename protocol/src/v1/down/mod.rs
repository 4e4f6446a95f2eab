//! What a relay sends: bundles of packets.
//!
//! Owns: the kinds of section 4 of `docs/PROTOCOL.md`, both ways.
//! Must not know: in what order they may come (that is a session's).
//! Invariant: [`Packet::encode`] makes the only bytes from which decoding makes the same packet; nothing in a packet
//! depends on who receives it, only the head of a bundle does.
//!
//! ```
//! use roomcast_protocol::v1::down::{Bundle, Packet};
//! use roomcast_protocol::v1::{Payload, PlayerId, write_varint};
//!
//! let mut message = Vec::new();
//! write_varint(&mut message, 1); // the head: one entry further
//! let hi = Packet::Event {
//!     author: PlayerId::MIN,
//!     payload: Payload::Text("hi"),
//!     by_host: false,
//!     addressed: false,
//! };
//! hi.encode(&mut message);
//! assert_eq!(message, [1, 0x09, 3, 1, b'h', b'i']);
//! let bundle = Bundle::decode(&message)?;
//! assert_eq!(bundle.covered, 1);
//! assert_eq!(bundle.packets.collect::<Result<Vec<_>, _>>()?, [hi]);
//! # Ok::<(), roomcast_protocol::v1::Malformed>(())
//! ```

use super::bytes::{Reader, utf8, varint_len, write_head, write_owner, write_packet};
use super::list::{Changed, List};
use super::{Fault, Key, Malformed, Name, Owner, Pairs, Payload, PlayerId, Term, write_varint};

mod host;
mod reasons;
mod ticks;
mod trips;
mod welcome;

pub use reasons::{capability, left, refused, reset};
pub use ticks::Slack;
pub use trips::Trips;
pub use welcome::Welcome;

mod kind {
    pub(super) const EVENT: u8 = 0x08;
    pub(super) const STATE: u8 = 0x10;
    pub(super) const REMOVED: u8 = 0x18;
    pub(super) const WELCOME: u8 = 0x20;
    pub(super) const SETTINGS: u8 = 0x28;
    pub(super) const PLAYER: u8 = 0x30;
    pub(super) const READY: u8 = 0x38;
    pub(super) const JOINED: u8 = 0x40;
    pub(super) const LEFT: u8 = 0x48;
    pub(super) const AWAY: u8 = 0x50;
    pub(super) const BACK: u8 = 0x58;
    pub(super) const PROPERTIES: u8 = 0x60;
    pub(super) const RESUMED: u8 = 0x68;
    pub(super) const RESET: u8 = 0x70;
    pub(super) const REFUSED: u8 = 0x78;
    pub(super) const ACK: u8 = 0x80;
    pub(super) const PONG: u8 = 0x88;
    pub(super) const KEEPALIVE: u8 = 0x90;
    pub(super) const NOTICE: u8 = 0xd0;

    /// Of an event or state: its payload is text.
    pub(super) const TEXT: u8 = 1;
    pub(super) const BY_HOST: u8 = 2;
    pub(super) const ADDRESSED: u8 = 4;
    /// Of what was removed.
    pub(super) const ALL: u8 = 1;
    /// Of a welcome.
    pub(super) const CREATED: u8 = 1;
    /// Of a player.
    pub(super) const IS_AWAY: u8 = 1;
    /// Of a refusal: what is refused is a state.
    pub(super) const OF_STATE: u8 = 1;
}

/// A packet from a relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// A message of a player.
    Event {
        /// Who sent it.
        author: PlayerId,
        /// What it says.
        payload: Payload<'a>,
        /// Whether it was sent as the room's host.
        by_host: bool,
        /// Whether it was for fewer than the whole room.
        addressed: bool,
    },
    /// The newest value under a key.
    State {
        /// Whose it is.
        author: Owner,
        /// Its key.
        key: Key,
        /// Its value.
        payload: Payload<'a>,
        /// Whether it was sent as the room's host.
        by_host: bool,
    },
    /// A key has no value any more, or none for this client.
    Removed {
        /// Whose it was.
        author: Owner,
        /// Its key.
        key: Key,
    },
    /// No key has a value for this client, but those that follow.
    RemovedAll,
    /// The beginning of a welcome.
    Welcome(Welcome<'a>),
    /// What holds in this room.
    Settings(Pairs<'a>),
    /// A player who is in the room, in a welcome.
    Player {
        /// Its id.
        id: PlayerId,
        /// Its name; [`Name::NONE`] for a raw one.
        name: Name<'a>,
        /// Whether it has no connection just now.
        away: bool,
    },
    /// The end of a welcome.
    Ready,
    /// A player has come.
    Joined {
        /// Its id.
        id: PlayerId,
        /// Its name; [`Name::NONE`] for a raw one.
        name: Name<'a>,
        /// What it came with. None is deleted.
        properties: List<'a, Changed<'a>>,
    },
    /// A player is gone.
    Left {
        /// Its id.
        id: PlayerId,
        /// Why: one of [`left`].
        reason: u64,
    },
    /// A player has lost its connection.
    Away(PlayerId),
    /// A player has a connection again.
    Back(PlayerId),
    /// Properties have changed, or are told in a welcome.
    Properties {
        /// Whose.
        owner: Owner,
        /// Who wrote them.
        author: Owner,
        /// At least one.
        changes: List<'a, Changed<'a>>,
    },
    /// The client goes on where it was.
    Resumed {
        /// Numbered packets of this player that were applied: the client sends again from this number on.
        applied: u64,
        /// The relay's time, in microseconds.
        time: u64,
    },
    /// The client can't go on where it was; a welcome follows.
    Reset {
        /// Why: one of [`reset`].
        reason: u64,
    },
    /// A packet of this client had no effect.
    Refused {
        /// The packet's number.
        number: u64,
        /// Why: one of [`refused`].
        reason: u64,
        /// For humans.
        detail: &'a str,
    },
    /// A state of this client was not taken.
    RefusedState {
        /// Its key.
        key: Key,
        /// Why: one of [`refused`].
        reason: u64,
        /// For humans.
        detail: &'a str,
    },
    /// Numbered packets of this player that were applied.
    Ack {
        /// How many.
        applied: u64,
    },
    /// The answer to a ping.
    Pong {
        /// As it stood in the ping.
        echo: u64,
        /// The relay's time, in microseconds.
        time: u64,
    },
    /// The answer to a ping that asked for what ticks need.
    PongTicks {
        /// As for a pong.
        echo: u64,
        /// As for a pong.
        time: u64,
        /// Values that this client was not sent on this connection, because a newer one took their place.
        superseded: u64,
        /// How near to a tick its last packets came; nothing where there are no ticks.
        slack: Slack,
    },
    /// The relay is there.
    KeepAlive {
        /// Its time, in microseconds.
        time: u64,
    },
    /// Who is the host from now on, or in a welcome.
    Host {
        /// Its number.
        term: Term,
        /// Who it is; None: nobody.
        id: Owner,
        /// It is given a snapshot after this.
        given: bool,
    },
    /// Whether somebody new is kept out.
    Locked(bool),
    /// The state of the game, for a new host or for who joins late; what was said since follows, until *ready*.
    Snapshot {
        /// The last entry that is in it.
        seq: u64,
        /// The game's own bytes.
        state: &'a [u8],
        /// Of what was said since, the first is missing.
        cut: bool,
    },
    /// The host is asked for a snapshot.
    SnapshotWanted {
        /// As of which term it is.
        term: Term,
    },
    /// Round-trip times, for the host.
    Trips(Trips<'a>),
    /// What the relay's operator says to everybody. It is an entry, as an event is.
    Notice(&'a str),
    /// What follows in this bundle is of this tick.
    Tick {
        /// Its number in the life of the room.
        tick: u64,
        /// The relay's time that it stands for, in microseconds.
        time: u64,
    },
    /// The states that follow in this bundle have waited for this client, which did not keep up.
    Aged {
        /// So many milliseconds.
        ms: u64,
    },
    /// A kind of a newer relay, to be skipped.
    Unknown {
        /// Its kind.
        kind: u8,
        /// Its body.
        body: &'a [u8],
    },
}

/// A message from a relay.
#[derive(Clone)]
pub struct Bundle<'a> {
    /// How many entries of the room's log the receiver is further, once it has dealt with the packets.
    pub covered: u64,
    /// What it holds.
    pub packets: Packets<'a>,
}

impl<'a> Bundle<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// If there is none.
    pub fn decode(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(message);
        match reader.varint("covered") {
            Ok(covered) => Ok(Self {
                covered,
                packets: Packets(reader),
            }),
            Err(fault) => Err(fault.of("a bundle")),
        }
    }
}

/// The packets of a bundle. Ends after the first that is malformed.
#[derive(Clone)]
pub struct Packets<'a>(Reader<'a>);

impl<'a> Packets<'a> {
    /// Packets alone, without the head of a bundle.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(Reader(bytes))
    }
}

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
            Self::Event { .. } => "EVENT",
            Self::State { .. } => "STATE",
            Self::Removed { .. } => "REMOVED",
            Self::RemovedAll => "REMOVED_ALL",
            Self::Welcome(_) => "WELCOME",
            Self::Settings(_) => "SETTINGS",
            Self::Player { .. } => "PLAYER",
            Self::Ready => "READY",
            Self::Joined { .. } => "JOINED",
            Self::Left { .. } => "LEFT",
            Self::Away(_) => "AWAY",
            Self::Back(_) => "BACK",
            Self::Properties { .. } => "PROPERTIES",
            Self::Resumed { .. } => "RESUMED",
            Self::Reset { .. } => "RESET",
            Self::Refused { .. } => "REFUSED",
            Self::RefusedState { .. } => "REFUSED_STATE",
            Self::Ack { .. } => "ACK",
            Self::Pong { .. } => "PONG",
            Self::PongTicks { .. } => "PONG_TICKS",
            Self::KeepAlive { .. } => "KEEPALIVE",
            Self::Host { .. } => "HOST",
            Self::Locked(_) => "LOCKED",
            Self::Snapshot { .. } => "SNAPSHOT",
            Self::SnapshotWanted { .. } => "SNAPSHOT_WANTED",
            Self::Trips(_) => "TRIPS",
            Self::Notice(_) => "NOTICE",
            Self::Tick { .. } => "TICK",
            Self::Aged { .. } => "AGED",
            Self::Unknown { .. } => "UNKNOWN",
        }
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Event {
                author,
                payload,
                by_host,
                addressed,
            } => {
                let addressed = if addressed { kind::ADDRESSED } else { 0 };
                let kind = kind::EVENT | flags(payload, by_host) | addressed;
                write_payload(out, kind, [u64::from(author.get())], payload);
            }
            Self::State {
                author,
                key,
                payload,
                by_host,
            } => {
                let kind = kind::STATE | flags(payload, by_host);
                write_payload(out, kind, [number(author), u64::from(key)], payload);
            }
            Self::Removed { author, key } => {
                numbers(out, kind::REMOVED, &[number(author), u64::from(key)]);
            }
            Self::RemovedAll => write_head(out, kind::REMOVED | kind::ALL, 0),
            Self::Welcome(welcome) => welcome.encode(out),
            Self::Settings(settings) => {
                write_packet(out, kind::SETTINGS, |out| settings.write(out));
            }
            Self::Player { id, name, away } => {
                let kind = kind::PLAYER | if away { kind::IS_AWAY } else { 0 };
                write_packet(out, kind, |out| {
                    write_owner(out, Some(id));
                    name.write(out);
                });
            }
            Self::Ready => write_head(out, kind::READY, 0),
            Self::Joined {
                id,
                name,
                properties,
            } => write_packet(out, kind::JOINED, |out| {
                write_owner(out, Some(id));
                name.write(out);
                properties.write(out);
            }),
            Self::Left { id, reason } => numbers(out, kind::LEFT, &[id.get().into(), reason]),
            Self::Away(id) => numbers(out, kind::AWAY, &[u64::from(id.get())]),
            Self::Back(id) => numbers(out, kind::BACK, &[u64::from(id.get())]),
            Self::Properties {
                owner,
                author,
                changes,
            } => write_packet(out, kind::PROPERTIES, |out| {
                write_owner(out, owner);
                write_owner(out, author);
                changes.write(out);
            }),
            Self::Resumed { applied, time } => numbers(out, kind::RESUMED, &[applied, time]),
            Self::Reset { reason } => numbers(out, kind::RESET, &[reason]),
            Self::Refused {
                number,
                reason,
                detail,
            } => write_payload(out, kind::REFUSED, [number, reason], Payload::Text(detail)),
            Self::RefusedState {
                key,
                reason,
                detail,
            } => {
                let kind = kind::REFUSED | kind::OF_STATE;
                write_payload(out, kind, [u64::from(key), reason], Payload::Text(detail));
            }
            Self::Ack { applied } => numbers(out, kind::ACK, &[applied]),
            Self::Pong { echo, time } => numbers(out, kind::PONG, &[echo, time]),
            Self::KeepAlive { time } => numbers(out, kind::KEEPALIVE, &[time]),
            Self::Notice(text) => write_payload(out, kind::NOTICE, [], Payload::Text(text)),
            Self::Host { .. }
            | Self::Locked(_)
            | Self::Snapshot { .. }
            | Self::SnapshotWanted { .. }
            | Self::Trips(_) => host::encode(self, out),
            Self::PongTicks { .. } | Self::Tick { .. } | Self::Aged { .. } => {
                ticks::encode(self, out);
            }
            Self::Unknown { kind, body } => {
                write_head(out, kind, body.len());
                out.extend_from_slice(body);
            }
        }
    }

    fn decode(kind: u8, mut body: Reader<'a>) -> Result<Self, Malformed> {
        let packet = Self::read(kind, &mut body);
        match packet {
            Ok(packet) => match body.end() {
                Ok(()) => Ok(packet),
                Err(fault) => Err(fault.of(packet.name())),
            },
            Err(fault) => Err(fault.of(name_of(kind))),
        }
    }

    fn read(kind: u8, body: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(match (kind & !7, kind & 7) {
            (kind::EVENT, _) => Self::Event {
                author: body.player("the author")?,
                payload: Payload::new(body.rest(), kind & kind::TEXT != 0)?,
                by_host: kind & kind::BY_HOST != 0,
                addressed: kind & kind::ADDRESSED != 0,
            },
            (kind::STATE, 0..4) => Self::State {
                author: body.owner("the author")?,
                key: body.u32("the key")?,
                payload: Payload::new(body.rest(), kind & kind::TEXT != 0)?,
                by_host: kind & kind::BY_HOST != 0,
            },
            (kind::REMOVED, 0) => Self::Removed {
                author: body.owner("the author")?,
                key: body.u32("the key")?,
            },
            (kind::REMOVED, kind::ALL) => Self::RemovedAll,
            (kind::WELCOME, 0..2) => Self::Welcome(Welcome::read(kind, body)?),
            (kind::SETTINGS, 0) => Self::Settings(Pairs::read(body)?),
            (kind::PLAYER, 0..2) => Self::Player {
                id: body.player("the id")?,
                name: body.name_or_none()?,
                away: kind & kind::IS_AWAY != 0,
            },
            (kind::READY, 0) => Self::Ready,
            (kind::JOINED, 0) => Self::Joined {
                id: body.player("the id")?,
                name: body.name_or_none()?,
                properties: {
                    let properties: List<'_, Changed<'_>> = List::read(body, 0)?;
                    if properties.iter().any(|property| property.value.is_none()) {
                        return Err(Fault::Deleted);
                    }
                    properties
                },
            },
            (kind::LEFT, 0) => Self::Left {
                id: body.player("the id")?,
                reason: body.varint("the reason")?,
            },
            (kind::AWAY, 0) => Self::Away(body.player("the id")?),
            (kind::BACK, 0) => Self::Back(body.player("the id")?),
            (kind::PROPERTIES, 0) => Self::Properties {
                owner: body.owner("the owner")?,
                author: body.owner("the author")?,
                changes: List::read(body, 1)?,
            },
            (kind::RESUMED, 0) => Self::Resumed {
                applied: body.varint("applied")?,
                time: body.varint("the time")?,
            },
            (kind::RESET, 0) => Self::Reset {
                reason: body.varint("the reason")?,
            },
            (kind::REFUSED, 0) => Self::Refused {
                number: body.varint("the number")?,
                reason: body.varint("the reason")?,
                detail: utf8(body.rest(), "the detail")?,
            },
            (kind::REFUSED, kind::OF_STATE) => Self::RefusedState {
                key: body.u32("the key")?,
                reason: body.varint("the reason")?,
                detail: utf8(body.rest(), "the detail")?,
            },
            (kind::ACK, 0) => Self::Ack {
                applied: body.varint("applied")?,
            },
            (kind::PONG, 0) => Self::Pong {
                echo: body.varint("the echo")?,
                time: body.varint("the time")?,
            },
            (kind::KEEPALIVE, 0) => Self::KeepAlive {
                time: body.varint("the time")?,
            },
            (kind::NOTICE, 0) => Self::Notice(utf8(body.rest(), "the text")?),
            _ => host::read(kind, body)?,
        })
    }
}

/// The name of a kind whose body could not be read.
const fn name_of(kind: u8) -> &'static str {
    match kind & !7 {
        kind::REMOVED if kind & 7 == kind::ALL => "REMOVED_ALL",
        kind::REFUSED if kind & 7 == kind::OF_STATE => "REFUSED_STATE",
        kind::EVENT => "EVENT",
        kind::STATE => "STATE",
        kind::REMOVED => "REMOVED",
        kind::WELCOME => "WELCOME",
        kind::SETTINGS => "SETTINGS",
        kind::PLAYER => "PLAYER",
        kind::JOINED => "JOINED",
        kind::LEFT => "LEFT",
        kind::AWAY => "AWAY",
        kind::BACK => "BACK",
        kind::PROPERTIES => "PROPERTIES",
        kind::RESUMED => "RESUMED",
        kind::RESET => "RESET",
        kind::REFUSED => "REFUSED",
        kind::ACK => "ACK",
        kind::PONG if kind & 7 == 0 => "PONG",
        kind::KEEPALIVE => "KEEPALIVE",
        kind::NOTICE => "NOTICE",
        _ => host::name_of(kind),
    }
}

fn numbers(out: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    write_packet(out, kind, |out| {
        for number in numbers {
            write_varint(out, *number);
        }
    });
}

/// Appends a packet of numbers and then text or bytes.
fn write_payload<const N: usize>(
    out: &mut Vec<u8>,
    kind: u8,
    numbers: [u64; N],
    payload: Payload<'_>,
) {
    let bytes = payload.bytes();
    let len: usize = numbers.iter().map(|number| varint_len(*number)).sum();
    write_head(out, kind, len + bytes.len());
    numbers.iter().for_each(|number| write_varint(out, *number));
    out.extend_from_slice(bytes);
}

/// An author as a number: the room is 0.
fn number(author: Owner) -> u64 {
    author.map_or(0, |id| u64::from(id.get()))
}

/// The flags that events and states have in common.
const fn flags(payload: Payload<'_>, by_host: bool) -> u8 {
    let text = if payload.is_text() { kind::TEXT } else { 0 };
    text | if by_host { kind::BY_HOST } else { 0 }
}
