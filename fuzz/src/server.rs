//! Targets for `roomcast`: operations on whole shards.

#[path = "../../server/tests/simulation/world/mod.rs"]
#[allow(
    dead_code,
    reason = "the simulation also plants faults and tells what a run was made of"
)]
mod world;

use world::choices::Choices;

/// A target's name, which is also that of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target of this module.
pub const TARGETS: [Target; 1] = [("shard_operations", shard_operations)];

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
