//! Operations on whole shards, judged by the simulation's oracle.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::server::shard_operations(data));
