//! Ends: which follows from what a client sent, which may come on its own, and what the client is told.
//!
//! Owns: the table of all reasons, as a client and an operator are promised it. Must not know: connections. Invariant:
//! every arm is a promise of the documentation, none is read off the server's code.

use roomcast::shard::DisconnectReason as Reason;

use super::compose::Mark;
use super::player::Heard;

/// Whether `mark` is something for which a connection may end with this `reason`, before its last byte or after.
pub(crate) fn follows_from(reason: Reason, mark: &Mark) -> bool {
    match (reason, mark) {
        (Reason::Answered, Mark::Request { status }) => *status == 200,
        (Reason::Refused(refusal), Mark::Request { status }) => refusal.status().code() == *status,
        (Reason::Violation(violation), Mark::Breach(code)) => violation.close_code() == *code,
        (Reason::PeerClosed, Mark::Close(_)) => true,
        (Reason::Full | Reason::RoomFull | Reason::Overloaded | Reason::Drain, mark) => {
            // Also a page that asks, without an upgrade, whether it would be seated.
            matches!(mark, Mark::Seat { .. } | Mark::Request { status: 426 })
        }
        _ => false,
    }
}

/// Whether a connection may end with this `reason` though it sent nothing to that effect.
pub(crate) fn comes_alone(reason: Reason, seated: bool, draining: bool) -> bool {
    match reason {
        Reason::PeerGone | Reason::ConnectionLost => true,
        Reason::HandshakeTimeout => !seated,
        Reason::Idle | Reason::SlowConsumer => seated,
        Reason::Drain => seated && draining,
        _ => false,
    }
}

/// Whether this is what a client is told at the end. `cause` is what it sent to that effect, if it did.
pub(crate) fn is_told(reason: Reason, cause: Option<&Mark>, heard: &Heard) -> bool {
    match (heard, reason, cause) {
        (Heard::Status(status), Reason::HandshakeTimeout, _) => *status == 408,
        (Heard::Status(status), Reason::Full | Reason::Overloaded | Reason::Drain, Some(_)) => {
            *status == 503
        }
        (Heard::Status(status), _, Some(Mark::Request { status: due })) => status == due,
        (Heard::Close(code, text), Reason::PeerClosed, Some(Mark::Close(sent))) => {
            code == sent && text.is_empty()
        }
        (Heard::Close(code, text), ..) => {
            code.is_some() && reason.consequence().close == code.map(|code| (code, text.as_str()))
        }
        _ => false,
    }
}
