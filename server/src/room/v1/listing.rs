//! What strangers are told of a room that was made with a tag.
//!
//! Must not know: who is told, or how. Invariant: without a tag there is nothing to tell.

use std::sync::Arc;

use roomcast_protocol::v1::{Name, Pairs, Payload, setting};

use super::Room;

/// How a room stands, as far as strangers are told. Of one that did not change it is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Players, away ones included, and how many there may be.
    pub players: u32,
    /// See [`Standing::players`].
    pub players_max: u32,
    /// Whoever comes gets in: it is neither full nor locked.
    pub is_open: bool,
    /// When its properties last changed, as a number of the log; 0 if there are none.
    properties: u64,
}

/// The tag in wishes, if it is a name as all names are.
pub(super) fn tag_of(wishes: Pairs<'_>) -> Option<Arc<str>> {
    let tag = std::str::from_utf8(wishes.bytes(setting::TAG)?).ok()?;
    Name::new(tag).is_ok().then(|| Arc::from(tag))
}

impl Room {
    /// Under what it is listed.
    pub fn tag(&self) -> Option<&Arc<str>> {
        self.tag.as_ref()
    }

    /// It is not listed, or no longer. Under what it was.
    pub fn take_tag(&mut self) -> Option<Arc<str>> {
        self.tag.take()
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        Standing {
            players: self.players() as u32,
            players_max: self.settings.players_max,
            is_open: !self.is_full() && !self.is_locked(),
            properties: self.properties.version(),
        }
    }

    /// Its properties that are text, in the order in which they were first set: as many as have `most` bytes together, keys
    /// and values.
    pub fn told_properties(&self, most: usize) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.properties.iter().filter_map(|property| {
            let Some(Payload::Text(text)) = property.value else {
                return None;
            };
            Some((property.key.as_str(), text))
        });
        let mut left = most;
        texts.filter(move |(key, text)| {
            let fits = left.checked_sub(key.len() + text.len());
            left = fits.unwrap_or(left);
            fits.is_some()
        })
    }
}
