//! The bodies of the fuzz targets, as plain functions of bytes that panic when something is wrong.
//!
//! A module per crate under test, each with a table of its targets; `corpus/<target>/` holds the inputs that are
//! kept, and a test in the crate under test replays them without a fuzzer (it includes the module by its path, so a
//! module uses nothing but that crate). A new target is a function here, a line in its table, a file in
//! `fuzz_targets/`, a `[[bin]]`, and at least five inputs.
//!
//! `cargo fuzz run --sanitizer none frame_server -- -max_total_time=60` runs one on a stable compiler, from this
//! directory or the one above. On a nightly one, `--sanitizer address` also watches the vector kernels' reads and
//! writes. What a run adds to `corpus/` is kept only if it reaches code that nothing else there does: merge it with
//! `-use_counters=0 -set_cover_merge=1`.

pub mod protocol;
pub mod server;
