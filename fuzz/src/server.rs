//! Targets for `roomcast`: operations on whole shards, with players of either kind, and the TLS machine that it shares with
//! loadgen.

#[path = "../../server/tests/simulation/world/mod.rs"]
#[allow(
    dead_code,
    reason = "the simulation also plants faults and tells what a run was made of"
)]
mod world;

#[path = "../../server/tests/tls/machine.rs"]
#[allow(dead_code, reason = "the test also tells what its runs came to")]
mod machine;
#[path = "../../server/tests/tls/pair.rs"]
mod pair;

#[path = "../../server/tests/v1/model.rs"]
mod model;
#[path = "../../server/tests/v1/operations.rs"]
mod operations;
#[path = "../../server/tests/v1/stage.rs"]
#[allow(dead_code, reason = "the tests also ask for what a client heard")]
mod stage;

#[path = "../../server/tests/shard_table/guest.rs"]
mod guest;

use std::collections::BTreeSet;

use roomcast_protocol::http2::{Event, Machine, PREFACE, STREAMS_MAX};
use roomcast_protocol::upgrade;
use world::choices::{self, Choices};

/// A target's name, which is also that of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target of this module.
pub const TARGETS: [Target; 5] = [
    ("http2", http2),
    ("shard_operations", shard_operations),
    ("shard_players", shard_players),
    ("shard_sessions", shard_sessions),
    ("tls_transport", tls_transport),
];

/// Decisions that one input makes at most.
const STEPS: usize = 4_000;

/// The simulation, decided byte by byte: limits, then who connects, says, reads, breaks off and when, until the bytes are
/// used up; then everyone goes. The oracle judges.
pub fn shard_operations(data: &[u8]) {
    let (_, verdict) = world::run(Choices::Bytes(data), STEPS, None);
    if let Err(wrong) = verdict {
        panic!("{wrong}");
    }
}

/// One shard whose players speak roomcast.v1, decided byte by byte: who joins, says, sets, addresses, is lost and comes back by
/// its token, among strangers who send any packets and raw players; then everyone comes back, and goes. What each must have
/// heard is known.
pub fn shard_players(data: &[u8]) {
    operations::run(Choices::Bytes(data), STEPS);
}

/// One session whose requests arrive in pieces, break off and are sent again, decided byte by byte: nothing is lost or comes twice.
pub fn shard_sessions(data: &[u8]) {
    guest::run(data);
}

/// A connection of HTTP/2 behind its preface: two bytes say how it is cut and which streams are answered, the rest comes as it is.
/// Nothing panics, no more is held than may be, and what is gone is told once.
pub fn http2(data: &[u8]) {
    let Some((&[cut, answered], bytes)) = data.split_first_chunk() else {
        return;
    };
    let mut machine = Machine::new();
    let mut gone = BTreeSet::new();
    let mut answer = Vec::new();
    upgrade::write_done(&mut answer, true, upgrade::Readers::NoPage);
    let all = [PREFACE, bytes].concat();
    for (turn, bytes) in all.chunks(1 + usize::from(cut)).enumerate() {
        let mut asked = BTreeSet::new();
        let ended = machine.receive(bytes, turn as u64, &mut |event| match event {
            Event::Question { stream, .. } => {
                assert!(!gone.contains(&stream), "{stream} is gone");
                asked.insert(stream);
            }
            Event::Gone { stream } => assert!(gone.insert(stream), "{stream} is gone twice"),
            Event::Pong => {}
        });
        if ended.is_err() {
            return;
        }
        for stream in asked {
            match answered >> (stream / 2 % 8) & 1 {
                1 if machine.answer(stream, &answer) == answer.len() => machine.finish(stream),
                1 => machine.reset(stream),
                _ => {}
            }
        }
        match turn % 8 {
            3 => machine.left(),
            5 => drop(machine.ping()),
            _ => {}
        }
        assert!(machine.streams() <= STREAMS_MAX as usize);
        assert!(machine.held() < 1 << 20, "{}", machine.held());
    }
    machine.drain();
    let _ = machine.go_on(&mut |_| {});
}

/// The TLS machine, as server or client, against rustls's own other side, whose bytes are cut, changed, doubled and dropped on
/// the way: neither side opens anything but a beginning of what the other one said.
pub fn tls_transport(data: &[u8]) {
    let _ = machine::run(data);
}
