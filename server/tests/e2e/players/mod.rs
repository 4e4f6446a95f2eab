//! WebSocket clients that nobody here wrote, steered alike: what a test asks of one it asks of all.

mod puppet;
mod tungstenite;

pub(crate) use puppet::Puppet;

pub(crate) use self::tungstenite::Tungstenite;

/// What a message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// A piece of a fragmented message as it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    /// A fragment; text may be cut inside a character.
    Data(&'a [u8]),
    /// A ping between two fragments.
    Ping(&'a [u8]),
}

/// What a client says happened to it.
#[derive(PartialEq, Eq)]
pub(crate) enum Event {
    Open,
    Message(Kind, Vec<u8>),
    Pong(Vec<u8>),
    Closed(u16),
    Refused(u16),
    Failed(String),
}

impl std::fmt::Debug for Event {
    /// Says how long a message is instead of listing 64 KiB.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => write!(f, "open"),
            Self::Message(kind, bytes) => {
                write!(
                    f,
                    "{kind:?} of {} bytes, {:?}…",
                    bytes.len(),
                    &bytes[..bytes.len().min(16)]
                )
            }
            Self::Pong(bytes) => write!(f, "pong {bytes:?}"),
            Self::Closed(code) => write!(f, "closed with {code}"),
            Self::Refused(status) => write!(f, "refused with {status}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// One connection of such a client, already open.
pub(crate) trait Player {
    /// Which client, and which of its connections.
    fn name(&self) -> &str;
    fn send(&mut self, kind: Kind, bytes: &[u8]);
    fn fragments(&mut self, kind: Kind, parts: &[Part<'_>]);
    fn ping(&mut self, bytes: &[u8]);
    fn close(&mut self, code: u16, reason: &str);
    /// The next event, within the deadline.
    fn next(&mut self) -> Event;

    /// The next event must be this one.
    fn expect(&mut self, event: &Event, why: &str) {
        let came = self.next();
        assert!(
            came == *event,
            "{}: {why}: expected {event:?}, but: {came:?}",
            self.name()
        );
    }
}

/// What is to be installed for the clients that are not Rust; the tests name it when they miss it.
const INSTALL: &str = "the third-party clients are not installed: run `scripts/test setup` once";

/// Text of exactly so many bytes, with characters of every length.
pub(crate) fn text(len: usize) -> Vec<u8> {
    let mut out = String::new();
    for c in "aé€😀".chars().cycle() {
        if out.len() + c.len_utf8() > len {
            break;
        }
        out.push(c);
    }
    out.extend(std::iter::repeat_n('.', len - out.len()));
    out.into_bytes()
}

/// Bytes in which a shift, a swap or a repetition shows.
pub(crate) fn binary(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|at| (at.wrapping_mul(0x9E37_79B1) >> 23) as u8)
        .collect()
}

/// A payload of this kind and size.
pub(crate) fn payload(kind: Kind, len: usize) -> Vec<u8> {
    match kind {
        Kind::Text => text(len),
        Kind::Binary => binary(len),
    }
}
