//! What a ticket says.

use std::path::PathBuf;
use std::time::SystemTime;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roomcast_protocol::upgrade::Refusal;
use serde::{Deserialize, Serialize};

use super::keys::{Unusable, secret};

/// The only role that there is.
const PLAYER: &str = "player";

/// The claims of a ticket, as far as a relay heeds them. The times are checked before.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    sub: String,
    /// Names of rooms, or their beginnings with a `*` behind them.
    rooms: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    exp: u64,
}

impl Claims {
    /// Whether they let their bearer into this room, or merely in.
    pub(super) fn admit(&self, room: Option<&str>) -> Result<(), Refusal> {
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
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let claims = Claims {
        sub: order.sub,
        rooms: order.rooms,
        role: None,
        exp: now.saturating_add(order.seconds),
    };
    let key = EncodingKey::from_secret(&secret);
    encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| Unusable::new(&order.key, error))
}
