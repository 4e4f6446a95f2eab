//! What `room` and `transport` have in common: encoded messages on their way to receivers.
//!
//! Owns: the batch (messages of one iteration, encoded once for each dialect, shared by all receivers), a player's lanes
//! (what it has not taken yet) and a connection's outbox (what leaves before that: the rest of a frame that has begun to
//! leave, its own answers, records). Must not know: rooms, sockets, what a frame header looks like. Invariant: what one
//! of them holds leaves in the order in which it came, and a frame of which one byte has left is never dropped.

mod batch;
mod dialect;
mod encoding;
mod lanes;
mod outbox;
mod queue;
mod said;

pub use batch::{Audience, Batch, BatchPool, Class};
pub use dialect::{Dialect, Speakers};
pub use encoding::Encoding;
pub use lanes::Lanes;
pub use outbox::Outbox;
pub use said::Said;
