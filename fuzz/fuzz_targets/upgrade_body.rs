//! The content of a request.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::protocol::upgrade_body(data));
