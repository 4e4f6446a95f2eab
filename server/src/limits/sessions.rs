//! Bounds of sessions, whose frames go by requests.

use roomcast_protocol::frame::MAX_HEADER;

use super::{Limits, RECEIVE_BUFFER};

/// Milliseconds that a poll is held when there is nothing to answer (limit): below the timeouts of proxies, the shortest of
/// which are 30 s.
pub const POLL_HOLD_MS: u32 = 20_000;

/// Bytes of one answer to a poll (budget), unless the first frame alone has more.
pub const POLL_BYTES: usize = 64 * 1024;

/// Milliseconds after which a stream says that it is there (budget): as often as proxies have to see something.
pub const STREAM_PING_MS: u32 = 15_000;

/// Bytes after which a stream ends and its client asks again (limit): pages keep all of an answer in memory.
pub const STREAM_BYTES: usize = 1024 * 1024;

/// Milliseconds after which a stream ends, for the same reason (limit).
pub const STREAM_MS: u32 = 600_000;

/// Bytes of frames that a stream is given at once (budget), unless the first alone has more. As events, short ones are seven
/// times as long.
pub const STREAM_PORTION: usize = 16 * 1024;

/// Bytes of frames that were given to a stream and are kept for who comes back without them (limit); and for
/// [`STREAM_PING_MS`] at least, twice that at most.
pub const STREAM_KEPT: usize = 32 * 1024;

/// Milliseconds that an EventSource waits before it comes back (budget), up to twice as many: not all at once.
pub const STREAM_RETRY_MS: u32 = 500;

/// Milliseconds without a request after which the player of a session in a raw room is gone (limit): a poll that was lost, and
/// a client's own pause before it asks again. (In roomcast.v1 it is [`HEARD_WITHIN_MS`](super::HEARD_WITHIN_MS), and the player is away.)
pub const SESSION_SILENCE_MS: u32 = 30_000;

/// Milliseconds for which an ended session is remembered (limit, and [`SESSIONS_ENDED`]): who asks again is told why it ended.
pub const SESSION_ENDED_MS: u32 = 30_000;

/// Ended sessions of one reactor that are remembered (limit): the first of more than that are forgotten early, with what
/// nobody has fetched.
pub const SESSIONS_ENDED: usize = 512;

/// Polls of one reactor that are answered in one iteration (budget): some 64 MiB at most, most often a hundredth of that.
pub const POLL_BUDGET: usize = 1024;

/// Milliseconds in which what came up has to be heard (limit); else 503, and the client sends the same again.
pub const UP_VERDICT_MS: u32 = 5_000;

/// Milliseconds that a connection is kept behind an answer (limit). Browsers ask again at once or not at all.
pub const ANSWERED_MS: u32 = 30_000;

/// Bytes for which a question counts that one reactor asks another, beside its content (budget).
pub const REMOTE_ASK: usize = 256;

/// Bytes of questions of one reactor that another one has not answered, held polls among them (limit): the next is told 503.
pub const REMOTE_ASKS: usize = 8 * 1024 * 1024;

/// Bytes of answers on their way from one reactor to another (limit, unless one alone is larger): what finds no room waits as
/// frames of its session.
pub const REMOTE_ANSWERS: usize = 1024 * 1024;

/// Bytes of one answer that are on their way to another reactor and not taken (limit), where it crosses in pieces.
pub const LINK_CREDIT: usize = 64 * 1024;

/// Bytes of all such answers on their way from one reactor to another one (limit); one piece may go beyond it.
pub const LINKS_CREDIT: usize = 8 * 1024 * 1024;

/// Milliseconds without a piece after which such an answer is given up (timer): a stream says every 15 s that it is there.
pub const LINK_SILENCE_MS: u32 = 40_000;

/// Connections of one session that do not count for its address (limit): a poll, what goes up, and one of each that was cut and
/// is not known to be.
pub const SESSION_CONNECTIONS: usize = 4;

/// Bytes of frames for a session that speaks roomcast.v1 which were not acknowledged (limit, beyond which it takes no more);
/// those that its client has not got leave from the room's log. In raw rooms it is [`Limits::outbox_bytes_max`].
const SESSION_BYTES: usize = 64 * 1024;

/// Bytes of a request's content where only a ticket is expected, or nothing that matters (limit).
pub const TICKET_BYTES: usize = 8 * 1024;

// A stream that is read is heard of before it would be missed, and what it is given fits beside what is kept.
const _: () = {
    assert!(STREAM_PING_MS < SESSION_SILENCE_MS && SESSION_SILENCE_MS < STREAM_MS);
    assert!(2 * POLL_BYTES <= REMOTE_ANSWERS && 2 * RECEIVE_BUFFER <= REMOTE_ASKS);
    assert!(STREAM_PORTION <= STREAM_KEPT && STREAM_KEPT < SESSION_BYTES);
};

impl Limits {
    /// Bytes of frames that a session holds before it takes no more.
    pub fn session_bytes(&self, v1: bool) -> usize {
        if v1 {
            SESSION_BYTES
        } else {
            self.outbox_bytes_max
        }
    }

    /// Bytes of frames that may come up in one request (limit): some, or one of the largest.
    pub fn up_bytes(&self) -> usize {
        RECEIVE_BUFFER.max(self.max_message.saturating_add(MAX_HEADER))
    }
}
