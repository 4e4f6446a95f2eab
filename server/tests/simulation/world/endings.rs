//! Ends: which follows from what a client sent, which may come on its own, and what the client is told.
//!
//! Owns: the table of all reasons, as a client and an operator are promised it. Must not know: connections. Invariant:
//! every arm is a promise of the documentation, none is read off the server's code.

use roomcast::shard::CloseReason::{Drain, Idle, RoomFull, SlowConsumer};
use roomcast::shard::DisconnectReason::{self as Reason, Close, End};
use roomcast::shard::EndReason::{
    Answered, ConnectionLost, Full, HandshakeTimeout, Overloaded, PeerClosed, PeerGone, Refused,
};

use super::compose::Mark;
use super::player::Heard;

/// Whether `mark` is something for which a connection may end with this `reason`, before its last byte or after.
pub(crate) fn follows_from(reason: Reason, mark: &Mark) -> bool {
    match (reason, mark) {
        (End(Answered), Mark::Request { status }) => *status == 200,
        (End(Refused(refusal)), Mark::Request { status }) => refusal.status().code() == *status,
        (Close(reason), Mark::Breach(code)) if reason.violation().is_some() => {
            reason.close().0 == *code
        }
        (End(PeerClosed), Mark::Close(_)) => true,
        (End(Full | Overloaded) | Close(RoomFull | Drain), mark) => {
            // Also a page that asks, without an upgrade, whether it would be seated.
            matches!(mark, Mark::Seat { .. } | Mark::Request { status: 426 })
        }
        _ => false,
    }
}

/// Whether a connection may end with this `reason` though it sent nothing to that effect.
pub(crate) fn comes_alone(reason: Reason, seated: bool, draining: bool) -> bool {
    match reason {
        End(PeerGone | ConnectionLost) => true,
        End(HandshakeTimeout) => !seated,
        Close(Idle | SlowConsumer) => seated,
        // Who has no seat when the process ends, ends with it.
        Close(Drain) => draining,
        _ => false,
    }
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
        (Heard::Close(code, text), Close(reason), _) => {
            code.is_some_and(|code| reason.close() == (code, text.as_str()))
        }
        _ => false,
    }
}
