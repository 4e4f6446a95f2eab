//! Matches: which room somebody is sent to who wants to play with others, whoever they are.
//!
//! Owns: for each tag and number of players, which rooms have places and how many of them were given away. Must not know:
//! requests, connections. Invariants: no room is given out more often than it has places, as far as anybody can know; so
//! many kinds are remembered at most, and those that nobody asks for are forgotten first.

use std::collections::HashMap;
use std::sync::Arc;

use super::directory::Listing;
use crate::limits::{LISTING_EVERY_MS, MATCH_FRESH_MS, MATCH_PROMISE_MS, MATCH_ROOMS, MATCHES_MAX};

/// What somebody wants to play.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::shard) struct Kind {
    pub(super) tag: Box<str>,
    /// Players of a room.
    pub(super) max: u32,
}

/// A room that somebody may be sent to.
#[derive(Debug)]
struct Offer {
    name: Arc<str>,
    /// Players that it has, or will have if all come who were sent there.
    seats: u32,
    /// When somebody was last sent there (ms).
    promised_at: Option<u64>,
    /// When its name was made up, if the room has not been seen yet.
    fresh_since: Option<u64>,
}

impl Offer {
    /// Whether what was promised still counts.
    fn is_promised(&self, now: u64) -> bool {
        self.promised_at
            .is_some_and(|at| now < at + MATCH_PROMISE_MS)
    }
}

#[derive(Debug, Default)]
struct Offers {
    rooms: Vec<Offer>,
    looked_at: Option<u64>,
    asked_at: u64,
}

impl Offers {
    /// Brings it up to date with what is listed: the fullest rooms that have a place, and those that were made up lately.
    fn look(&mut self, kind: &Kind, listings: &[Arc<Listing>], now: u64) {
        let Kind { tag, max } = kind;
        let open = listings
            .iter()
            .flat_map(|listing| listing.of(tag, true, ""));
        let fitting = open.filter(|entry| entry.standing.players_max == *max);
        let mut rooms: Vec<Offer> = fitting
            .map(|entry| Offer {
                name: Arc::clone(&entry.name),
                seats: entry.standing.players,
                promised_at: None,
                fresh_since: None,
            })
            .collect();
        rooms.sort_by(|a, b| b.seats.cmp(&a.seats).then_with(|| a.name.cmp(&b.name)));
        rooms.truncate(MATCH_ROOMS);
        for before in self.rooms.drain(..) {
            if !before.is_promised(now) {
                continue;
            }
            let is_listed = || {
                listings
                    .iter()
                    .any(|listing| listing.has(tag, &before.name))
            };
            if let Some(room) = rooms.iter_mut().find(|room| room.name == before.name) {
                room.seats = room.seats.max(before.seats);
                room.promised_at = before.promised_at;
            } else if before
                .fresh_since
                .is_some_and(|since| now < since + MATCH_FRESH_MS)
                && !is_listed()
            {
                rooms.push(before);
            }
        }
        rooms.truncate(2 * MATCH_ROOMS);
        self.rooms = rooms;
        self.looked_at = Some(now);
    }

    /// The fullest that has a place.
    fn best(&mut self, max: u32) -> Option<&mut Offer> {
        let free = self.rooms.iter_mut().filter(|room| room.seats < max);
        free.max_by_key(|room| room.seats)
    }
}

/// Those of one shard.
#[derive(Debug, Default)]
pub(in crate::shard) struct Matches(HashMap<Kind, Offers>);

impl Matches {
    /// The room that somebody is sent to who asks for this. `listings` says what is there, `make_up` a name that no room has.
    pub(super) fn send(
        &mut self,
        kind: &Kind,
        now: u64,
        listings: impl FnOnce() -> Vec<Arc<Listing>>,
        make_up: impl FnOnce() -> String,
    ) -> Arc<str> {
        self.forget_for(kind, now);
        let offers = self.0.entry(kind.clone()).or_default();
        offers.asked_at = now;
        if offers
            .looked_at
            .is_none_or(|at| now >= at + LISTING_EVERY_MS)
        {
            offers.look(kind, &listings(), now);
        }
        if let Some(room) = offers.best(kind.max) {
            room.seats += 1;
            room.promised_at = Some(now);
            return Arc::clone(&room.name);
        }
        let name: Arc<str> = make_up().into();
        // All are full: each is remembered only so that nobody is sent there while others are on their way.
        if offers.rooms.len() >= MATCH_ROOMS {
            offers.rooms.remove(0);
        }
        offers.rooms.push(Offer {
            name: Arc::clone(&name),
            seats: 1,
            promised_at: Some(now),
            fresh_since: Some(now),
        });
        name
    }

    /// Makes room for a kind, if there is none.
    fn forget_for(&mut self, kind: &Kind, now: u64) {
        if self.0.len() < MATCHES_MAX || self.0.contains_key(kind) {
            return;
        }
        self.0
            .retain(|_, offers| now < offers.asked_at + MATCH_FRESH_MS);
        if self.0.len() >= MATCHES_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, offers)| offers.asked_at)
        {
            let oldest = oldest.0.clone();
            self.0.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks without anybody ever being seen; the room by its number.
    struct Asker {
        matches: Matches,
        made_up: u32,
    }

    impl Asker {
        fn ask(&mut self, tag: &str, max: u32, now: u64) -> u32 {
            let kind = Kind {
                tag: tag.into(),
                max,
            };
            let made_up = &mut self.made_up;
            let name = self.matches.send(&kind, now, Vec::new, || {
                *made_up += 1;
                made_up.to_string()
            });
            name.parse().expect("a number")
        }
    }

    fn asker() -> Asker {
        Asker {
            matches: Matches::default(),
            made_up: 0,
        }
    }

    #[test]
    fn a_fresh_name_is_given_to_as_many_as_play_and_to_nobody_for_long() {
        let mut asker = asker();
        let given = [0; 5].map(|now| asker.ask("duel", 2, now));
        assert_eq!(given, [1, 1, 2, 2, 3]);
        // Others play something else.
        assert_eq!(asker.ask("duel", 3, 0), 4);
        assert_eq!(asker.ask("race", 2, 0), 5);
        assert_eq!(asker.ask("duel", 2, 4_000), 3);
        assert_eq!(asker.ask("duel", 8, 10_000), 6);
        assert_eq!(asker.ask("duel", 8, 14_000), 6, "somebody may have come");
        assert_eq!(asker.ask("duel", 8, 18_000), 6);
        assert_eq!(asker.ask("duel", 8, 20_000), 7, "for ten seconds");
        assert_eq!(asker.ask("duel", 8, 25_000), 8, "nobody has come for five");
    }

    #[test]
    fn no_more_kinds_are_remembered_than_may_be() {
        let mut asker = asker();
        for kind in 0..3 * MATCHES_MAX as u32 {
            asker.ask("duel", kind + 2, u64::from(kind));
        }
        assert_eq!(asker.matches.0.len(), MATCHES_MAX);
        let last = asker.made_up;
        assert_eq!(asker.ask("duel", last + 1, u64::from(last)), last);
        for _ in 0..3 * MATCH_ROOMS {
            asker.ask("solo", 1, 10_000);
        }
        let rooms = asker.matches.0.values().map(|offers| offers.rooms.len());
        assert!(rooms.max() <= Some(MATCH_ROOMS));
    }
}
