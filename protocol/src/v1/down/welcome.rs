//! The beginning of a welcome.
//!
//! Owns: its fields and their order.
//! Must not know: what follows it.
//! Invariant: as for every packet, one encoding.

use super::kind;
use crate::v1::bytes::{Reader, write_owner, write_packet};
use crate::v1::{Fault, Life, Pairs, PlayerId, Token, write_varint};

/// The beginning of a welcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Welcome<'a> {
    /// Whether this client's join made the room.
    pub created: bool,
    /// The relay's [`MINOR`](crate::v1::MINOR).
    pub minor: u64,
    /// Bits of [`capability`](super::capability).
    pub capabilities: u64,
    /// The room's life.
    pub life: Life,
    /// Who the client is.
    pub id: PlayerId,
    /// What proves it.
    pub token: Token,
    /// The entry as of which the welcome is.
    pub seq: u64,
    /// Numbered packets of this player that were applied.
    pub applied: u64,
    /// The relay's time, in microseconds.
    pub time: u64,
    /// What holds for this client: [`limit`](crate::v1::limit).
    pub limits: Pairs<'a>,
}

impl<'a> Welcome<'a> {
    pub(super) fn read(kind: u8, body: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(Self {
            created: kind & kind::CREATED != 0,
            minor: body.varint("the minor version")?,
            capabilities: body.varint("the capabilities")?,
            life: Life(body.array("the life")?),
            id: body.player("the id")?,
            token: Token(body.array("the token")?),
            seq: body.varint("the seq")?,
            applied: body.varint("applied")?,
            time: body.varint("the time")?,
            limits: Pairs::read(body)?,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let kind = kind::WELCOME | if self.created { kind::CREATED } else { 0 };
        write_packet(out, kind, |out| {
            write_varint(out, self.minor);
            write_varint(out, self.capabilities);
            out.extend_from_slice(&self.life.0);
            write_owner(out, Some(self.id));
            out.extend_from_slice(&self.token.0);
            for number in [self.seq, self.applied, self.time] {
                write_varint(out, number);
            }
            self.limits.write(out);
        });
    }
}
