//! The TLS transport, with a hostile network between it and a real client.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| roomcast_fuzz::server::tls_transport(data));
