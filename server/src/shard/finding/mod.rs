//! Finding rooms: `/rooms` lists those that were made with a tag, `/match` names one to play in.
//!
//! Owns: what such requests ask for, and how they are answered. Must not know: what is played. Invariants: who may not join
//! is told nothing; what an answer costs does not depend on how many rooms there are, or on how often it is asked for.

mod directory;
mod matches;

use roomcast_protocol::upgrade::{self, Content, Readers, Refusal};
use roomcast_protocol::v1::Name;

pub(super) use self::directory::{Directory, Listed};
pub(super) use self::matches::{Kind, Matches};
use super::connection::Closing;
use super::{EndReason, Shard};
use crate::limits::MATCH_NAME_TAG;
use crate::room::v1::RoomId;

/// Which rooms somebody wants to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    tag: Box<str>,
    only_open: bool,
    after: Box<str>,
}

/// The form that an answer has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// Without its body.
    pub(super) head_only: bool,
    /// Whose pages may read it.
    pub(super) readers: Readers,
}

/// What a query says under a name, first.
fn said(query: Option<&str>, name: &str) -> Option<Box<str>> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let (_, value) = pairs.find(|(said, _)| said == name)?;
    Some(value.into())
}

fn tag(query: Option<&str>) -> Result<Box<str>, Refusal> {
    let tag = said(query, "tag").filter(|tag| Name::new(tag).is_ok());
    tag.ok_or(Refusal::BadSearch)
}

impl Search {
    /// What the query of `/rooms` asks for.
    pub(super) fn of(query: Option<&str>) -> Result<Self, Refusal> {
        Ok(Self {
            tag: tag(query)?,
            only_open: said(query, "open").as_deref() == Some("1"),
            after: said(query, "after").unwrap_or_default(),
        })
    }
}

impl Kind {
    /// What the query of `/match` asks for, in rooms of at most so many.
    pub(super) fn of(query: Option<&str>, most: usize) -> Result<Self, Refusal> {
        let max = said(query, "max").and_then(|max| max.parse().ok());
        let fitting = max.filter(|max| (1..=most).contains(&(*max as usize)));
        Ok(Self {
            tag: tag(query)?,
            max: fitting.ok_or(Refusal::BadSearch)?,
        })
    }

    /// How the names begin that are made up for it: a ticket for all of those is one for whatever room it is.
    pub(super) fn beginning(&self) -> String {
        let named = |letter: char| match letter {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '~' | '-' => letter,
            _ => '-',
        };
        let mut beginning: String = self.tag.chars().take(MATCH_NAME_TAG).map(named).collect();
        beginning.push('-');
        beginning
    }
}

const fn told(body: &str) -> Content<'_> {
    Content {
        kind: "application/json",
        fields: "",
        body: body.as_bytes(),
    }
}

impl Shard {
    /// Answers a request, which ends with that.
    pub(super) fn answer(&mut self, slot: u32, content: Content<'_>, form: Form) {
        let outbox = &mut self.connections[slot as usize].outbox;
        outbox.push_own(|out| {
            upgrade::write_content(out, content, form.head_only, form.readers);
        });
        self.begin_closing(slot, Closing::Flush, EndReason::Answered);
    }

    /// Tells which rooms there are.
    pub(super) fn list_rooms(&mut self, slot: u32, search: &Search, form: Form) {
        let Search {
            tag,
            only_open,
            after,
        } = search;
        let page = self.common.directory.page(tag, *only_open, after);
        self.answer(slot, told(&page), form);
    }

    /// Tells in which room to play. Only the shard that owns this kind knows.
    pub(super) fn answer_match(&mut self, slot: u32, kind: &Kind, form: Form) {
        let (directory, secrets) = (&self.common.directory, &mut self.v1.secrets);
        let make_up = || {
            let random = u64::from_be_bytes(secrets.bytes());
            format!("{}{random:016x}", kind.beginning())
        };
        let listings = || directory.listings();
        let name = self.matches.send(kind, self.now, listings, make_up);
        let body = format!("{}\n", serde_json::json!({ "name": &*name }));
        self.answer(slot, told(&body), form);
    }

    /// A room begins its life: it is listed if it was made with a tag, and if there is a place for it.
    pub(super) fn list_room(&mut self, id: RoomId) {
        let room = &mut self.v1.rooms[id];
        let Some(tag) = room.tag() else { return };
        if self.common.take_listing() {
            self.listed.add(tag, room.name(), id);
        } else {
            room.take_tag();
        }
    }

    /// It has ended.
    pub(super) fn unlist_room(&mut self, id: RoomId) {
        let room = &mut self.v1.rooms[id];
        if let Some(tag) = room.take_tag() {
            self.listed.remove(tag, room.name());
            self.common.return_listing();
        }
    }

    /// Publishes how the listed rooms stand, once in a while.
    pub(super) fn publish_listing(&mut self) {
        let (rooms, common) = (&self.v1.rooms, &self.common);
        let reactor = self.index;
        self.listed
            .publish(rooms, &common.directory, reactor, self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_query_asks_for() {
        let search = |query| {
            let search = Search::of(Some(query)).ok()?;
            Some((
                search.tag.into_string(),
                search.only_open,
                search.after.into_string(),
            ))
        };
        let of = |tag: &str, open, after: &str| Some((tag.to_owned(), open, after.to_owned()));
        for (query, expected) in [
            ("tag=duel", of("duel", false, "")),
            (
                "a=b&tag=2v2+ranked&open=1&after=x%7e",
                of("2v2 ranked", true, "x~"),
            ),
            ("tag=%C3%BC&open=0&tag=other", of("\u{fc}", false, "")),
            ("", None),
            ("tag=", None),
            ("tags=duel", None),
            ("tag=a%0ab", None),
        ] {
            assert_eq!(search(query), expected, "{query}");
        }
        assert!(Search::of(None).is_err());
        let long = format!("tag={}", "x".repeat(65));
        assert_eq!(search(&long), None);
    }

    #[test]
    fn what_a_match_asks_for_and_how_its_names_begin() {
        for (query, beginning) in [
            ("tag=duel&max=2", Some("duel-")),
            ("tag=2v2+ranked&max=100", Some("2v2-ranked-")),
            ("max=1&tag=%C3%BC", Some("--")),
            ("tag=duel", None),
            ("tag=duel&max=0", None),
            ("tag=duel&max=101", None),
            ("tag=duel&max=-1", None),
            ("max=2", None),
        ] {
            let kind = Kind::of(Some(query), 100);
            let begins = kind.map(|kind| kind.beginning());
            assert_eq!(begins.ok().as_deref(), beginning, "{query}");
        }
        let kind = Kind {
            tag: "x".repeat(64).into(),
            max: 2,
        };
        let name = format!("{}{:016x}", kind.beginning(), u64::MAX);
        assert!(upgrade::room_name(&name).is_some(), "{name}");
    }
}
