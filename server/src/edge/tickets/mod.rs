//! Tickets for an operator: which keys are trusted, and what a ticket has to say.
//!
//! Owns: the keys in force, claims, the time of day that they are held against. Must not know: requests. Invariant: a key
//! verifies signatures of its own algorithm and of no other, whatever a ticket says of itself; what is not understood
//! lets nobody in.

mod claims;
mod keys;
mod revoked;
mod verified;

use std::hash::RandomState;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use parking_lot::RwLock;
use roomcast_protocol::upgrade::Refusal;
use serde_json::{Map, Value};

use self::claims::{Claims, Seconds};
use self::keys::Key;
pub use self::keys::Unusable;
use self::revoked::Revoked;
use self::verified::{Hash, Verified};
use crate::limits::TICKET_REMEMBERED_BYTES;
use crate::shard::{Bearer, Pass, Tickets};

pub use self::claims::{Order, parse_listed, parse_rooms, write};

/// Where everything about tickets is read from.
#[derive(Debug, Default)]
pub struct Files {
    /// Keys; any of them may have signed.
    pub keys: Vec<PathBuf>,
    /// Which tickets were taken back.
    pub revoked: Option<PathBuf>,
}

/// The keys that are trusted, from files that may be read again.
#[derive(Debug)]
pub struct Keys {
    files: Files,
    /// Names of bearers.
    hasher: RandomState,
    current: RwLock<Arc<Trusted>>,
    /// How often they have been read.
    edition: AtomicU64,
}

/// What was read at one time, and what it has verified since: with other keys that means nothing any more.
#[derive(Debug)]
struct Trusted {
    keys: Vec<Key>,
    revoked: Revoked,
    verified: Verified,
}

impl Trusted {
    fn read(files: &Files, hasher: &RandomState) -> Result<Arc<Self>, Unusable> {
        let revoked = files.revoked.as_deref();
        let revoked = revoked.map(|file| Revoked::read(file, hasher));
        Ok(Arc::new(Self {
            keys: keys::read(&files.keys)?,
            revoked: revoked.transpose()?.unwrap_or_default(),
            verified: Verified::default(),
        }))
    }

    /// What a ticket says, if one of the keys signed it.
    fn verify(&self, ticket: &str) -> Result<Arc<Claims>, Refusal> {
        let hash = Hash::of(ticket);
        if let Some(claims) = self.verified.find(&hash) {
            return Ok(claims);
        }
        let header = decode_header(ticket).map_err(|_| Refusal::BadTicket)?;
        // What has to be understood (RFC 7515 section 4.1.11) is not understood here.
        if header.crit.is_some() {
            return Err(Refusal::BadTicket);
        }
        let fitting = self.keys.iter().filter(|key| key.may_have_signed(&header));
        let mut refused = Refusal::BadTicket;
        for key in fitting {
            let validation = signature_only(key.algorithm);
            match decode::<Claims>(ticket, &key.verifies, &validation) {
                Ok(verified) => {
                    let claims = Arc::new(verified.claims);
                    if ticket.len() <= TICKET_REMEMBERED_BYTES {
                        self.verified.remember(hash, &claims);
                    }
                    return Ok(claims);
                }
                // What is found behind a good signature is a fault of the claims; whoever signed it may look at them twice.
                Err(error) if is_of_claims(error.kind()) => {
                    let claims = decode::<Map<String, Value>>(ticket, &key.verifies, &validation);
                    refused = claims.map_or(Refusal::TicketClaims, |read| {
                        claims::unreadable(&read.claims)
                    });
                }
                // Perhaps another key's.
                Err(_) => {}
            }
        }
        Err(refused)
    }
}

/// Claims are looked at each time that a ticket comes, its signature only the first time. Whom else a ticket is for is no
/// concern of a relay.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

impl Keys {
    /// Reads these files.
    ///
    /// # Errors
    ///
    /// The first that can't be used.
    pub fn load(files: Files) -> Result<Self, Unusable> {
        let hasher = RandomState::new();
        let current = RwLock::new(Trusted::read(&files, &hasher)?);
        let keys = Self {
            files,
            hasher,
            current,
            edition: AtomicU64::new(0),
        };
        keys.tell();
        Ok(keys)
    }

    /// Reads the files again. If one can't be used, everything stays as it is.
    pub fn reload(&self) {
        match Trusted::read(&self.files, &self.hasher) {
            Ok(trusted) => {
                *self.current.write() = trusted;
                // Behind it: whoever sees this edition sees that list.
                self.edition.fetch_add(1, Ordering::Release);
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
        let current = self.current.read();
        let of = |algorithm| {
            let keys = current.keys.iter();
            keys.filter(|key| key.algorithm == algorithm).count()
        };
        tracing::info!(
            HS256 = of(Algorithm::HS256),
            ES256 = of(Algorithm::ES256),
            EdDSA = of(Algorithm::EdDSA),
            revoked = current.revoked.len(),
            "ticket keys loaded: nobody joins without a ticket"
        );
    }

    fn judge_at(&self, ticket: &str, room: Option<&str>, now: Seconds) -> Result<Pass, Refusal> {
        let trusted = Arc::clone(&self.current.read());
        trusted
            .verify(ticket)?
            .admit(room, now, &trusted.revoked, &self.hasher)
    }
}

impl Tickets for Keys {
    fn judge(&self, ticket: &str, room: Option<&str>) -> Result<Pass, Refusal> {
        self.judge_at(ticket, room, Seconds::now())
    }

    fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    fn is_revoked(&self, bearer: Bearer) -> bool {
        self.current.read().revoked.has(bearer)
    }
}

fn is_of_claims(error: &ErrorKind) -> bool {
    matches!(
        error,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_)
    )
}

#[cfg(test)]
mod tests;
