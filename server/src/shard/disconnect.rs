//! Why a connection ended: one reason each, and one row for each reason.
//!
//! A reason for which the peer is sent a close frame and one for which it is not are of different types, so nothing can
//! be closed without a code.

use std::fmt;

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::Violation;
use roomcast_protocol::upgrade::Refusal;

/// Who has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// Nobody: this is how connections end.
    Nobody,
    /// The peer sent what it must not, or did not read what it asked for.
    Peer,
    /// The operator's limits or a restart.
    Operator,
    /// Something between us and the peer.
    Network,
    /// A fault of this program.
    Us,
}

impl Blame {
    const fn label(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Peer => "peer",
            Self::Operator => "operator",
            Self::Network => "network",
            Self::Us => "us",
        }
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Why a connection ended. Every connection ends with exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectReason {
    /// A WebSocket that was open is told in a close frame; before that, a status says it.
    Close(CloseReason),
    /// No close frame says it.
    End(EndReason),
}

/// Declares reasons with their rows: label in counters and logs, whose turn it is, and what else there is to know.
macro_rules! reasons {
    (
        $(#[$about:meta])* $name:ident: $more:ty;
        $($(#[$doc:meta])* $variant:ident $(($data:ty))? => $label:literal, $blame:ident, $extra:expr;)*
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant $(($data))?),* }

        impl $name {
            const ROWS: &[(&str, Blame, $more)] = &[$(($label, Blame::$blame, $extra)),*];

            /// Its place in the table.
            const fn place(self) -> usize {
                enum Place { $($variant),* }
                match self { $(Self::$variant { .. } => Place::$variant as usize),* }
            }
        }
    };
}

reasons! {
    /// Why we close a WebSocket: the row has the code, and what it says beside it.
    CloseReason: (CloseCode, &'static str);
    /// The peer broke the WebSocket protocol.
    Violation(Violation) => "violation", Peer, (CloseCode::PROTOCOL_ERROR, "protocol error");
    /// The peer sent text that is none.
    BadText(Violation) => "bad_text", Peer, (CloseCode::INVALID_PAYLOAD, "text is not UTF-8");
    /// The peer sent fragments without end, and nothing in them.
    EmptyFragments(Violation) => "empty_fragments", Peer, (CloseCode::POLICY, "too many empty fragments");
    /// The peer sent a message over the limit.
    TooBig(Violation) => "too_big", Peer, (CloseCode::TOO_BIG, "message over the limit");
    /// The keys of a TLS 1.2 session have sealed as much as they may.
    TlsSpent => "tls_spent", Nobody, (CloseCode::RESTART, "the keys of this session are spent; reconnect");
    /// The peer was silent too long, pings included.
    Idle => "idle", Network, (CloseCode::IDLE, "no sign of life, not even a pong");
    /// The peer did not take what the room sent.
    SlowConsumer => "slow_consumer", Peer, (CloseCode::SLOW_CONSUMER, "the room sends more than you read");
    /// The room has as many members as it may.
    RoomFull => "room_full", Operator, (CloseCode::ROOM_FULL, "the room is full");
    /// The room's host has put the player out.
    Kicked => "kicked", Nobody, (CloseCode::KICKED, "the host has put you out");
    /// The room's host has closed it.
    RoomClosed => "room_closed", Nobody, (CloseCode::ROOM_CLOSED, "the host has closed the room");
    /// The room's host lets nobody new in.
    RoomLocked => "room_locked", Nobody, (CloseCode::ROOM_LOCKED, "the room is locked");
    /// Somebody who was put out comes back.
    Barred => "barred", Peer, (CloseCode::BARRED, "you were put out of this room");
    /// A player of a roomcast.v1 room has left it.
    Left => "left", Nobody, (CloseCode::NORMAL, "you have left");
    /// A player has come back on another connection.
    Replaced => "replaced", Nobody, (CloseCode::REPLACED, "this player goes on over another connection");
    /// The first packet did not come in time.
    NoJoin => "no_join", Peer, (CloseCode::IDLE, "no JOIN in time");
    /// A packet that no honest client sends. (The close frame says which, see `v1::BadPacket`.)
    BadPacket => "bad_packet", Peer, (CloseCode::MALFORMED_PACKET, "malformed");
    /// More packets than a player may send.
    TooManyPackets => "too_many_packets", Peer, (CloseCode::POLICY, "too many packets");
    /// The room was to be joined, and is not there.
    NoSuchRoom => "no_such_room", Peer, (CloseCode::NO_SUCH_ROOM, "there is no such room");
    /// The room was to be made, and is there.
    RoomExists => "room_exists", Peer, (CloseCode::ROOM_EXISTS, "the room exists");
    /// The room speaks the other dialect.
    OtherDialect => "other_dialect", Peer, (CloseCode::OTHER_DIALECT, "the room speaks the other dialect");
    /// There are as many rooms as there may be.
    TooManyRooms => "too_many_rooms", Operator, (CloseCode::OVERLOADED, "no more rooms");
    /// There are as many rooms made from its address, or with tickets of its `sub`, as there may be.
    AddressRooms => "address_rooms", Peer, (CloseCode::OVERLOADED, "your address has made too many rooms");
    /// The time that its ticket gave it is over.
    StayOver => "stay_over", Nobody, (CloseCode::POLICY, "the stay of your ticket is over");
    /// The operator has taken its ticket back.
    Revoked => "revoked", Operator, (CloseCode::POLICY, "your ticket has been taken back");
    /// Somebody spoke whose ticket only lets it receive.
    SpectatorSpoke => "spectator_spoke", Peer, (CloseCode::POLICY, "spectators only receive");
    /// Somebody whose ticket only lets it receive comes before everybody else: a room is made by who plays.
    NobodyPlays => "nobody_plays", Nobody, (CloseCode::OVERLOADED, "nobody plays here yet; come again");
    /// More messages or bytes than it may send in a second, and it went on.
    OverQuota => "over_quota", Peer, (CloseCode::POLICY, "more than you may send in a second");
    /// An operator has put the player out.
    PutOut => "put_out", Operator, (CloseCode::KICKED, "an operator has put you out");
    /// An operator has closed the room.
    RoomEnded => "room_ended", Operator, (CloseCode::ROOM_CLOSED, "an operator has closed the room");
    /// The process is restarting.
    Drain => "drain", Operator, (CloseCode::RESTART, "the server restarts; reconnect");
}

reasons! {
    /// Why a connection ends without a close frame of ours that says so.
    EndReason: ();
    /// An HTTP request was answered; there never was a WebSocket.
    Answered => "answered", Nobody, ();
    /// The HTTP request was refused.
    Refused(Refusal) => "refused", Peer, ();
    /// The request head was not complete in time.
    HandshakeTimeout => "handshake_timeout", Peer, ();
    /// There were more TLS handshakes than there is time for, and this one could not have been complete in time.
    HandshakeRefused => "handshake_refused", Us, ();
    /// The process has as many players as it may.
    Full => "full", Operator, ();
    /// There are as many connections of its address, or with tickets of its `sub`, as there may be.
    AddressConnections => "address_connections", Peer, ();
    /// Too many of its address have no seat, as a PROXY header said. (Whose address is known sooner is closed without a slot.)
    AddressHandshakes => "address_handshakes", Peer, ();
    /// More have joined from there lately than may.
    AddressJoins => "address_joins", Peer, ();
    /// An operator lets nobody in from there, or with its tickets.
    Banned => "banned", Operator, ();
    /// The peer sent a close frame.
    PeerClosed => "peer_closed", Nobody, ();
    /// The peer ended TCP without a close frame.
    PeerGone => "peer_gone", Nobody, ();
    /// Reading or writing failed: reset, unreachable, timed out.
    ConnectionLost => "connection_lost", Network, ();
    /// A player asked for its connection to break (`--allow-impairment`).
    Cut => "cut", Nobody, ();
    /// No PROXY header came where one has to, or somebody sent one who is no proxy that is trusted.
    ProxyHeader => "proxy_header", Operator, ();
    /// There was no agreement on a TLS session, or what came was not TLS.
    TlsHandshake => "tls_handshake", Peer, ();
    /// The peer sent a TLS record that was not what it must be.
    TlsViolation => "tls_violation", Peer, ();
    /// TCP ended without the close_notify that tells an end from an attack that cuts.
    TlsTruncated => "tls_truncated", Network, ();
    /// What came was no HTTP/2, or broke its rules.
    Http2Violation => "http2_violation", Peer, ();
    /// Too much of what costs more than it brings: streams taken back, pings, settings.
    Http2Flood => "http2_flood", Peer, ();
    /// It went on asking over HTTP/2, and did not read.
    Http2Deaf => "http2_deaf", Peer, ();
    /// A mailbox was full: the home reactor can't take another connection now.
    Overloaded => "overloaded", Us, ();
    /// What should always work did not: a socket operation, or the sealing of a record.
    Internal => "internal", Us, ();
}

impl CloseReason {
    /// What the close frame says.
    pub fn close(self) -> (CloseCode, &'static str) {
        Self::ROWS[self.place()].2
    }

    /// What the peer did wrong, if it did.
    pub fn violation(self) -> Option<Violation> {
        match self {
            Self::Violation(violation)
            | Self::BadText(violation)
            | Self::EmptyFragments(violation)
            | Self::TooBig(violation) => Some(violation),
            _ => None,
        }
    }
}

impl From<Violation> for CloseReason {
    fn from(violation: Violation) -> Self {
        match violation.close_code() {
            CloseCode::TOO_BIG => Self::TooBig(violation),
            CloseCode::POLICY => Self::EmptyFragments(violation),
            CloseCode::INVALID_PAYLOAD => Self::BadText(violation),
            _ => Self::Violation(violation),
        }
    }
}

/// What exactly a peer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cause {
    /// It asked for what it does not get.
    #[error("{code} {0}", code = .0.status().code())]
    Refused(Refusal),
    /// It broke the WebSocket protocol.
    #[error("{0}")]
    Violated(Violation),
}

impl DisconnectReason {
    /// Label in counters and key in logs.
    pub fn label(self) -> &'static str {
        LABELS[self.index()]
    }

    /// What exactly the peer did, where the label does not say it.
    pub(super) fn cause(self) -> Option<Cause> {
        match self {
            Self::Close(reason) => reason.violation().map(Cause::Violated),
            Self::End(EndReason::Refused(refusal)) => Some(Cause::Refused(refusal)),
            Self::End(_) => None,
        }
    }

    /// The close code that we send for it, if there is one.
    pub(super) fn close_code(self) -> Option<CloseCode> {
        match self {
            Self::Close(reason) => Some(reason.close().0),
            Self::End(_) => None,
        }
    }

    /// Whose turn it is.
    pub(super) fn blame(self) -> Blame {
        match self {
            Self::Close(reason) => CloseReason::ROWS[reason.place()].1,
            Self::End(reason) => EndReason::ROWS[reason.place()].1,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::End(reason) => reason.place(),
            Self::Close(reason) => EndReason::ROWS.len() + reason.place(),
        }
    }
}

impl From<CloseReason> for DisconnectReason {
    fn from(reason: CloseReason) -> Self {
        Self::Close(reason)
    }
}

impl From<EndReason> for DisconnectReason {
    fn from(reason: EndReason) -> Self {
        Self::End(reason)
    }
}

const COUNT: usize = EndReason::ROWS.len() + CloseReason::ROWS.len();

const LABELS: [&str; COUNT] = {
    let mut labels = [""; COUNT];
    let mut index = 0;
    while index < COUNT {
        labels[index] = match index.checked_sub(EndReason::ROWS.len()) {
            None => EndReason::ROWS[index].0,
            Some(place) => CloseReason::ROWS[place].0,
        };
        index += 1;
    }
    labels
};

/// How many connections ended for each reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends([u64; COUNT]);

impl Default for Ends {
    fn default() -> Self {
        Self([0; COUNT])
    }
}

impl Ends {
    /// Counts one.
    pub fn note(&mut self, reason: impl Into<DisconnectReason>) {
        self.0[reason.into().index()] += 1;
    }

    /// How many there were.
    pub fn of(&self, reason: impl Into<DisconnectReason>) -> u64 {
        self.0[reason.into().index()]
    }

    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// Each label, whose turn it is, and its count, none left out.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        let ends = EndReason::ROWS.iter().map(|row| row.1);
        let closes = CloseReason::ROWS.iter().map(|row| row.1);
        let blames = ends.chain(closes).map(Blame::label);
        self.iter()
            .zip(blames)
            .map(|((label, count), blame)| (label, blame, count))
    }

    /// Each label with its count, none left out.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        LABELS.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_label() {
        let labels: std::collections::BTreeSet<&str> = LABELS.into_iter().collect();
        assert_eq!(labels.len(), COUNT);
        assert!(!labels.contains(""));
        let mut ends = Ends::default();
        ends.note(CloseReason::from(Violation::ReservedBits));
        ends.note(CloseReason::Drain);
        ends.note(EndReason::Refused(Refusal::HeadTooLarge));
        ends.note(EndReason::Internal);
        let noted: Vec<&str> = ends
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(label, _)| label)
            .collect();
        assert_eq!(noted, ["refused", "internal", "violation", "drain"]);
    }

    #[test]
    fn every_close_code_may_be_sent() {
        for (_, _, (code, _)) in CloseReason::ROWS {
            assert!(code.is_valid_on_wire(), "{code:?}");
        }
        for violation in [
            Violation::ReservedBits,
            Violation::InvalidUtf8,
            Violation::TooManyEmptyFragments,
            Violation::MessageTooBig,
        ] {
            assert_eq!(
                CloseReason::from(violation).close().0,
                violation.close_code()
            );
        }
    }
}
