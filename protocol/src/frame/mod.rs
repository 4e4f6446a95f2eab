//! WebSocket frames (RFC 6455 section 5): what they are made of, and what may be wrong with them.
//!
//! Owns: opcodes, roles, rules, violations; [`Decoder`] and the `encode` functions.
//! Must not know: what a message is for, or what is done about a violation beyond its close code.
//! Invariant: any split of the input gives the same items and the same violation.

mod decode;
mod encode;
mod head;
mod partial;
mod walk;

pub use decode::{Decoder, Item};
pub use encode::{Header, encode, encode_close, encode_head, encode_masked, encoded_len, header};
pub use walk::{first_len, parts};

use crate::close::CloseCode;

/// The longest header: two bytes, an eight-byte length, a masking key.
pub const MAX_HEADER: usize = 14;

/// The longest payload of a close, ping or pong frame (RFC 6455 section 5.5), in bytes.
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// Fragments without payload that one message may have. Whoever flushes between pieces sends a few; they cost no memory, so
/// nothing else would ever end a message made of them.
pub const MAX_EMPTY_FRAGMENTS: u8 = 64;

/// What a frame is (RFC 6455 section 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message begun before.
    Continuation = 0,
    /// UTF-8 text, or the first fragment of it.
    Text = 1,
    /// Bytes, or the first fragment of them.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// A question that a pong answers.
    Ping = 9,
    /// The answer to a ping, or a heartbeat.
    Pong = 10,
}

impl Opcode {
    /// The opcode with this number; None for the reserved ones.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Close, ping or pong: short, never fragmented, allowed between the fragments of a message.
    #[must_use]
    #[inline]
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// The two kinds of message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl From<MessageKind> for Opcode {
    #[inline]
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::Text,
            MessageKind::Binary => Self::Binary,
        }
    }
}

/// Which side we are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// We are the server: the peer must mask every frame.
    Server,
    /// We are the client: the peer must not mask any.
    Client,
}

/// What is the same for many connections; lent to [`Decoder::next`] so that a connection does not pay for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Which side we are.
    pub role: Role,
    /// The longest message, in bytes of payload; of a fragmented one, the sum of its fragments.
    pub max_message: usize,
}

/// What the peer did wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// One of RSV1-3 is set, though no extension was agreed on.
    #[error("reserved bits are set and no extension was negotiated")]
    ReservedBits,
    /// Opcode 3-7 or 11-15.
    #[error("opcode is reserved")]
    UnknownOpcode,
    /// A client's frame without a mask.
    #[error("frame from a client is not masked")]
    UnmaskedFrame,
    /// A server's frame with a mask.
    #[error("frame from a server is masked")]
    MaskedFrame,
    /// A length in a longer form than it needs.
    #[error("payload length is not in its shortest form")]
    NonMinimalLength,
    /// The top bit of a 64-bit length is set.
    #[error("payload length has its top bit set")]
    LengthOverflow,
    /// A control frame of more than 125 bytes.
    #[error("control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A control frame without FIN.
    #[error("control frame is fragmented")]
    ControlFragmented,
    /// A continuation where no message was begun.
    #[error("continuation frame without a message to continue")]
    UnexpectedContinuation,
    /// A new message before the fragmented one ended.
    #[error("new message before the fragmented one was finished")]
    ExpectedContinuation,
    /// Text, or a close reason, that is not UTF-8.
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// More than [`Rules::max_message`], judged on the declared length.
    #[error("message is over the size limit")]
    MessageTooBig,
    /// More than [`MAX_EMPTY_FRAGMENTS`] fragments of a message without payload.
    #[error("message has over 64 empty fragments")]
    TooManyEmptyFragments,
    /// A close payload of one byte.
    #[error("close frame has a payload of one byte")]
    BadCloseLength,
    /// A close code that must not be sent.
    #[error("close code must not be sent in a close frame")]
    BadCloseCode,
}

impl Violation {
    /// What to close the connection with: 1002, 1007, 1008 or 1009.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig => CloseCode::TOO_BIG,
            Self::TooManyEmptyFragments => CloseCode::POLICY,
            Self::ReservedBits
            | Self::UnknownOpcode
            | Self::UnmaskedFrame
            | Self::MaskedFrame
            | Self::NonMinimalLength
            | Self::LengthOverflow
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::BadCloseLength
            | Self::BadCloseCode => CloseCode::PROTOCOL_ERROR,
        }
    }
}
