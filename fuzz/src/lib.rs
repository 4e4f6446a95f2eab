//! The bodies of the fuzz targets, as plain functions of bytes that panic when something is wrong.
//!
//! A module per crate under test, each with a table of its targets; `corpus/<target>/` holds the inputs that are
//! kept, and a test in the crate under test replays them without a fuzzer (it includes the module by its path, so a
//! module uses nothing but that crate). A new target is a function here, a line in its table, a file in
//! `fuzz_targets/`, a `[[bin]]`, and at least one input.

pub mod protocol;
