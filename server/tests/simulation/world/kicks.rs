//! What must be true of who is put out of a room of roomcast.v1 by its host.
//!
//! Owns: the kicks that shards took, and who is known to have been put out. Must not know: wires, seats. Invariant: nobody is put
//! out but by who was the host in the term that it named, and whoever was never comes back in that life of the room.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use roomcast_protocol::v1::Term;

/// A player: its room's life, and its id there.
pub(crate) type Who = ([u8; 8], u32);

/// Who the host was in each term of each life.
pub(crate) type Terms = BTreeMap<([u8; 8], Term), u32>;

/// A kick that a shard took, and may have refused.
#[derive(Debug)]
struct Kick {
    room: Rc<str>,
    term: Term,
    author: u32,
    whom: Who,
}

/// Kicks in all rooms.
#[derive(Debug, Default)]
pub(crate) struct Kicks {
    taken: Vec<Kick>,
    out: BTreeSet<Who>,
}

impl Kicks {
    /// A shard took a kick of this author's in this term.
    pub(crate) fn takes(&mut self, room: &Rc<str>, (author, term): (u32, Term), whom: Who) {
        self.taken.push(Kick {
            room: Rc::clone(room),
            term,
            author,
            whom,
        });
    }

    /// Whom hosts have asked to put out, by the rooms.
    fn by_hosts<'k>(&'k self, terms: &'k Terms) -> impl Iterator<Item = (&'k Rc<str>, Who)> {
        let by_host = |kick: &&Kick| terms.get(&(kick.whom.0, kick.term)) == Some(&kick.author);
        let kicks = self.taken.iter().filter(by_host);
        kicks.map(|kick| (&kick.room, kick.whom))
    }

    /// Whether this player may have been put out.
    pub(crate) fn may_be_out(&self, who: Who, terms: &Terms) -> bool {
        self.by_hosts(terms).any(|(_, whom)| whom == who)
    }

    /// Whether one of the players of a room of whom this holds may have been put out.
    pub(crate) fn may_be_one(&self, room: &str, terms: &Terms, is: impl Fn(Who) -> bool) -> bool {
        let mut kicks = self.by_hosts(terms);
        kicks.any(|(of, whom)| **of == *room && is(whom))
    }

    /// Somebody is told that this player is gone, because it was put out or not. Whether that may be.
    pub(crate) fn left(&mut self, who: Who, kicked: bool, terms: &Terms) -> bool {
        if !kicked {
            return !self.out.contains(&who);
        }
        self.out.insert(who);
        self.may_be_out(who, terms)
    }

    /// Whether this player is known to have been put out.
    pub(crate) fn is_out(&self, who: Who) -> bool {
        self.out.contains(&who)
    }
}
