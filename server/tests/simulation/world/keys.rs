//! What must be true of keys in rooms of roomcast.v1.
//!
//! Owns: what was said of each key, in the order in which shards took it in; who may hear of it, and what each guest holds
//! in the end. Must not know: events, wires, how a shard does it. Invariant: no two values are the same, so a
//! value says when it was said, but for one that a client says again.

use std::collections::{BTreeMap, BTreeSet};

use roomcast_protocol::v1::up::{KeyAudience, StateAudience};
use roomcast_protocol::v1::{Key, Life, Payload};

use super::bounds::{Moment, SLACK_MS};
use super::oracle::Verdict;
use super::said::event;

/// A key, and whose it is: a player's, or (0) the room's.
type Name = (u32, Key);

/// What was said of a key.
#[derive(Debug)]
struct Told {
    /// None: it has none any more.
    value: Option<Vec<u8>>,
    writer: u32,
    /// So much had been said in its room.
    after: usize,
    /// When a shard took it.
    at: Moment,
}

#[derive(Debug)]
struct Keyed {
    told: Vec<Told>,
    /// For whom it was, each from so much on that was said of it.
    to: Vec<(usize, StateAudience)>,
    /// When that changed last.
    turned: Option<Moment>,
}

/// A value as a guest is told it, now.
#[derive(Debug)]
pub(crate) struct Hearing<'p> {
    pub(crate) value: Payload<'p>,
    pub(crate) now: Moment,
    /// For so long it has waited, as the guest is told, ms.
    pub(crate) aged_ms: u64,
    /// By so much it may be older; None: nobody knows for how long it was on its way.
    pub(crate) late_ms: Option<u64>,
}

/// Whom somebody is to audiences.
pub(crate) struct Ears<'a> {
    pub(crate) player: u32,
    pub(crate) is_host: bool,
    pub(crate) groups: &'a BTreeSet<u32>,
}

impl Ears<'_> {
    fn hear(&self, (owner, _): Name, to: StateAudience) -> bool {
        match to {
            StateAudience::Others => owner != self.player,
            StateAudience::All => true,
            StateAudience::Group(group) => owner != self.player && self.groups.contains(&group),
            StateAudience::Host => self.is_host,
        }
    }
}

impl Keyed {
    /// Whom it is for now.
    fn to(&self) -> StateAudience {
        self.to.last().map_or(StateAudience::Others, |(_, to)| *to)
    }

    /// Whom it was for since this was said of it.
    fn since(&self, at: usize) -> impl Iterator<Item = StateAudience> {
        let later = self.to.partition_point(|(told, _)| *told <= at);
        let then = later.checked_sub(1).map(|then| self.to[then].1);
        let then = then.unwrap_or(StateAudience::Others);
        std::iter::once(then).chain(self.to[later..].iter().map(|(_, to)| *to))
    }
}

/// What a guest knows of keys: which of all that was said of each.
pub(crate) type Held = BTreeMap<Name, usize>;

/// Keys of all rooms.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    all: BTreeMap<([u8; 8], Name), Keyed>,
}

impl Keys {
    fn keyed(&mut self, life: Life, name: Name) -> &mut Keyed {
        let keyed = || Keyed {
            told: Vec::new(),
            to: Vec::new(),
            turned: None,
        };
        self.all.entry((life.0, name)).or_insert_with(keyed)
    }

    /// A shard took a value of a key, or the end of it, then and when so much had been said in the room.
    pub(crate) fn says(
        &mut self,
        life: Life,
        (writer, room, key): (u32, bool, Key),
        value: Option<Payload<'_>>,
        (after, at): (usize, Moment),
    ) {
        let owner = if room { 0 } else { writer };
        let value = value.map(event);
        self.keyed(life, (owner, key)).told.push(Told {
            value,
            writer,
            after,
            at,
        });
    }

    /// A shard took for whom a key is from now on.
    pub(crate) fn addresses(
        &mut self,
        life: Life,
        writer: u32,
        audience: KeyAudience,
        now: Moment,
    ) {
        let owner = if audience.room { 0 } else { writer };
        let keyed = self.keyed(life, (owner, audience.key));
        keyed.to.push((keyed.told.len(), audience.to));
        keyed.turned = Some(now);
    }

    /// A guest hears of a value. `told`: whether it was told all that this writer had said to it, of so much. `ears`: with all
    /// groups that it ever was in, as host of all that it may have been.
    pub(crate) fn heard(
        &self,
        life: Life,
        ears: &Ears<'_>,
        held: &mut Held,
        name: Name,
        heard: &Hearing<'_>,
        told: impl Fn(u32, usize) -> bool,
    ) -> Verdict {
        let keyed = self.all.get(&(life.0, name));
        let keyed = keyed.ok_or("a key that nobody has set")?;
        let value = event(heard.value);
        let is_that = |told: &Told| told.value.as_ref() == Some(&value);
        let at = keyed.told.iter().rposition(is_that);
        let at = at.ok_or("a value that nobody gave to it")?;
        // What was said again after a lost connection may be heard as what was said first.
        let first = keyed.told.iter().find(|told| is_that(told));
        let Told {
            writer,
            after,
            at: since,
            ..
        } = first.unwrap_or(&keyed.told[at]);
        if !keyed.since(at).any(|to| ears.hear(name, to)) {
            return Err("a value that was for others alone".into());
        }
        if heard.now.at + SLACK_MS < since.at + heard.aged_ms {
            return Err("a value that has waited for longer than there was it".into());
        }
        // To whom it goes since lately it is new.
        let fresh = keyed.told[at].at.awake;
        let fresh = keyed.turned.map_or(fresh, |turned| turned.awake.max(fresh));
        let is_late = |late_ms| heard.now.awake > fresh + heard.aged_ms + late_ms;
        // Who is the host since lately has not waited for it either, and since when it is, is not known.
        let late_ms = heard.late_ms.filter(|_| keyed.to() != StateAudience::Host);
        if late_ms.is_some_and(is_late) {
            return Err("a value that has waited is told as a new one".into());
        }
        if held.insert(name, at).is_some_and(|before| before > at) {
            Err("a value older than the one before".into())
        } else if !told(*writer, *after) {
            Err("a value comes before what its author had said".into())
        } else {
            Ok(())
        }
    }

    /// Whether who holds this has the newest value of each key that is for it, among these players, and nothing else.
    pub(crate) fn are_held(
        &self,
        life: Life,
        ears: &Ears<'_>,
        is_here: impl Fn(u32) -> bool,
        held: &Held,
    ) -> Verdict {
        let all = self
            .all
            .range((life.0, (0, 0))..=(life.0, (u32::MAX, Key::MAX)));
        let newest = all.filter_map(|(&(_, name), keyed)| {
            let at = keyed.told.len().checked_sub(1)?;
            let has_value = keyed.told[at].value.is_some();
            let is_for = ears.hear(name, keyed.to()) && (name.0 == 0 || is_here(name.0));
            (has_value && is_for).then_some((name, at))
        });
        let newest: Held = newest.collect();
        if *held == newest {
            Ok(())
        } else {
            Err(format!("it holds {held:?}, where {newest:?} is the newest"))
        }
    }
}
