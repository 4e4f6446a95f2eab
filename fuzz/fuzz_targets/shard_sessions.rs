//! Requests of a session, cut, lost and sent again: nothing is lost or comes twice.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::server::shard_sessions(data));
