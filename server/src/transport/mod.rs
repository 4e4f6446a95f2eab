//! Between the socket's bytes and WebSocket frames.
//!
//! Owns: how a connection's bytes are carried, and the wire format of what is sent. Must not know: rooms. Invariant: a
//! broadcast is encoded once per wire format and shared by every receiver.

mod tls;

use roomcast_protocol::frame::{self, MessageKind, Opcode};

pub use self::tls::{Breach, Heard, SEALED_MAX, Tls};

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// ws: HTTP from the first byte.
    Plain,
    /// wss: TLS from the first byte.
    Tls,
}

/// How the bytes of a connection are carried.
#[derive(Debug)]
pub enum Transport {
    /// TCP as it is: what is read are frames, what is written are frames.
    Plain,
    /// Frames in TLS records.
    Tls(Box<Tls>),
}

/// Appends a message as one unfragmented frame.
pub fn encode_message(out: &mut Vec<u8>, kind: MessageKind, payload: &[u8]) {
    frame::encode(out, kind.into(), payload);
}

/// Appends a ping without payload.
pub fn encode_ping(out: &mut Vec<u8>) {
    frame::encode(out, Opcode::Ping, &[]);
}

/// Appends the pong that answers a ping with this payload.
pub fn encode_pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame::encode(out, Opcode::Pong, payload);
}
