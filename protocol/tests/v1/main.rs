//! `roomcast.v1`: its vectors, its document, its second implementation, and properties of the codec.

mod document;
mod meaning;
mod packets;
mod properties;
mod python;
mod vectors;
