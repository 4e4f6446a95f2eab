//! What `room` and `transport` have in common: encoded frames on their way to receivers.
//!
//! Owns: the batch (frames of one iteration, encoded once, shared by all receivers), and the outbox (what one
//! receiver has not taken yet). Must not know: rooms, sockets, what a frame header looks like. Invariant: bytes leave
//! in the order in which they were queued, and a frame of which one byte has left is never dropped.

mod batch;
mod outbox;

pub use batch::{Batch, BatchPool, Class};
pub use outbox::{Outbox, Queued};
