//! Every instruction set against the scalar loop.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::protocol::mask(data));
