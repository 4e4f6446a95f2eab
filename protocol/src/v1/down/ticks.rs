//! Packets about time: what belongs to which tick of a room, and how long it has waited. And whatever this does not know.
//!
//! Owns: their kinds, both ways.
//! Must not know: when a room ticks.
//! Invariant: as for every packet, one encoding.

use super::{Packet, numbers};
use crate::v1::Fault;
use crate::v1::bytes::Reader;

mod kind {
    pub(super) const PONG_TICKS: u8 = 0x89;
    pub(super) const TICK: u8 = 0xb8;
    pub(super) const AGED: u8 = 0xc0;
}

/// How long before a tick of its room, or after it, the last packets of a player came: whichever of the two was nearer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Slack {
    /// They came after the tick, and so have waited for the next one.
    pub late: bool,
    /// Microseconds between the two, at most half of what a varint carries.
    pub micros: u64,
}

impl Slack {
    /// Microseconds by which they came before the tick; negative: after it.
    ///
    /// ```
    /// use roomcast_protocol::v1::down::Slack;
    ///
    /// assert_eq!(Slack { late: true, micros: 3_000 }.ahead(), -3_000);
    /// ```
    #[must_use]
    pub const fn ahead(self) -> i64 {
        let micros = self.micros as i64;
        if self.late { -micros } else { micros }
    }

    const fn number(self) -> u64 {
        2 * self.micros + self.late as u64
    }

    const fn of(number: u64) -> Self {
        Self {
            late: number % 2 == 1,
            micros: number / 2,
        }
    }
}

/// Appends one of these packets.
pub(super) fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) {
    match *packet {
        Packet::PongTicks {
            echo,
            time,
            superseded,
            slack,
        } => {
            let fields = [echo, time, superseded, slack.number()];
            numbers(out, kind::PONG_TICKS, &fields);
        }
        Packet::Tick { tick, time } => numbers(out, kind::TICK, &[tick, time]),
        Packet::Aged { ms } => numbers(out, kind::AGED, &[ms]),
        // All others have a place in the tables of theirs.
        _ => {}
    }
}

/// One of these packets, or one to be skipped.
pub(super) fn read<'a>(kind: u8, body: &mut Reader<'a>) -> Result<Packet<'a>, Fault> {
    Ok(match kind {
        kind::PONG_TICKS => Packet::PongTicks {
            echo: body.varint("the echo")?,
            time: body.varint("the time")?,
            superseded: body.varint("superseded")?,
            slack: Slack::of(body.varint("the slack")?),
        },
        kind::TICK => Packet::Tick {
            tick: body.varint("the tick")?,
            time: body.varint("the time")?,
        },
        kind::AGED => Packet::Aged {
            ms: body.varint("the age")?,
        },
        _ => Packet::Unknown {
            kind,
            body: body.rest(),
        },
    })
}

/// The name of a kind whose body could not be read.
pub(super) const fn name_of(kind: u8) -> &'static str {
    match kind {
        kind::PONG_TICKS => "PONG_TICKS",
        kind::TICK => "TICK",
        kind::AGED => "AGED",
        _ => "a packet",
    }
}
