//! A server's answer, as a client reads it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::protocol::upgrade_response(data));
