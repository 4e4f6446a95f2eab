//! wss: what `docs/OPERATIONS.md` promises about TLS, over real sockets and from clients of other authors.

mod browser;
mod clients;
