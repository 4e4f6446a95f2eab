//! The TLS machine in either role, with a hostile network between it and the other side.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::server::tls_transport(data));
