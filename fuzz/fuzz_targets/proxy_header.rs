//! The header by which a proxy says where a connection comes from.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::protocol::proxy_header(data));
