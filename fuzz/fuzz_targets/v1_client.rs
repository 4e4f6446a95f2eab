//! The client machine of roomcast.v1.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::protocol::v1_client(data));
