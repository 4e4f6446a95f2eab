//! What a ticket says.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::SystemTime;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roomcast_protocol::upgrade::{self, Claim, Refusal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::keys::{Unusable, secret};
use super::revoked::{Revoked, can_be_listed};
use crate::limits::{Quota, TICKET_LEEWAY_S, TICKET_STAY_GRACE_S, TICKET_STAY_MAX_MS};
use crate::shard::{Bearer, Pass};

/// The roles that there are.
const PLAYER: &str = "player";
const SPECTATOR: &str = "spectator";

/// What may be sent in a second. What is not understood may be a bound, so it is refused.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Most {
    messages: Option<NonZeroU32>,
    bytes: Option<NonZeroU32>,
}

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stay: Option<Seconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(default, skip_serializing)]
    limits: Most,
}

impl Claims {
    /// What they let their bearer do in this room, or merely here.
    pub(super) fn admit(
        &self,
        room: Option<&str>,
        now: Seconds,
        revoked: &Revoked,
        hasher: &RandomState,
    ) -> Result<Pass, Refusal> {
        if self.exp.later(TICKET_LEEWAY_S) <= now {
            return Err(Refusal::TicketExpired);
        }
        if self.nbf.is_some_and(|nbf| nbf > now.later(TICKET_LEEWAY_S)) {
            return Err(Refusal::TicketEarly);
        }
        if !can_be_listed(&self.sub) {
            return Err(Refusal::TicketClaim(Claim::Sub));
        }
        if self.rooms.is_empty() {
            return Err(Refusal::TicketClaim(Claim::Rooms));
        }
        if self.jti.as_deref().is_some_and(|id| !can_be_listed(id)) {
            return Err(Refusal::TicketClaim(Claim::Jti));
        }
        let bearer = Bearer {
            sub: hasher.hash_one(&*self.sub),
            id: self.jti.as_deref().map(|id| hasher.hash_one(id)),
        };
        if revoked.has(bearer) {
            return Err(Refusal::TicketRevoked);
        }
        let spectates = match self.role.as_deref() {
            None | Some(PLAYER) => false,
            Some(SPECTATOR) => true,
            // It may well be one that may do less.
            Some(_) => return Err(Refusal::TicketRole),
        };
        let covers = |rooms: &String, room: &str| match rooms.strip_suffix('*') {
            Some(beginning) => room.starts_with(beginning),
            None => rooms == room,
        };
        if let Some(room) = room
            && !self.rooms.iter().any(|rooms| covers(rooms, room))
        {
            return Err(Refusal::TicketRooms);
        }
        Ok(Pass {
            stay_ms: self.stay_ms(now)?,
            spectates,
            quota: Quota {
                messages: self.limits.messages,
                bytes: self.limits.bytes,
            },
            bearer: Some(bearer),
        })
    }

    /// Milliseconds that somebody may stay who joins now.
    fn stay_ms(&self, now: Seconds) -> Result<Option<u32>, Refusal> {
        let Some(stay) = self.stay else {
            return Ok(None);
        };
        if stay.later(TICKET_LEEWAY_S) <= now {
            return Err(Refusal::TicketStay);
        }
        let seconds = u64::from(stay.later(TICKET_STAY_GRACE_S)).saturating_sub(now.into());
        let ms = u32::try_from(seconds.saturating_mul(1_000)).unwrap_or(u32::MAX);
        Ok(Some(ms.min(TICKET_STAY_MAX_MS)))
    }
}

/// Which of these is why they are not [`Claims`].
pub(super) fn unreadable(claims: &Map<String, Value>) -> Refusal {
    fn reads<T: DeserializeOwned>(value: Option<&Value>) -> bool {
        T::deserialize(value.unwrap_or(&Value::Null)).is_ok()
    }
    type Reads = fn(Option<&Value>) -> bool;
    let forms: [(&str, Reads, Refusal); 8] = [
        ("sub", reads::<String>, Refusal::TicketClaim(Claim::Sub)),
        (
            "rooms",
            reads::<Vec<String>>,
            Refusal::TicketClaim(Claim::Rooms),
        ),
        ("exp", reads::<Seconds>, Refusal::TicketClaim(Claim::Exp)),
        (
            "nbf",
            reads::<Option<Seconds>>,
            Refusal::TicketClaim(Claim::Nbf),
        ),
        (
            "stay",
            reads::<Option<Seconds>>,
            Refusal::TicketClaim(Claim::Stay),
        ),
        (
            "jti",
            reads::<Option<String>>,
            Refusal::TicketClaim(Claim::Jti),
        ),
        (
            "limits",
            |value| value.is_none() || reads::<Most>(value),
            Refusal::TicketClaim(Claim::Limits),
        ),
        ("role", reads::<Option<String>>, Refusal::TicketRole),
    ];
    let mut wrong = forms
        .into_iter()
        .filter(|(name, reads, _)| !reads(claims.get(*name)));
    wrong
        .next()
        .map_or(Refusal::TicketClaims, |(_, _, refusal)| refusal)
}

/// The `sub` or id of a ticket to be made.
///
/// # Errors
///
/// If such a ticket would be refused.
pub fn parse_listed(text: &str) -> Result<String, String> {
    can_be_listed(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "give one without line breaks, and without blanks at its ends".to_owned())
}

/// Rooms of a ticket to be made.
///
/// # Errors
///
/// If there can be no such room.
pub fn parse_rooms(text: &str) -> Result<String, String> {
    let is_name = |name: &str| upgrade::room_name(name).is_some_and(|room| &*room == name);
    let is_one = match text.strip_suffix('*') {
        // Something follows.
        Some(beginning) => is_name(&format!("{beginning}-")),
        None => is_name(text),
    };
    is_one.then(|| text.to_owned()).ok_or_else(|| {
        "give the name of a room (1 to 64 of A-Z a-z 0-9 . _ ~ -), or how some begin and a *"
            .to_owned()
    })
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
    /// Seconds that somebody may stay with it.
    pub stay: Option<u64>,
    /// Whether it is for somebody who only receives.
    pub spectates: bool,
    /// By which it can be taken back.
    pub id: Option<String>,
}

/// Makes a ticket, signed with a secret (HS256).
///
/// # Errors
///
/// When the file holds no secret.
pub fn write(order: Order) -> Result<String, Unusable> {
    let secret = secret(&order.key)?;
    let now = Seconds::now();
    let claims = Claims {
        sub: order.sub,
        rooms: order.rooms,
        role: order.spectates.then(|| SPECTATOR.to_owned()),
        exp: now.later(order.seconds),
        nbf: None,
        stay: order.stay.map(|stay| now.later(stay)),
        jti: order.id,
        limits: Most::default(),
    };
    let key = EncodingKey::from_secret(&secret);
    encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| Unusable::new(&order.key, error))
}
