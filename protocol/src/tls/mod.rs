//! TLS without I/O, for both roles (feature `tls`), over rustls.
//!
//! Owns: the one machine from bytes to bytes that server and load generator share, and what certificates and keys in
//! PEM are. Must not know: files, sockets, HTTP, whom to trust. Invariant: only [`session`](self) knows rustls's
//! connection; who makes settings knows rustls's types for these. (rustls asks the system for the time of day by
//! itself, for certificates and for the age of tickets.)

pub mod pem;
mod session;

pub use self::session::{
    Acceptor, Breach, Client, Connector, Heard, RECORD_MAX, RECORD_PLAINTEXT, Role, Server,
    Session, sealed_max,
};
