//! The WebSocket protocol without I/O: HTTP upgrade, frames, masks, UTF-8; what a proxy may say before it; and `roomcast.v1` above it. Beside these, behind a feature, how both
//! programs read sizes and times from people.
//!
//! Owns: what bytes on the wire mean, for both roles (the server's and the load generator's).
//! Must not know: sockets, threads, clocks, rooms.
//! Invariant: no input makes anything in here panic, and no complete frame makes the data path allocate; what a
//! peer can make a [`frame::Decoder`] hold is bounded by [`frame::Rules::max_message`].

#![deny(unsafe_code)]

pub mod close;
pub mod events;
pub mod frame;
#[cfg(feature = "http2")]
pub mod http2;
pub mod mask;
pub mod proxy_header;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "units")]
pub mod units;
pub mod upgrade;
pub mod utf8;
pub mod v1;
