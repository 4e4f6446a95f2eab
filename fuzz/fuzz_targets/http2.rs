//! Bytes of a connection of HTTP/2: nothing panics or holds too much, and what is gone is told once.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::server::http2(data));
