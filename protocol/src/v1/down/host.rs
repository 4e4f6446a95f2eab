//! Packets about the host of a room.
//!
//! Owns: their kinds, both ways.
//! Must not know: who is the host.
//! Invariant: as for every packet, one encoding.

use super::{Packet, Trips, number, numbers, ticks, write_payload};
use crate::v1::bytes::{Reader, write_head, write_packet};
use crate::v1::{Fault, Payload};

mod kind {
    pub(super) const HOST: u8 = 0x98;
    pub(super) const LOCKED: u8 = 0xa0;
    pub(super) const SNAPSHOT: u8 = 0xa8;
    pub(super) const SNAPSHOT_WANTED: u8 = 0xb0;
    pub(super) const TRIPS: u8 = 0xc8;

    /// Of who is the host: it is given a snapshot.
    pub(super) const IS_GIVEN: u8 = 1;
    /// Of whether the room is locked.
    pub(super) const IS_LOCKED: u8 = 1;
    /// Of a snapshot: its tail has not all.
    pub(super) const CUT: u8 = 1;
}

/// Appends one of these packets.
pub(super) fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) {
    match *packet {
        Packet::Host { term, id, given } => {
            let kind = kind::HOST | if given { kind::IS_GIVEN } else { 0 };
            numbers(out, kind, &[term, number(id)]);
        }
        Packet::Locked(locked) => {
            let kind = kind::LOCKED | if locked { kind::IS_LOCKED } else { 0 };
            write_head(out, kind, 0);
        }
        Packet::Snapshot { seq, state, cut } => {
            let kind = kind::SNAPSHOT | if cut { kind::CUT } else { 0 };
            write_payload(out, kind, [seq], Payload::Bytes(state));
        }
        Packet::SnapshotWanted { term } => numbers(out, kind::SNAPSHOT_WANTED, &[term]),
        Packet::Trips(trips) => write_packet(out, kind::TRIPS, |out| trips.write(out)),
        // All others have a place in the table of theirs.
        _ => {}
    }
}

/// One of these packets, or another.
pub(super) fn read<'a>(kind: u8, body: &mut Reader<'a>) -> Result<Packet<'a>, Fault> {
    Ok(match (kind & !7, kind & 7) {
        (kind::HOST, 0..2) => Packet::Host {
            term: body.varint("the term")?,
            id: body.owner("the id")?,
            given: kind & kind::IS_GIVEN != 0,
        },
        (kind::LOCKED, 0..2) => Packet::Locked(kind & kind::IS_LOCKED != 0),
        (kind::SNAPSHOT, 0..2) => Packet::Snapshot {
            seq: body.varint("the seq")?,
            state: body.rest(),
            cut: kind & kind::CUT != 0,
        },
        (kind::SNAPSHOT_WANTED, 0) => Packet::SnapshotWanted {
            term: body.varint("the term")?,
        },
        (kind::TRIPS, 0) => Packet::Trips(Trips::read(body)?),
        _ => ticks::read(kind, body)?,
    })
}

/// The name of a kind whose body could not be read.
pub(super) const fn name_of(kind: u8) -> &'static str {
    match kind & !7 {
        kind::HOST => "HOST",
        kind::LOCKED => "LOCKED",
        kind::SNAPSHOT => "SNAPSHOT",
        kind::SNAPSHOT_WANTED => "SNAPSHOT_WANTED",
        kind::TRIPS => "TRIPS",
        _ => ticks::name_of(kind),
    }
}
