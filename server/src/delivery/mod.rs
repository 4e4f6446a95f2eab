//! What `room` and `transport` have in common: encoded messages on their way to receivers.
//!
//! Owns: the batch (messages of one iteration, encoded once for each dialect, shared by all receivers), and the outbox
//! (what one receiver has not taken yet). Must not know: rooms, sockets, what a frame header looks like. Invariant:
//! bytes leave in the order in which they were queued, and a frame of which one byte has left is never dropped.

mod batch;
mod dialect;
mod encoding;
mod outbox;

pub use batch::{Audience, Batch, BatchPool, Class, Ranges};
pub use dialect::{Dialect, Speakers};
pub use encoding::Encoding;
pub use outbox::{Outbox, Queued};
