//! Numbers of HTTP/2, beside those that its machine has.

/// Milliseconds after which a connection of HTTP/2 is asked whether it is there, and in which it has to answer (timer): as often as a
/// held stream says that it is.
pub const HTTP2_PING_MS: u32 = 15_000;

/// Milliseconds without a request after which it is told to go (timer): a page that polls asks every 20 s.
pub const HTTP2_IDLE_MS: u32 = 60_000;

/// Milliseconds after which a connection of a process that ends is looked at again (timer), whether all that was asked is answered.
pub const HTTP2_DRAIN_MS: u32 = 500;

/// Bytes of contents that the streams of one connection may hold together before they are whole (limit), beyond the first: another is
/// told to come again (503).
pub const HTTP2_CONTENT: usize = 256 * 1024;
