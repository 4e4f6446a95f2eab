//! The HTTP/1.1 upgrade to WebSocket (RFC 6455 section 4, RFC 9110, RFC 9112), server and client side.
//!
//! Owns the bytes of a request or response head: where it ends, whether it is well formed, whether it asks for a
//! WebSocket, and every answer this server gives before one exists. Must not know sockets, clocks, rooms or
//! frames: what comes behind the head is left alone.
//!
//! Invariant: no input panics, allocates while it is parsed, or is accepted in a shape that two HTTP
//! implementations could read differently. What is refused is refused with exactly one [`Refusal`].
//!
//! A server calls [`find_head_end`] whenever bytes came, [`parse_request`] once when that found the end, and then
//! one of [`write_accept`], [`write_response`], [`write_refusal`]; every answer but the 101 ends the connection, unless it
//! is a [`Reply`] that lets it go on. The content of a POST is taken by a [`Body`].
//!
//! ```
//! use roomcast_protocol::upgrade::{self, RequestKind};
//!
//! let received = b"GET /rooms/lobby HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
//!     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
//! let end = upgrade::find_head_end(received, 0)?.expect("the head is whole");
//! let request = upgrade::parse_request(&received[..end])?;
//! let RequestKind::Upgrade(handshake) = request.kind else { panic!("not an upgrade") };
//! let mut answer = Vec::new();
//! upgrade::write_accept(&mut answer, &handshake.accept, None);
//! assert!(answer.ends_with(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
//! # Ok::<(), upgrade::Refusal>(())
//! ```

mod body;
mod client;
mod fields;
mod forwarded;
mod head;
mod key;
mod refusal;
mod request;
mod response;
mod room_name;
mod status;
mod target;

pub use body::{Body, Framing, MAX_ASIDE};
pub use client::{ClientError, parse_client_response, redirect_location, write_client_request};
pub use fields::Protocols;
pub use forwarded::{Forwarded, HopField};
pub use head::{asks_for_head_only, find_head_end};
pub use key::{AcceptKey, ClientKey};
pub use refusal::{Claim, Refusal};
pub use request::{Request, RequestKind, Upgrade, parse_request};
pub use response::{
    Content, Readers, Reply, write_accept, write_content, write_continue, write_done,
    write_endless, write_refusal, write_refusal_for, write_reply, write_response,
};
pub use room_name::{RoomName, room_name};
pub use status::Status;

/// The most bytes a head may have, with its blank line; more is 431.
pub const MAX_HEAD: usize = 8192;

/// The most field lines a head may have; more is 431.
pub const MAX_FIELDS: usize = 100;
