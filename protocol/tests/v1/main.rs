//! `roomcast.v1`: its vectors, its document, its second implementation, properties of the codec, and the client machine.

mod coming_back;
mod document;
mod exactly_once;
mod hosts;
mod meaning;
mod packets;
mod properties;
mod python;
mod relay;
mod session;
mod states;
mod ticks;
mod vectors;
