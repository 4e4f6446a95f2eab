//! Ends: which follows from what a client sent, which may come on its own, and what the client is told.
//!
//! Owns: the table of all reasons, as a client and an operator are promised it. Must not know: connections. Invariant:
//! every arm is a promise of the documentation, none is read off the server's code.

use roomcast::shard::CloseReason::{
    Barred, Drain, Idle, Kicked, Left, NoJoin, Replaced, RoomClosed, RoomFull, RoomLocked,
    SlowConsumer,
};
use roomcast::shard::DisconnectReason::{self as Reason, Close, End};
use roomcast::shard::EndReason::{
    Answered, ConnectionLost, Cut, Full, HandshakeRefused, HandshakeTimeout, Overloaded,
    PeerClosed, PeerGone, Refused, TlsHandshake, TlsTruncated, TlsViolation,
};

use roomcast_protocol::v1::up;

use super::compose::{Errand, Mark, Place};
use super::player::Heard;

/// What a client did to the TLS of its connection, as far as the server can know.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conduct {
    /// The server has all that it needs of the handshake.
    pub(crate) agreed: bool,
    /// It said that nothing more will come.
    pub(crate) farewell: bool,
    /// It sent a record that is none.
    pub(crate) broke: bool,
    /// It ended its side of TCP.
    pub(crate) hung_up: bool,
}

/// Whether an end follows from what a client did to its TLS.
pub(crate) fn follows_from_conduct(reason: Reason, conduct: Option<Conduct>) -> bool {
    conduct.is_some_and(|conduct| match reason {
        End(PeerGone) => conduct.farewell || conduct.hung_up && !conduct.agreed,
        End(TlsTruncated) => conduct.hung_up && conduct.agreed && !conduct.farewell,
        End(TlsHandshake) => conduct.broke && !conduct.agreed,
        End(TlsViolation) => conduct.broke && conduct.agreed,
        _ => false,
    })
}

/// Whether `mark` is something for which a connection may end with this `reason`, before its last byte or after.
pub(crate) fn follows_from(reason: Reason, mark: &Mark) -> bool {
    match (reason, mark) {
        (End(Answered), Mark::Request { status }) => *status == 200,
        (End(Refused(refusal)), Mark::Request { status }) => refusal.status().code() == *status,
        (Close(reason), Mark::Breach(code)) if reason.violation().is_some() => {
            reason.close().0 == *code
        }
        (End(PeerClosed), Mark::Close(_)) => true,
        (Close(Left), Mark::Packets(Errand::Leave, _)) => true,
        (Close(RoomFull | RoomLocked | Replaced | Barred), Mark::Packets(Errand::Join, _)) => true,
        (Close(RoomClosed), Mark::Packets(Errand::Speak, packets)) => asks_to_close(packets),
        // At a door it is not known yet.
        (Close(RoomFull), Mark::Seat { place, .. }) => *place != Place::Door,
        (End(Full | Overloaded) | Close(RoomFull | Drain), mark) => {
            // Also a page that asks, without an upgrade, whether it would be seated.
            matches!(mark, Mark::Seat { .. } | Mark::Request { status: 426 })
        }
        _ => false,
    }
}

/// Whether these packets ask for the end of their room.
fn asks_to_close(packets: &[u8]) -> bool {
    let closes =
        |packet| matches!(packet, Ok(up::Packet::Act { act, .. }) if act == up::Act::Close);
    up::decode(packets).into_iter().flatten().any(closes)
}

/// Whether a connection may end with this `reason` though it sent nothing to that effect.
pub(crate) fn comes_alone(
    reason: Reason,
    (seated, guest): (bool, bool),
    draining: bool,
    conduct: Option<Conduct>,
) -> bool {
    match reason {
        End(ConnectionLost) => true,
        End(PeerGone) if conduct.is_none() => true,
        End(HandshakeRefused) => conduct.is_some_and(|conduct| !conduct.agreed),
        End(HandshakeTimeout) => !seated,
        Close(Idle | SlowConsumer) => seated,
        Close(NoJoin | Replaced | Kicked | RoomClosed) | End(Cut) => seated && guest,
        // Who has no seat when the process ends, ends with it.
        Close(Drain) => draining,
        _ => follows_from_conduct(reason, conduct),
    }
}

/// Whether a client that reads everything may see such an end without a word: one could be said to it only in TLS.
pub(crate) fn may_be_silent(reason: Reason, conduct: Option<Conduct>) -> bool {
    let agreed = conduct.is_none_or(|conduct| conduct.agreed);
    !agreed && matches!(reason, End(HandshakeRefused | HandshakeTimeout))
}

/// Whether this is what a client is told at the end. `cause` is what it sent to that effect, if it did.
pub(crate) fn is_told(reason: Reason, cause: Option<&Mark>, heard: &Heard) -> bool {
    match (heard, reason, cause) {
        (Heard::Status(status), End(HandshakeTimeout), _) => *status == 408,
        (Heard::Status(status), End(Full | Overloaded) | Close(Drain), Some(_)) => *status == 503,
        (Heard::Status(status), _, Some(Mark::Request { status: due })) => status == due,
        (Heard::Close(code, text), End(PeerClosed), Some(Mark::Close(sent))) => {
            code == sent && text.is_empty()
        }
        // A room of roomcast.v1 says how many it has, too.
        (Heard::Close(code, text), Close(RoomFull), _) => {
            let (full, words) = RoomFull.close();
            *code == Some(full) && text.starts_with(words)
        }
        (Heard::Close(code, text), Close(reason), _) => {
            code.is_some_and(|code| reason.close() == (code, text.as_str()))
        }
        _ => false,
    }
}
