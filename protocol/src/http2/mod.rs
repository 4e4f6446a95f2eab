//! HTTP/2 without I/O, the server's role (feature `http2`), over the crate h2 (RFC 9113).
//!
//! Owns: every handle of h2, the pipes between it and the socket's bytes, and what a stream's request and answer are in
//! HTTP/1.1. Must not know: sockets, rooms, what is asked. Invariants: no handle leaves this module, and a stream is named by its
//! number, which is never used again, so nobody can misuse one that is gone; each future is polled by hand and none is woken;
//! nothing is told twice; what is held for a peer is bounded by [`OUTPUT_MAX`], [`STREAMS_MAX`] and [`BUFFER_MAX`].
//!
//! To its user a stream is a connection of HTTP/1.1 that brings one request: so all that judges requests judges these, and one
//! parser says what is well formed. RFC 8441 is not announced: browsers would put a room's WebSocket into the connection that all
//! requests share, where one lost packet stalls every tab.

mod answer;
mod machine;
mod paces;
mod pipe;
mod question;
#[cfg(test)]
mod tests;

pub use self::machine::{Ended, Event, Machine};

/// Streams that a peer may have open at once (limit, told in SETTINGS).
pub const STREAMS_MAX: u32 = 100;

/// Bytes that are held of one stream's answer until its window lets them go (limit).
pub const BUFFER_MAX: usize = 16 * 1024;

/// Bytes that wait for the socket beyond which nothing more is taken of an answer (limit). A frame may go beyond it.
pub const OUTPUT_MAX: usize = 64 * 1024;

/// Bytes of content that a peer may send unasked, on each stream and on all (limit, told in SETTINGS).
const WINDOW: u32 = 65_535;

/// Bytes of the fields of a request (limit, told in SETTINGS): as many as a head in HTTP/1.1 may have.
const FIELDS_MAX: u32 = 8 * 1024;

/// Bytes of the table by which a peer shortens its fields (limit, told in SETTINGS). The default of RFC 7541.
const TABLE: u32 = 4 * 1024;

/// What a client of HTTP/2 begins with (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
