//! TLS for both roles (feature `tls`).
//!
//! Owns: what certificates and keys in PEM are. Must not know: files, sockets, HTTP.

pub mod pem;
