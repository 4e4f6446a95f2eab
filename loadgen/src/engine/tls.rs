//! How a client's bytes travel: as they are, or in TLS records.
//!
//! Owns the TLS session of one connection and the ciphertext that the socket did not take. Must not
//! know sockets, nor what the text means; how TLS works is `protocol`'s.
//! Invariant: an idle connection owns no buffer: it is empty and unallocated between records.

use roomcast_protocol::tls::{Breach, Client, Heard, Session, sealed_max};

use super::fault::Fault;
use super::trust::Secure;

/// How a client's bytes travel.
#[derive(Debug)]
pub(crate) enum Security {
    /// As they are.
    Plain,
    /// In TLS records.
    Tls(Box<Tls>),
}

impl Security {
    /// Whether the connection would be cut short if the server ended it now: TLS has an end of
    /// its own, which is the close_notify (RFC 8446 section 6.1).
    pub(crate) fn is_cut_short(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Tls(tls) => !tls.peer_closed(),
        }
    }
}

/// One TLS connection.
#[derive(Debug)]
pub(crate) struct Tls {
    session: Session<Client>,
    /// Ciphertext that the socket did not take; nothing is sealed while there is any.
    pub(crate) unsent: Vec<u8>,
    /// Ours has been sealed.
    closed: bool,
    /// The authorities were given with `--ca`.
    given: bool,
}

impl Tls {
    /// Begins a handshake, and adds its first flight to `out`.
    ///
    /// # Errors
    /// Only if the configuration allows no handshake at all.
    pub(crate) fn new(secure: &Secure, out: &mut Vec<u8>) -> Result<Self, Fault> {
        let session = secure.connector.connect(out);
        Ok(Self {
            session: session.map_err(|error| Fault::new(error, secure.given))?,
            unsent: Vec::new(),
            closed: false,
            given: secure.given,
        })
    }

    /// Whether the handshake is complete.
    pub(crate) fn is_secure(&self) -> bool {
        !self.session.is_handshaking()
    }

    /// Whether the handshake resumed a session; only known once it is complete.
    pub(crate) fn is_resumed(&self) -> bool {
        self.session.is_resumed()
    }

    /// Whether the server has sent its close_notify.
    pub(crate) fn peer_closed(&self) -> bool {
        self.session.heard() == Heard::Closed
    }

    /// Whether our own close_notify has been sealed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes every complete record out of `input`: text is added to `text`, and what must be
    /// answered to `out`. The rest of `input` is kept.
    ///
    /// # Errors
    /// What was wrong. `text` then has what came before it, and `out` the alert.
    #[inline]
    pub(crate) fn open(
        &mut self,
        input: &mut [u8],
        text: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match self.session.receive(input, text, out) {
            Heard::More | Heard::Closed => Ok(()),
            Heard::Breach(Breach::Handshake | Breach::Record) => Err(self.fault()),
        }
    }

    /// Seals `text` and adds the records to `out`.
    ///
    /// # Errors
    /// If the connection is closed or its keys are used up.
    pub(crate) fn seal(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.write(out, text.len(), |session, out| session.seal(text, out))
    }

    /// Seals our close_notify, once; after that nothing can be sealed.
    ///
    /// # Errors
    /// If the connection cannot say anything any more.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.write(out, 0, Session::close_notify)
    }

    /// Lets `seal` write at the end of `out`, where there is room for so much text.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        text: usize,
        seal: impl FnOnce(&mut Session<Client>, &mut [u8]) -> Option<usize>,
    ) -> Result<(), Fault> {
        let start = out.len();
        out.resize(start + sealed_max(text), 0);
        let sealed = seal(&mut self.session, &mut out[start..]);
        out.truncate(start + sealed.unwrap_or_default());
        sealed.map(|_| ()).ok_or_else(|| self.fault())
    }

    fn fault(&mut self) -> Fault {
        let error = self.session.take_error();
        error.map_or_else(Fault::over, |error| Fault::new(error, self.given))
    }
}

#[cfg(test)]
mod tests;
