//! Messages of roomcast.v1 as a client reads them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::protocol::v1_down(data));
