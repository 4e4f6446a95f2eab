//! A shard for unit tests: two members of one room, of which nothing is on its way.

use std::io::IoSlice;
use std::sync::Arc;

use super::{Common, Shard, Written};
use crate::limits::Limits;
use crate::transport::Port;

/// A player comes to a room of this name; its slot.
pub(super) fn seated(shard: &mut Shard, room: &str) -> u32 {
    comes(shard, room, "", b"")
}

/// The same of roomcast.v1, with its first packet right behind the request.
pub(super) fn joined(shard: &mut Shard, room: &str) -> u32 {
    let protocol = "Sec-WebSocket-Protocol: roomcast.v1\r\n";
    let join = b"\x82\x89\0\0\0\0\x48\x07\0\0\x03Ada\0";
    comes(shard, room, protocol, join)
}

fn comes(shard: &mut Shard, room: &str, field: &str, behind: &[u8]) -> u32 {
    let slot = shard.accept(Port::Plain, None);
    let request = format!(
        "GET /rooms/{room} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{field}\r\n"
    );
    shard.receive(slot, &mut [request.as_bytes(), behind].concat());
    slot
}

/// Both have come now, in the slots 0 and 1.
pub(super) fn members() -> Shard {
    let common = Arc::new(Common::new(Limits::default(), 1));
    let mut shard = Shard::new(common, 0, 0, 7);
    for _ in 0..2 {
        seated(&mut shard, "arena");
    }
    write(&mut shard);
    shard
}

/// Everything that waits leaves.
pub(super) fn write(shard: &mut Shard) {
    shard.freeze();
    while shard.next_write().is_some() {
        let len = |slices: &[IoSlice<'_>]| slices.iter().map(|slice| slice.len()).sum();
        let len = shard.pending().with_slices(len);
        shard.wrote(Written::Bytes(len));
    }
}
