//! Tickets for an operator: which keys are trusted, and what a ticket has to say.
//!
//! Owns: the keys in force, claims, the time of day that they are held against. Must not know: requests. Invariant: a key
//! verifies signatures of its own algorithm and of no other, whatever a ticket says of itself; what is not understood
//! lets nobody in.

mod claims;
mod keys;

use std::path::PathBuf;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use parking_lot::RwLock;
use roomcast_protocol::upgrade::Refusal;

use self::claims::Claims;
use self::keys::Key;
pub use self::keys::Unusable;
use crate::limits::TICKET_LEEWAY_S;
use crate::shard::Tickets;

pub use self::claims::{Order, write};

/// The keys that are trusted, from files that may be read again.
#[derive(Debug)]
pub struct Keys {
    files: Vec<PathBuf>,
    current: RwLock<Arc<Vec<Key>>>,
}

impl Keys {
    /// Reads these files.
    ///
    /// # Errors
    ///
    /// The first that can't be used.
    pub fn load(files: Vec<PathBuf>) -> Result<Self, Unusable> {
        let current = RwLock::new(Arc::new(keys::read(&files)?));
        let keys = Self { files, current };
        keys.tell();
        Ok(keys)
    }

    /// Reads the files again. If one can't be used, all keys stay as they are.
    pub fn reload(&self) {
        match keys::read(&self.files) {
            Ok(keys) => {
                *self.current.write() = Arc::new(keys);
                self.tell();
            }
            Err(error) => {
                tracing::error!(
                    "the old ticket keys stay in use: {error}. They are tried again on SIGHUP"
                );
            }
        }
    }

    fn tell(&self) {
        tracing::info!(
            keys = self.current.read().len(),
            "ticket keys loaded: nobody joins without a ticket"
        );
    }
}

impl Tickets for Keys {
    fn judge(&self, ticket: &str, room: Option<&str>) -> Result<(), Refusal> {
        let header = decode_header(ticket).map_err(|_| Refusal::BadTicket)?;
        // What has to be understood (RFC 7515 section 4.1.11) is not understood here.
        if header.crit.is_some() {
            return Err(Refusal::BadTicket);
        }
        let keys = Arc::clone(&self.current.read());
        let fitting = keys.iter().filter(|key| key.may_have_signed(&header));
        let mut refused = Refusal::BadTicket;
        for key in fitting {
            let mut validation = Validation::new(key.algorithm);
            validation.leeway = TICKET_LEEWAY_S;
            validation.validate_nbf = true;
            // Whom else a ticket is for is no concern of a relay.
            validation.validate_aud = false;
            match decode::<Claims>(ticket, &key.verifies, &validation) {
                Ok(verified) => return verified.claims.admit(room),
                Err(error) => match refusal(error.kind()) {
                    // Perhaps another key's.
                    Refusal::BadTicket => {}
                    other => refused = other,
                },
            }
        }
        Err(refused)
    }
}

/// All but the signature's own faults are found behind a good signature.
fn refusal(error: &ErrorKind) -> Refusal {
    match error {
        ErrorKind::ExpiredSignature => Refusal::TicketExpired,
        ErrorKind::ImmatureSignature => Refusal::TicketEarly,
        ErrorKind::MissingRequiredClaim(_)
        | ErrorKind::InvalidClaimFormat(_)
        | ErrorKind::Json(_) => Refusal::TicketClaims,
        _ => Refusal::BadTicket,
    }
}

#[cfg(test)]
mod tests;
