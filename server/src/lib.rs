//! The Roomcast relay: rooms over WebSockets.
//!
//! `edge` (what an operator touches) starts `reactor`s (sockets, threads, the clock); each drives one `shard` (all
//! state of its connections, without I/O), in which `room` (who gets what) and `transport` (bytes and frames) meet
//! over `delivery` (encoded frames on their way). `control` answers operators and scrapers beside them. `docs/ARCHITECTURE.md` has the whole picture.

pub mod control;
pub mod delivery;
pub mod edge;
pub mod limits;
pub mod planted;
pub mod reactor;
pub mod room;
pub mod shard;
pub mod timer;
pub mod transport;
