//! Plain or TLS: how the bytes of a connection are carried.
//!
//! Owns: which machine opens and seals. Must not know: frames, rooms, sockets, and how TLS works. Invariant: the shard
//! can't tell rustls from what plays it in the simulation, where rustls's own randomness would break seeds. Only tests can
//! have that (feature `test-tls`): a program has no way to carry anything but plain bytes and rustls's records.

use std::fmt;
#[cfg(feature = "test-tls")]
use std::sync::Arc;

use roomcast_protocol::tls::{self, Server, Session};
pub use roomcast_protocol::tls::{Breach, Heard};

/// How the bytes of a connection are carried.
#[derive(Debug)]
pub enum Security {
    /// TCP as it is: what is read are frames, what is written are frames.
    Plain,
    /// Frames in TLS records.
    Tls(Box<Tls>),
}

/// One TLS session.
#[derive(Debug)]
#[cfg_attr(
    feature = "test-tls",
    expect(
        clippy::large_enum_variant,
        reason = "it is boxed as a whole, and all that are many are of the large one"
    )
)]
pub enum Tls {
    /// rustls's.
    Session(Session<Server>),
    /// A stand-in.
    #[cfg(feature = "test-tls")]
    Played(Box<dyn Played>),
}

/// What stands in for a TLS session: it behaves as [`Session`] does.
#[cfg(feature = "test-tls")]
pub trait Played: fmt::Debug + Send {
    /// As [`Session::receive`].
    fn receive(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>, answers: &mut Vec<u8>) -> Heard;
    /// As [`Session::seal`].
    fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Option<usize>;
    /// As [`Session::close_notify`].
    fn close_notify(&mut self, out: &mut [u8]) -> Option<usize>;
    /// As [`Session::heard`].
    fn heard(&self) -> Heard;
    /// As [`Session::is_handshaking`].
    fn is_handshaking(&self) -> bool;
}

/// What TLS connections begin with, shared by all reactors.
#[derive(Clone)]
pub struct Acceptor(Kind);

#[derive(Clone)]
enum Kind {
    Sessions(tls::Acceptor),
    #[cfg(feature = "test-tls")]
    Played(Arc<dyn Fn() -> Box<dyn Played> + Send + Sync>),
}

impl Acceptor {
    /// A stand-in for each connection.
    #[cfg(feature = "test-tls")]
    pub fn played(accept: impl Fn() -> Box<dyn Played> + Send + Sync + 'static) -> Self {
        Self(Kind::Played(Arc::new(accept)))
    }

    /// A session that awaits its first byte; nothing if the settings allow none.
    pub fn accept(&self) -> Option<Box<Tls>> {
        let tls = match &self.0 {
            Kind::Sessions(acceptor) => Tls::Session(acceptor.accept().ok()?),
            #[cfg(feature = "test-tls")]
            Kind::Played(accept) => Tls::Played(accept()),
        };
        Some(Box::new(tls))
    }
}

impl From<tls::Acceptor> for Acceptor {
    fn from(acceptor: tls::Acceptor) -> Self {
        Self(Kind::Sessions(acceptor))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

impl Tls {
    /// See [`Session::receive`].
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        answers: &mut Vec<u8>,
    ) -> Heard {
        match self {
            Self::Session(session) => {
                let heard = session.receive(bytes, plain, answers);
                if let Some(error) = session.take_error() {
                    tracing::debug!(%error, handshake = session.is_handshaking(), "TLS session refused");
                }
                heard
            }
            #[cfg(feature = "test-tls")]
            Self::Played(session) => session.receive(bytes, plain, answers),
        }
    }

    /// See [`Session::seal`].
    pub fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Option<usize> {
        match self {
            Self::Session(session) => session.seal(plain, out),
            #[cfg(feature = "test-tls")]
            Self::Played(session) => session.seal(plain, out),
        }
    }

    /// See [`Session::close_notify`].
    pub fn close_notify(&mut self, out: &mut [u8]) -> Option<usize> {
        match self {
            Self::Session(session) => session.close_notify(out),
            #[cfg(feature = "test-tls")]
            Self::Played(session) => session.close_notify(out),
        }
    }

    /// See [`Session::heard`].
    pub fn heard(&self) -> Heard {
        match self {
            Self::Session(session) => session.heard(),
            #[cfg(feature = "test-tls")]
            Self::Played(session) => session.heard(),
        }
    }

    /// See [`Session::is_handshaking`].
    pub fn is_handshaking(&self) -> bool {
        match self {
            Self::Session(session) => session.is_handshaking(),
            #[cfg(feature = "test-tls")]
            Self::Played(session) => session.is_handshaking(),
        }
    }

    /// See [`Session::is_spent`]; a stand-in never is.
    pub fn is_spent(&self) -> bool {
        match self {
            Self::Session(session) => session.is_spent(),
            #[cfg(feature = "test-tls")]
            Self::Played(_) => false,
        }
    }

    /// See [`Session::is_resumed`]; a stand-in never is.
    pub fn is_resumed(&self) -> bool {
        match self {
            Self::Session(session) => session.is_resumed(),
            #[cfg(feature = "test-tls")]
            Self::Played(_) => false,
        }
    }
}
