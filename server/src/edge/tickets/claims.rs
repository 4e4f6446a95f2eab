//! What a ticket says.

use std::path::PathBuf;
use std::time::SystemTime;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roomcast_protocol::upgrade::Refusal;
use serde::{Deserialize, Serialize};

use super::keys::{Unusable, secret};
use crate::limits::TICKET_LEEWAY_S;

/// The only role that there is.
const PLAYER: &str = "player";

/// Seconds since 1970, which a ticket may also say with a fraction (RFC 7519 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "f64", into = "u64")]
pub(super) struct Seconds(pub(super) u64);

impl From<f64> for Seconds {
    fn from(seconds: f64) -> Self {
        Self(seconds as u64)
    }
}

impl From<Seconds> for u64 {
    fn from(Seconds(seconds): Seconds) -> Self {
        seconds
    }
}

impl Seconds {
    /// By the clock of this machine.
    pub(super) fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_secs()))
    }

    fn later(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// The claims of a ticket, as far as a relay heeds them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    sub: String,
    /// Names of rooms, or their beginnings with a `*` behind them.
    rooms: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    exp: Seconds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<Seconds>,
}

impl Claims {
    /// Whether they let their bearer into this room, or merely in.
    pub(super) fn admit(&self, room: Option<&str>, now: Seconds) -> Result<(), Refusal> {
        if self.exp.later(TICKET_LEEWAY_S) <= now {
            return Err(Refusal::TicketExpired);
        }
        if self.nbf.is_some_and(|nbf| nbf > now.later(TICKET_LEEWAY_S)) {
            return Err(Refusal::TicketEarly);
        }
        if self.sub.is_empty() || self.rooms.is_empty() {
            return Err(Refusal::TicketClaims);
        }
        // A role that is not known may well be one that may do less.
        if self.role.as_deref().is_some_and(|role| role != PLAYER) {
            return Err(Refusal::TicketRole);
        }
        let covers = |rooms: &String, room: &str| match rooms.strip_suffix('*') {
            Some(beginning) => room.starts_with(beginning),
            None => rooms == room,
        };
        match room {
            Some(room) if !self.rooms.iter().any(|rooms| covers(rooms, room)) => {
                Err(Refusal::TicketRooms)
            }
            _ => Ok(()),
        }
    }
}

/// A ticket to be made.
#[derive(Debug)]
pub struct Order {
    /// File with the secret.
    pub key: PathBuf,
    /// For whom.
    pub sub: String,
    /// For which rooms.
    pub rooms: Vec<String>,
    /// Seconds that it is good for.
    pub seconds: u64,
}

/// Makes a ticket, signed with a secret (HS256).
///
/// # Errors
///
/// When the file holds no secret.
pub fn write(order: Order) -> Result<String, Unusable> {
    let secret = secret(&order.key)?;
    let claims = Claims {
        sub: order.sub,
        rooms: order.rooms,
        role: None,
        exp: Seconds::now().later(order.seconds),
        nbf: None,
    };
    let key = EncodingKey::from_secret(&secret);
    encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| Unusable::new(&order.key, error))
}
