//! What a shard does, cell by cell: phase by input, then what needs several players.
//!
//! The shards are the production ones; sockets, mailboxes and time are those of the simulation, without its chance.

#[path = "../simulation/world/net.rs"]
#[allow(dead_code)] // the simulation uses the rest
mod net;
#[path = "../simulation/world/wire.rs"]
#[allow(dead_code)]
mod wire;

mod addresses;
mod announced;
mod away;
mod ends;
mod fanout;
mod finding;
mod guest;
mod heads;
mod homes;
mod http2;
mod lingering;
mod phases;
mod planes;
mod ready;
mod remote;
mod requests;
mod residence;
mod sessions;
mod slow;
mod stage;
mod tickets;
mod time;
