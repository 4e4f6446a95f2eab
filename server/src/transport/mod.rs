//! Between the socket's bytes and WebSocket frames.
//!
//! Owns: how a connection's bytes are carried, and the wire format of what is sent. Must not know: rooms. Invariant: a
//! broadcast is encoded once per wire format and shared by every receiver.

use roomcast_protocol::frame::{self, MessageKind, Opcode};

/// How the bytes of a connection are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP as it is: what is read are frames, what is written are frames.
    Plain,
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
