//! `roomcast.v1`: the packets of `docs/PROTOCOL.md` and a client's side of a session, without I/O.
//!
//! Owns: what the bytes of a message mean, for both roles ([`up`] from the client, [`down`] from the relay), every bound
//! of the format, and [`client`], the machine that takes a client's session through lost connections.
//! Must not know: WebSocket frames, sockets, clocks, rooms.
//! Invariant: no bytes make anything in here panic; what is decoded borrows from the message and allocates nothing;
//! there is one encoding of everything, and decoding refuses every other.

mod act;
mod bytes;
pub mod client;
pub mod down;
mod groups;
mod list;
mod malformed;
mod pairs;
pub mod up;

pub use bytes::{Name, Payload, varint_len, write_varint};
pub use groups::Groups;
pub use list::{Change, Changed, Element, Guard, Items, List, Property};
pub use malformed::{Fault, Malformed};
pub use pairs::{PairValue, Pairs, limit, power, setting};

/// The subprotocol's name, as it stands in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "roomcast.v1";

/// The version of `docs/PROTOCOL.md` that this is, the number behind the dot.
pub const MINOR: u64 = 1;

/// The largest number that a varint carries: what a double holds exactly, for clients in JavaScript.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Bytes of the longest varint.
pub const VARINT_BYTES_MAX: usize = 8;

/// Bytes of a name, or of the key of a property, at most.
pub const NAME_BYTES_MAX: usize = 64;

/// Bytes of the value of a property, at most.
pub const VALUE_BYTES_MAX: usize = 4096;

/// Properties in one packet, at most.
pub const PROPERTIES_MAX: usize = 64;

/// Players in the list of an event, at most.
pub const IDS_MAX: usize = 256;

/// Groups in one packet, at most.
pub const GROUPS_MAX: usize = 256;

/// Bytes of a bundle that has more than one packet, at most.
pub const BUNDLE_BYTES_MAX: usize = 16 * 1024;

/// Ticks of a room in a second, at most.
pub const TICK_HZ_MAX: u64 = 128;

/// The number of a host in the life of its room: it grows whenever the host changes.
pub type Term = u64;

/// The key of a state.
pub type Key = u32;

/// Milliseconds by which impairment delays, at most, and as many again by jitter.
pub const DELAY_MS_MAX: u64 = 10_000;

/// Milliseconds until impairment cuts a connection, at most.
pub const CUT_MS_MAX: u64 = 600_000;

/// A player, by its number in the life of its room.
pub type PlayerId = std::num::NonZeroU32;

/// Whose a property is, or who wrote it: a player, or (None) the room itself.
pub type Owner = Option<PlayerId>;

/// 64 random bits, new in each life of a room.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Life(pub [u8; 8]);

/// What proves that a client is a player. A secret: its `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub [u8; 16]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}
