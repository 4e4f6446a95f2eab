//! What players of one room set, address and say, and what each of them knows in the end.

use std::collections::{BTreeMap, BTreeSet};

use roomcast_protocol::v1::up::{Audience, KeyAudience, StateAudience};
use roomcast_protocol::v1::{Groups, Payload};

use super::stage::Actor;

/// What a player does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    /// It sets a key.
    Set(u32),
    /// It deletes one.
    Delete(u32),
    /// It says so many bytes to the others.
    Say(usize),
    /// Its key goes to the others (0), all (1) or a group from now on.
    Address(u32, u32),
    /// It joins a group, or leaves it.
    Group(u32, bool),
}

/// What one player knows, by what it has heard.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// Who it is: own events are not heard.
    pub(crate) own: u32,
    /// Values by author and key.
    pub(crate) keys: BTreeMap<(u32, u32), u64>,
    /// The last event of each author.
    pub(crate) events: BTreeMap<u32, u64>,
    /// All values that it ever heard.
    pub(crate) heard: BTreeSet<u64>,
    /// Something was missed.
    pub(crate) reset: bool,
}

impl View {
    /// One more line; what is wrong with it.
    pub(crate) fn hear(&mut self, line: &str) -> Result<(), String> {
        if line.starts_with("reset") {
            self.reset = true;
        } else if line.starts_with("welcome") || line == "all gone" {
            self.keys.clear();
        } else if let Some(left) = line.strip_prefix("left ") {
            let id = left.split(' ').next().and_then(|id| id.parse().ok());
            self.keys.retain(|(author, _), _| Some(*author) != id);
        } else if let Some(gone) = line.strip_suffix(" gone") {
            self.keys.remove(&name(gone));
        } else if let Some((author, text)) = line.split_once(": ") {
            let count = text.split(' ').next().and_then(|count| count.parse().ok());
            self.events
                .insert(author.parse().unwrap_or(0), count.unwrap_or(0));
        } else if let Some((key, value)) = line.split_once('=') {
            let (author, key) = name(key);
            let (count, event) = value.split_once(' ').expect("two numbers");
            let (count, event): (u64, u64) = (count.parse().unwrap(), event.parse().unwrap());
            let before = self.keys.insert((author, key), count);
            self.heard.insert(count);
            if before > Some(count) {
                return Err(format!("{line} after {before:?}"));
            }
            let heard = self.events.get(&author).copied().unwrap_or(0);
            if heard < event && author != self.own && !self.reset {
                return Err(format!("{line} before event {event}: {heard}"));
            }
        }
        Ok(())
    }
}

fn name(key: &str) -> (u32, u32) {
    let (author, key) = key.split_once('.').expect("an author and a key");
    (author.parse().unwrap(), key.parse().unwrap())
}

/// What was said, and what holds.
#[derive(Default)]
pub(crate) struct Model {
    count: u64,
    keys: BTreeMap<(u32, u32), u64>,
    events: BTreeMap<u32, u64>,
    /// To whom each key goes, and each value ever went.
    to: BTreeMap<(u32, u32), u32>,
    went: BTreeMap<u64, BTreeSet<u32>>,
    /// Who is in which group, and ever was.
    groups: BTreeSet<(u32, u32)>,
    ever: BTreeSet<(u32, u32)>,
}

impl Model {
    /// A player does something, as far as its client lets it.
    pub(crate) fn does(&mut self, author: u32, actor: &mut Actor, deed: Deed) {
        self.count += 1;
        let count = self.count;
        match deed {
            Deed::Set(key) => {
                let event = self.events.get(&author).copied().unwrap_or(0);
                let value = format!("{count} {event}");
                let set = actor.client.state(key, false, Payload::Text(&value));
                if set.is_ok() {
                    self.keys.insert((author, key), count);
                    self.goes(author, key);
                }
            }
            Deed::Delete(key) => {
                if actor.client.delete(key, false).is_ok() {
                    self.keys.remove(&(author, key));
                }
            }
            Deed::Address(key, to) => {
                let audience = KeyAudience {
                    key,
                    room: false,
                    to: match to {
                        0 => StateAudience::Others,
                        1 => StateAudience::All,
                        group => StateAudience::Group(group),
                    },
                    stays: false,
                };
                if actor.client.audience(audience).is_ok() {
                    self.to.insert((author, key), to);
                    self.goes(author, key);
                }
            }
            Deed::Group(group, is_in) => {
                let mut buffer = Vec::new();
                let groups = Groups::encode([(group, is_in)], &mut buffer).expect("a group");
                if actor.client.groups(false, groups).is_err() {
                    return;
                }
                if is_in {
                    self.groups.insert((author, group));
                    self.ever.insert((author, group));
                } else {
                    self.groups.remove(&(author, group));
                }
            }
            Deed::Say(len) => {
                let text = format!("{count} {}", "x".repeat(len));
                let said = actor
                    .client
                    .event(Audience::Others, Payload::Text(&text), false);
                if said.is_ok() {
                    self.events.insert(author, count);
                }
            }
        }
    }

    /// A player is gone, and its keys with it.
    pub(crate) fn leaves(&mut self, author: u32) {
        self.keys.retain(|(owner, _), _| *owner != author);
    }

    /// What a player knows in the end.
    pub(crate) fn of(&self, player: u32) -> BTreeMap<(u32, u32), u64> {
        let is_for = |name: &(u32, u32)| match self.to.get(name).copied().unwrap_or(0) {
            0 => name.0 != player,
            1 => true,
            group => name.0 != player && self.groups.contains(&(player, group)),
        };
        let keys = self.keys.iter();
        keys.filter(|(name, _)| is_for(name))
            .map(|(name, count)| (*name, *count))
            .collect()
    }

    /// The value of a key goes to whom the key is addressed to now.
    fn goes(&mut self, author: u32, key: u32) {
        if let Some(count) = self.keys.get(&(author, key)) {
            let to = self.to.get(&(author, key)).copied().unwrap_or(0);
            self.went.entry(*count).or_default().insert(to);
        }
    }

    /// Whether a value may ever have reached a player.
    pub(crate) fn may_have_heard(&self, count: u64, player: u32) -> bool {
        let went = self.went.get(&count).into_iter().flatten();
        went.into_iter()
            .any(|to| *to < 2 || self.ever.contains(&(player, *to)))
    }
}
