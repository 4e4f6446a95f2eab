//! One client: its connection and how far it is.
//!
//! Owns a connection's state. Must not know the other clients, nor how anything is counted.
//! Invariant: `sequence + skipped <= due`; the difference is what still has to be written.

use mio::net::TcpStream;
use roomcast_protocol::frame::{self, Decoder};
use roomcast_protocol::upgrade::ClientKey;

use super::clock::Nanos;
use super::plan::{ClientPlan, Role};
use super::session::Speech;
use super::tls::Security;

/// What an outbox holds at most beside the rest of one message: pongs that the server does not
/// read. Further ones are dropped (RFC 6455 section 5.5.3 allows it).
const OUTBOX_CONTROL_MAX: usize = 4 * 1024;

/// How far a connection is.
#[derive(Debug)]
pub(crate) enum Phase {
    /// There is none.
    Away,
    /// TCP, begun at this time.
    Connecting(Nanos),
    /// The TLS handshake.
    Securing {
        /// When connecting began.
        connecting_since: Nanos,
        /// When TCP was connected.
        since: Nanos,
    },
    /// The request is on its way.
    Upgrading(Box<Upgrading>),
    /// The join of `roomcast.v1` has not been answered.
    Greeting {
        /// When connecting began.
        connecting_since: Nanos,
        /// When the upgrade was asked for.
        since: Nanos,
    },
    /// In the room.
    Joined,
    /// A close frame was sent.
    Leaving {
        /// The server's close frame has come.
        answered: bool,
    },
}

impl Phase {
    /// On the way in, wherever.
    pub(crate) fn is_entering(&self) -> bool {
        matches!(
            self,
            Self::Connecting(_)
                | Self::Securing { .. }
                | Self::Upgrading(_)
                | Self::Greeting { .. }
        )
    }
}

/// A handshake.
#[derive(Debug)]
pub(crate) struct Upgrading {
    /// When connecting began.
    pub(crate) connecting_since: Nanos,
    /// When the request was written.
    pub(crate) since: Nanos,
    /// What the answer is judged by.
    pub(crate) key: ClientKey,
    /// What has come of the answer.
    pub(crate) answer: Vec<u8>,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) plan: ClientPlan,
    pub(crate) phase: Phase,
    pub(crate) stream: Option<TcpStream>,
    /// What its bytes travel in.
    pub(crate) security: Security,
    pub(crate) decoder: Decoder,
    /// What its messages are.
    pub(crate) speech: Speech,
    /// What must be written before anything else: the rest of a message, and control frames.
    pub(crate) outbox: Vec<u8>,
    /// How much of the outbox is the rest of a message.
    pub(crate) rest: usize,
    /// Messages that are written in part: the one whose rest is in the outbox, or those that are
    /// sealed in ciphertext which the socket did not take.
    pub(crate) begun: u32,
    /// `skipped` when they were begun: tells when they were due.
    pub(crate) begun_skipped: u32,
    /// Messages that have fallen due.
    pub(crate) due: u32,
    /// Messages wholly written: the next one's sequence number.
    pub(crate) sequence: u32,
    /// Messages that fell due while there was no connection: never to be written.
    pub(crate) skipped: u32,
    /// The socket took less than it was given; it will become writable.
    pub(crate) blocked: bool,
    /// Does not read now.
    pub(crate) paused: bool,
    /// An event came while it was paused.
    pub(crate) readable: bool,
    /// It is on the thread's list of those to read without an event.
    pub(crate) queued: bool,
    /// The server will send no more: read to the end, whatever a short read says.
    pub(crate) ending: bool,
    /// Counts connections and leaves, so that old timeouts are known.
    pub(crate) attempt: u32,
}

impl Client {
    /// Not connected.
    pub(crate) fn new(plan: ClientPlan, speech: Speech) -> Self {
        Self {
            plan,
            phase: Phase::Away,
            stream: None,
            security: Security::Plain,
            decoder: Decoder::default(),
            speech,
            outbox: Vec::new(),
            rest: 0,
            begun: 0,
            begun_skipped: 0,
            due: 0,
            sequence: 0,
            skipped: 0,
            blocked: false,
            paused: false,
            readable: false,
            queued: false,
            ending: false,
            attempt: 0,
        }
    }

    /// Whether it is healthy.
    #[inline]
    pub(crate) fn is_healthy(&self) -> bool {
        self.plan.role == Role::Healthy
    }

    /// Whether it is in its room.
    #[inline]
    pub(crate) fn is_joined(&self) -> bool {
        matches!(self.phase, Phase::Joined)
    }

    /// Whether what falls due will be written: it is in its room, or will be back there.
    #[inline]
    pub(crate) fn is_playing(&self) -> bool {
        self.is_joined() || self.speech.is_lost()
    }

    /// Messages that are due and not wholly written.
    #[inline]
    pub(crate) fn pending(&self) -> u32 {
        self.due - self.skipped - self.sequence
    }

    /// Gives up what is pending but has not been begun.
    pub(crate) fn skip_pending(&mut self) {
        self.skipped += self.pending() - self.begun;
    }

    /// Forgets the connection, who it was, and what is pending.
    pub(crate) fn reset(&mut self) {
        self.begun = 0;
        self.skip_pending();
        self.speech.forget();
        self.disconnect();
    }

    /// Forgets the connection. (It may still be on a list of those to read.)
    pub(crate) fn disconnect(&mut self) {
        self.rest = 0;
        self.begun = 0;
        self.phase = Phase::Away;
        self.stream = None;
        self.security = Security::Plain;
        self.decoder = Decoder::default();
        self.outbox = Vec::new();
        self.blocked = false;
        self.readable = false;
        self.ending = false;
        self.attempt = self.attempt.wrapping_add(1);
    }

    /// Queues the answer to a ping.
    pub(crate) fn pong(&mut self, payload: &[u8], key: [u8; 4]) {
        if self.outbox.len() - self.rest < OUTBOX_CONTROL_MAX {
            frame::encode_masked(&mut self.outbox, frame::Opcode::Pong, payload, key);
        }
    }
}
