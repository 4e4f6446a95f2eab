//! Messages of roomcast.v1 as a relay reads them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::protocol::v1_up(data));
