//! Why a connection ended: one reason each, one total match for close code, label and blame.

use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::Violation;
use roomcast_protocol::upgrade::Refusal;

/// Who has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
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

/// Why a connection ended. Every connection ends with exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectReason {
    /// An HTTP request was answered; there never was a WebSocket.
    Answered,
    /// The HTTP request was refused.
    Refused(Refusal),
    /// The request head was not complete in time.
    HandshakeTimeout,
    /// The process has as many players as it may.
    Full,
    /// The peer sent a close frame.
    PeerClosed,
    /// The peer ended TCP without a close frame.
    PeerGone,
    /// Reading or writing failed: reset, unreachable, timed out.
    ConnectionLost,
    /// The peer broke the WebSocket protocol.
    Violation(Violation),
    /// There was no agreement on a TLS session, or what came was not TLS.
    TlsHandshake,
    /// The peer sent a TLS record that was not what it must be.
    TlsViolation,
    /// The keys of a TLS 1.2 session have sealed as much as they may.
    TlsSpent,
    /// TCP ended without the close_notify that tells an end from an attack that cuts.
    TlsTruncated,
    /// The peer was silent too long, pings included.
    Idle,
    /// The peer did not take what the room sent.
    SlowConsumer,
    /// The room has as many members as it may.
    RoomFull,
    /// The process is restarting.
    Drain,
    /// A mailbox was full: the home reactor can't take another connection now. There is no WebSocket yet, so HTTP 503.
    Overloaded,
    /// The operating system refused a socket operation that should always work: there is nothing to say it with.
    Internal,
}

/// What exactly a peer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// It asked for what it does not get.
    #[error("{code} {0}", code = .0.status().code())]
    Refused(Refusal),
    /// It broke the WebSocket protocol.
    #[error("{0}")]
    Violated(Violation),
}

/// What follows from a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consequence {
    /// What the close frame says, if there is one to send.
    pub close: Option<(CloseCode, &'static str)>,
    /// Label in counters and key in logs.
    pub label: &'static str,
    /// Whose turn it is.
    pub blame: Blame,
}

impl DisconnectReason {
    /// Close code, label and blame of this reason.
    pub const fn consequence(self) -> Consequence {
        use Blame::{Network, Nobody, Operator, Peer, Us};
        const fn of(
            close: Option<(CloseCode, &'static str)>,
            label: &'static str,
            blame: Blame,
        ) -> Consequence {
            Consequence {
                close,
                label,
                blame,
            }
        }
        match self {
            Self::Answered => of(None, "answered", Nobody),
            Self::Refused(_) => of(None, "refused", Peer),
            Self::HandshakeTimeout => of(None, "handshake_timeout", Peer),
            Self::Full => of(None, "full", Operator),
            Self::PeerClosed => of(None, "peer_closed", Nobody),
            Self::PeerGone => of(None, "peer_gone", Nobody),
            Self::ConnectionLost => of(None, "connection_lost", Network),
            Self::Violation(violation) => of(
                Some((
                    violation.close_code(),
                    violation_text(violation.close_code()),
                )),
                violation_label(violation.close_code()),
                Peer,
            ),
            Self::TlsHandshake => of(None, "tls_handshake", Peer),
            Self::TlsViolation => of(None, "tls_violation", Peer),
            Self::TlsSpent => of(
                Some((
                    CloseCode::RESTART,
                    "the keys of this session are spent; reconnect",
                )),
                "tls_spent",
                Nobody,
            ),
            Self::TlsTruncated => of(None, "tls_truncated", Network),
            Self::Idle => of(
                Some((CloseCode::IDLE, "no sign of life, not even a pong")),
                "idle",
                Network,
            ),
            Self::SlowConsumer => of(
                Some((
                    CloseCode::SLOW_CONSUMER,
                    "the room sends more than you read",
                )),
                "slow_consumer",
                Peer,
            ),
            Self::RoomFull => of(
                Some((CloseCode::ROOM_FULL, "the room is full")),
                "room_full",
                Operator,
            ),
            Self::Drain => of(
                Some((CloseCode::RESTART, "the server restarts; reconnect")),
                "drain",
                Operator,
            ),
            Self::Overloaded => of(None, "overloaded", Us),
            Self::Internal => of(None, "internal", Us),
        }
    }

    /// What exactly the peer did, where the label does not say it.
    pub fn cause(self) -> Option<Cause> {
        match self {
            Self::Refused(refusal) => Some(Cause::Refused(refusal)),
            Self::Violation(violation) => Some(Cause::Violated(violation)),
            _ => None,
        }
    }

    /// Index into a table with one row for each label, in the order of [`DisconnectReason::LABELS`].
    pub fn index(self) -> usize {
        let label = self.consequence().label;
        Self::LABELS
            .iter()
            .position(|known| *known == label)
            .expect("a test compares both lists")
    }

    /// All labels.
    pub const LABELS: [&'static str; 21] = [
        "answered",
        "refused",
        "handshake_timeout",
        "full",
        "peer_closed",
        "peer_gone",
        "connection_lost",
        "violation",
        "bad_text",
        "empty_fragments",
        "too_big",
        "tls_handshake",
        "tls_violation",
        "tls_spent",
        "tls_truncated",
        "idle",
        "slow_consumer",
        "room_full",
        "drain",
        "overloaded",
        "internal",
    ];
}

const fn violation_label(code: CloseCode) -> &'static str {
    match code {
        CloseCode(1009) => "too_big",
        CloseCode(1008) => "empty_fragments",
        CloseCode(1007) => "bad_text",
        _ => "violation",
    }
}

const fn violation_text(code: CloseCode) -> &'static str {
    match code {
        CloseCode(1009) => "message over the limit",
        CloseCode(1007) => "text is not UTF-8",
        CloseCode(1008) => "too many empty fragments",
        _ => "protocol error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_label() {
        let reasons = [
            DisconnectReason::Answered,
            DisconnectReason::Refused(Refusal::HeadTooLarge),
            DisconnectReason::HandshakeTimeout,
            DisconnectReason::Full,
            DisconnectReason::PeerClosed,
            DisconnectReason::PeerGone,
            DisconnectReason::ConnectionLost,
            DisconnectReason::Violation(Violation::ReservedBits),
            DisconnectReason::Violation(Violation::InvalidUtf8),
            DisconnectReason::Violation(Violation::TooManyEmptyFragments),
            DisconnectReason::Violation(Violation::MessageTooBig),
            DisconnectReason::TlsHandshake,
            DisconnectReason::TlsViolation,
            DisconnectReason::TlsSpent,
            DisconnectReason::TlsTruncated,
            DisconnectReason::Idle,
            DisconnectReason::SlowConsumer,
            DisconnectReason::RoomFull,
            DisconnectReason::Drain,
            DisconnectReason::Overloaded,
            DisconnectReason::Internal,
        ];
        let indices: Vec<usize> = reasons.iter().map(|reason| reason.index()).collect();
        assert_eq!(
            indices,
            (0..DisconnectReason::LABELS.len()).collect::<Vec<_>>()
        );
        for reason in reasons {
            if let Some((code, _)) = reason.consequence().close {
                assert!(code.is_valid_on_wire(), "{reason:?}");
            }
        }
    }
}
