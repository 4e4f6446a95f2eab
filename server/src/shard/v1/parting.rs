//! How players and connections part: who leaves, and who keeps its seat. There is an answer for every reason.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::v1::down;

use super::V1;
use crate::limits::GOING_AWAY_MS;
use crate::planted::{self, Fault};
use crate::room::v1::{self, RoomId};
use crate::shard::connection::{Closing, Phase};
use crate::shard::player::Link;
use crate::shard::{CloseReason, DisconnectReason, EndReason, Shard};

/// What becomes of a player whose connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    /// It is gone.
    Leaves,
    /// It keeps its seat, for so many ms at most.
    Detaches(u32),
}

/// Whether a player leaves with its connection, for every reason. `code` is what its own close frame said.
fn parting(reason: DisconnectReason, code: Option<CloseCode>) -> Parting {
    use CloseReason::{
        AddressRooms, BadPacket, BadText, Barred, Drain, EmptyFragments, Idle, Kicked, Left,
        NoJoin, NoSuchRoom, NobodyPlays, OtherDialect, OverQuota, PutOut, Replaced, Revoked,
        RoomClosed, RoomEnded, RoomExists, RoomFull, RoomLocked, SlowConsumer, SpectatorSpoke,
        StayOver, TlsSpent, TooBig, TooManyPackets, TooManyRooms, Violation,
    };
    use EndReason::{
        AddressConnections, AddressHandshakes, AddressJoins, Answered, Banned, ConnectionLost, Cut,
        Full, HandshakeRefused, HandshakeTimeout, Http2Deaf, Http2Flood, Http2Violation, Internal,
        Overloaded, PeerClosed, PeerGone, ProxyHeader, Refused, TlsHandshake, TlsTruncated,
        TlsViolation,
    };
    match reason {
        DisconnectReason::Close(Left | Kicked | PutOut | Revoked | RoomClosed | RoomEnded) => {
            Parting::Leaves
        }
        DisconnectReason::End(PeerClosed) => match code {
            Some(CloseCode::NORMAL) => Parting::Leaves,
            Some(CloseCode::GOING_AWAY) => Parting::Detaches(GOING_AWAY_MS),
            _ => Parting::Detaches(u32::MAX),
        },
        DisconnectReason::Close(
            BadPacket | BadText(_) | Drain | EmptyFragments(_) | Idle | OverQuota | SlowConsumer
            | SpectatorSpoke | StayOver | TlsSpent | TooBig(_) | TooManyPackets | Violation(_),
        )
        | DisconnectReason::End(
            ConnectionLost | Cut | Internal | PeerGone | TlsTruncated | TlsViolation,
        ) => Parting::Detaches(u32::MAX),
        // Nobody has a seat then.
        DisconnectReason::Close(
            AddressRooms | Barred | NoJoin | NoSuchRoom | NobodyPlays | OtherDialect | Replaced
            | RoomExists | RoomFull | RoomLocked | TooManyRooms,
        )
        | DisconnectReason::End(
            AddressConnections | AddressHandshakes | AddressJoins | Banned | ProxyHeader | Answered
            | Full | HandshakeRefused | HandshakeTimeout | Http2Deaf | Http2Flood | Http2Violation
            | Overloaded | Refused(_) | TlsHandshake,
        ) => Parting::Detaches(u32::MAX),
    }
}

impl Shard {
    /// For how long a player of this room whose connection ends keeps its seat (ms), or else what the others are told.
    pub(in crate::shard) fn v1_grace(
        &self,
        id: RoomId,
        seat: v1::Seat,
        reason: DisconnectReason,
        said: Option<CloseCode>,
    ) -> Result<u32, u64> {
        let room = &self.v1.rooms[id];
        match parting(reason, said) {
            _ if room[seat].is_raw() => Err(down::left::LEFT),
            Parting::Leaves => Err(down::left::LEFT),
            Parting::Detaches(_) if planted::is(Fault::DetachLeaves) => Err(down::left::GRACE_OVER),
            Parting::Detaches(most) if !self.draining && self.common.take_away() => {
                Ok(room.grace_ms().min(most))
            }
            Parting::Detaches(_) => Err(down::left::GRACE_OVER),
        }
    }

    /// A player is away.
    pub(in crate::shard) fn detach_v1(&mut self, id: RoomId, seat: v1::Seat) {
        self.common.return_seat();
        let V1 { rooms, rules, .. } = &mut self.v1;
        rooms[id].detach(seat, self.now as u32, rules);
        self.v1.touch(id, self.now);
    }

    /// A player has left, who was reached like this until now, for one of the reasons of [`down::left`].
    pub(in crate::shard) fn leave_v1(
        &mut self,
        id: RoomId,
        seat: v1::Seat,
        link: Link,
        reason: u64,
    ) {
        match link {
            Link::Here(_) => self.common.return_seat(),
            Link::Away { .. } => self.common.return_away(),
        }
        let V1 { rooms, rules, .. } = &mut self.v1;
        rooms[id].leave(seat, reason, self.now as u32, rules);
        self.v1.touch(id, self.now);
        if self.v1.rooms[id].end_life() {
            self.v1.end_ticks(id);
            self.makers.unmake(id, &self.common, self.real);
            self.unlist_room(id);
            self.v1.snapshot_bytes -= self.v1.rooms[id].forget_snapshot();
        }
        self.close_v1_if_empty(id);
    }

    /// Ends those who were put out of their rooms, whose seats they have left: their connections, and their places here.
    pub(in crate::shard) fn end_put_out(&mut self, reason: CloseReason) {
        for id in std::mem::take(&mut self.v1.put_out) {
            // Who is behind has one, too.
            self.player_timers.disarm(id);
            match self.players[id as usize].link {
                Link::Here(slot) => {
                    self.note(slot, reason, None);
                    self.unburden(id, slot);
                    // It has no player any more, so none is taken off it once more.
                    self.connections[slot as usize].phase =
                        Phase::Closing(Closing::Flush, Box::default());
                    self.players.remove(id as usize);
                    self.common.return_seat();
                    self.close(slot, reason);
                }
                Link::Away { .. } => {
                    self.players.remove(id as usize);
                    self.common.return_away();
                }
            }
        }
    }

    /// The host over the connection in this slot closes its room: everybody else is put out of it.
    pub(in crate::shard) fn close_room(&mut self, slot: u32) {
        if let Some((id, seat)) = self.seat_of(slot) {
            self.v1.put_out = self.v1.rooms[id].clear_but(seat);
            self.end_put_out(CloseReason::RoomClosed);
        }
    }

    /// Gives up the place at a door.
    pub(in crate::shard) fn leave_door(&mut self, id: RoomId) {
        self.v1.rooms[id].at_door -= 1;
        self.close_v1_if_empty(id);
    }

    fn close_v1_if_empty(&mut self, id: RoomId) {
        let logged = self.v1.rooms[id].log_counted();
        if self.v1.rooms.close_if_empty(id) {
            self.v1.log_bytes -= logged;
            self.v1.wheel.disarm(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::frame::Violation;
    use roomcast_protocol::upgrade::Refusal;

    use super::*;

    /// Rule: a leave packet and close 1000 leave; everything else detaches.
    #[test]
    fn only_who_says_so_leaves() {
        use Parting::{Detaches, Leaves};
        let peer = |code: u16| (EndReason::PeerClosed.into(), Some(CloseCode(code)));
        let rows: Vec<((DisconnectReason, Option<CloseCode>), Parting)> = vec![
            ((CloseReason::Left.into(), None), Leaves),
            // No ticket lets it come back.
            ((CloseReason::Revoked.into(), None), Leaves),
            ((CloseReason::Kicked.into(), None), Leaves),
            ((CloseReason::RoomClosed.into(), None), Leaves),
            ((CloseReason::PutOut.into(), None), Leaves),
            ((CloseReason::RoomEnded.into(), None), Leaves),
            (peer(1000), Leaves),
            (peer(1001), Detaches(5_000)),
            (peer(1002), Detaches(u32::MAX)),
            (peer(4000), Detaches(u32::MAX)),
            ((EndReason::PeerClosed.into(), None), Detaches(u32::MAX)),
            ((EndReason::PeerGone.into(), None), Detaches(u32::MAX)),
            ((EndReason::ConnectionLost.into(), None), Detaches(u32::MAX)),
            ((EndReason::Cut.into(), None), Detaches(u32::MAX)),
            ((EndReason::TlsTruncated.into(), None), Detaches(u32::MAX)),
            ((EndReason::TlsViolation.into(), None), Detaches(u32::MAX)),
            ((EndReason::Internal.into(), None), Detaches(u32::MAX)),
            ((CloseReason::Idle.into(), None), Detaches(u32::MAX)),
            ((CloseReason::SlowConsumer.into(), None), Detaches(u32::MAX)),
            (
                (CloseReason::TooManyPackets.into(), None),
                Detaches(u32::MAX),
            ),
            ((CloseReason::TlsSpent.into(), None), Detaches(u32::MAX)),
            // A new ticket lets it come back to its seat.
            ((CloseReason::StayOver.into(), None), Detaches(u32::MAX)),
            ((CloseReason::Drain.into(), None), Detaches(u32::MAX)),
            ((CloseReason::BadPacket.into(), None), Detaches(u32::MAX)),
            (
                (
                    CloseReason::Violation(Violation::UnmaskedFrame).into(),
                    None,
                ),
                Detaches(u32::MAX),
            ),
            (
                (EndReason::Refused(Refusal::NotFound).into(), None),
                Detaches(u32::MAX),
            ),
        ];
        for ((reason, code), expected) in rows {
            assert_eq!(parting(reason, code), expected, "{reason:?} {code:?}");
        }
    }
}
