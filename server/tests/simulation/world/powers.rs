//! What must be true of rooms of roomcast.v1 that their hosts lock and close.
//!
//! Owns: the locks and closes that shards took, and which lives of rooms are known to be locked or over. Must not know: wires,
//! seats. Invariant: nobody is kept out or sent away but for what was asked by who was the host in the term that it named; nobody
//! new comes to a life that is known to be locked, and nobody is left in one that was closed.

use std::collections::BTreeMap;
use std::rc::Rc;

use roomcast_protocol::v1::{Term, up};

use super::kicks::Terms;

/// The life of a room.
pub(crate) type LifeId = [u8; 8];

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Lock(bool),
    Close,
}

impl Asked {
    pub(crate) fn of(act: up::Act<'_>) -> Option<Self> {
        match act {
            up::Act::Lock(locked) => Some(Self::Lock(locked)),
            up::Act::Close => Some(Self::Close),
            _ => None,
        }
    }
}

/// What a shard took, and may have refused.
#[derive(Debug)]
struct Taken {
    room: Rc<str>,
    life: LifeId,
    by: (u32, Term),
    asked: Asked,
}

/// What hosts of all rooms asked for.
#[derive(Debug, Default)]
pub(crate) struct Powers {
    taken: Vec<Taken>,
    /// Of each room the last life that is known to be locked, or to be over because it was closed.
    locked: BTreeMap<Rc<str>, LifeId>,
    closed: BTreeMap<Rc<str>, LifeId>,
}

impl Powers {
    /// A shard took this of this author's in this term.
    pub(crate) fn takes(&mut self, room: &Rc<str>, life: LifeId, by: (u32, Term), asked: Asked) {
        if asked == Asked::Lock(false) {
            self.locked.remove(room);
        }
        let room = Rc::clone(room);
        self.taken.push(Taken {
            room,
            life,
            by,
            asked,
        });
    }

    /// Whether a host may have asked for this, in a life or in a room for which this holds.
    fn may_have(&self, asked: Asked, terms: &Terms, here: impl Fn(&Taken) -> bool) -> bool {
        self.taken.iter().any(|it| {
            let (author, term) = it.by;
            it.asked == asked && here(it) && terms.get(&(it.life, term)) == Some(&author)
        })
    }

    /// Somebody is told that a room is locked, or no longer. Whether that may be.
    pub(crate) fn told(
        &mut self,
        room: &Rc<str>,
        life: LifeId,
        locked: bool,
        terms: &Terms,
    ) -> bool {
        // Who hears it late can't know that it was opened meanwhile.
        let open = |it: &Taken| it.life == life && it.asked == Asked::Lock(false);
        if locked && !self.taken.iter().any(open) {
            self.locked.insert(Rc::clone(room), life);
        }
        self.may_have(Asked::Lock(locked), terms, |it| it.life == life)
    }

    /// Whether who is new may be kept out of a room.
    pub(crate) fn may_be_locked(&self, room: &str, terms: &Terms) -> bool {
        self.may_have(Asked::Lock(true), terms, |it| *it.room == *room)
    }

    /// Whether those in a room, or who were, may have been sent away.
    pub(crate) fn may_be_closed(&self, room: &str, terms: &Terms) -> bool {
        self.may_have(Asked::Close, terms, |it| *it.room == *room)
    }

    /// Somebody was sent away from this life of a room.
    pub(crate) fn closes(&mut self, room: &Rc<str>, life: LifeId) {
        self.closed.insert(Rc::clone(room), life);
    }

    /// The life of a room that is known to be locked now, and that which is known to be over.
    pub(crate) fn known(&self, room: &str) -> [Option<LifeId>; 2] {
        [self.locked.get(room), self.closed.get(room)].map(Option::<&LifeId>::copied)
    }
}
