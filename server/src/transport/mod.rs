//! Between the socket's bytes and WebSocket frames.
//!
//! Owns: how a connection's bytes are carried, and what messages look like in each dialect. Must not know: rooms.
//! Invariant: a message is one whole frame, whatever the dialect.

mod impaired;
mod security;

use roomcast_protocol::frame::{self, Decoder, Item, MessageKind, Opcode, Role, Rules};

use crate::delivery::Dialect;

pub use self::impaired::Impaired;
#[cfg(feature = "test-tls")]
pub use self::security::Played;
pub use self::security::{Acceptor, Breach, Heard, Security, Tls};

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// ws: HTTP from the first byte.
    Plain,
    /// wss: TLS from the first byte.
    Tls,
}

/// Appends a message as a dialect writes it.
pub fn encode_message(
    dialect: Dialect,
    out: &mut Vec<u8>,
    #[cfg_attr(not(feature = "test-dialect"), expect(unused_variables))] author: u32,
    kind: MessageKind,
    payload: &[u8],
) {
    match dialect {
        // One unfragmented frame.
        Dialect::Raw => frame::encode(out, kind.into(), payload),
        #[cfg(feature = "test-dialect")]
        Dialect::Test => {
            let named = [&author.to_be_bytes()[..], payload].concat();
            frame::encode(out, Opcode::Binary, &named);
        }
    }
}

/// Appends the header of a binary message of so many bytes, which follow; there is room for them then.
#[inline]
pub fn encode_binary_head(out: &mut Vec<u8>, len: usize) {
    frame::encode_head(out, Opcode::Binary, len);
}

/// Appends a ping without payload.
pub fn encode_ping(out: &mut Vec<u8>) {
    frame::encode(out, Opcode::Ping, &[]);
}

/// Appends the pong that answers a ping with this payload.
pub fn encode_pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame::encode(out, Opcode::Pong, payload);
}

/// Appends the pongs among these frames of ours, whole ones: a ping is answered, whatever else is dropped (RFC 6455
/// section 5.5.2).
pub fn keep_pongs(mut frames: &mut [u8], out: &mut Vec<u8>) {
    let rules = Rules {
        role: Role::Client,
        max_message: usize::MAX,
    };
    let mut decoder = Decoder::default();
    while let Ok(Some(item)) = decoder.next(&rules, &mut frames) {
        if let Item::Pong(payload) = item {
            encode_pong(out, payload);
        }
    }
}
