//! wss: what `docs/OPERATIONS.md` promises about TLS, over real sockets and from clients of other authors.

mod authority;
mod browser;
mod certificates;
mod clients;
mod drain;

mod halves;
mod hostile;
mod openssl;
mod ports;
mod resumption;
mod sealed;
mod session;
mod storms;
mod witness;

use crate::wire::{BINARY, Wire};

/// Sends these bytes from one to the other and back.
fn exchange(one: &mut Wire, other: &mut Wire, bytes: &[u8]) {
    one.message(BINARY, bytes);
    other.expect(BINARY, bytes);
    other.message(BINARY, bytes);
    one.expect(BINARY, bytes);
}
