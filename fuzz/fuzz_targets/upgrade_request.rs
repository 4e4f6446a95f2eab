//! A request in pieces, as a server reads it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::protocol::upgrade_request(data));
