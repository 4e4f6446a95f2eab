//! roomcast.v1 as a relay speaks it: one shard without sockets, a clock that moves when told to, and the client of
//! `protocol` on every wire.

#[path = "../simulation/world/choices.rs"]
mod choices;
mod ends;
mod events;
mod finding;
mod groups;
mod hosts;
mod impaired;
mod mixed;
mod model;
mod operations;
mod powers;
mod properties;
mod random;
mod random_hosts;
mod random_operations;
mod random_states;
mod resume;
mod snapshots;
mod stage;
mod states;
mod superseded;
mod ticks;
