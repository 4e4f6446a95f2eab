//! Tickets that were taken back before they expire.
//!
//! A file with a line for each: `sub NAME` for all tickets of somebody, `jti ID` for one. Empty lines and those that begin
//! with `#` say nothing. What is no such line is refused: a slip must not let anybody in.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::keys::{Unusable, contents};
use crate::limits::TICKET_REVOKED_FILE;
use crate::shard::Bearer;

/// Whether this can be written into such a list: what could not could not be taken back either.
pub(super) fn can_be_listed(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && !name.contains(char::is_control)
}

/// What is taken back, as the hashes that name bearers.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    subs: HashSet<u64>,
    ids: HashSet<u64>,
}

impl Revoked {
    pub(super) fn read(file: &Path, hasher: &RandomState) -> Result<Self, Unusable> {
        let text = contents(file, TICKET_REVOKED_FILE)?;
        let text =
            String::from_utf8(text).map_err(|_| Unusable::new(file, "it is no text (UTF-8)"))?;
        Self::of(&text, hasher).map_err(|problem| Unusable::new(file, problem))
    }

    fn of(text: &str, hasher: &RandomState) -> Result<Self, String> {
        let mut revoked = Self::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            match line.split_once(' ') {
                _ if line.is_empty() || line.starts_with('#') => {}
                Some(("sub", name)) => {
                    revoked.subs.insert(hasher.hash_one(name.trim_start()));
                }
                Some(("jti", id)) => {
                    revoked.ids.insert(hasher.hash_one(id.trim_start()));
                }
                _ => {
                    return Err(format!(
                        "line {} is neither `sub NAME` nor `jti ID`",
                        at + 1
                    ));
                }
            }
        }
        Ok(revoked)
    }

    /// Whether this ticket is taken back.
    pub(super) fn has(&self, bearer: Bearer) -> bool {
        self.subs.contains(&bearer.sub) || bearer.id.is_some_and(|id| self.ids.contains(&id))
    }

    pub(super) fn len(&self) -> usize {
        self.subs.len() + self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_listed_is_found_in_a_list() {
        let hasher = RandomState::new();
        for name in ["a", "ada lovelace", "#1", "\u{e9}", "sub", "a  b"] {
            let revoked = Revoked::of(&format!("sub {name}\n"), &hasher).unwrap();
            let sub = hasher.hash_one(name);
            assert!(can_be_listed(name) && revoked.has(Bearer { sub, id: None }));
        }
        for name in [
            "",
            " a",
            "a ",
            "\u{2003}a",
            "a\nb",
            "a\r",
            "a\0",
            "a\tb",
            "\u{85}",
        ] {
            assert!(!can_be_listed(name), "{name:?}");
        }
    }

    #[test]
    fn each_line_takes_back_one_thing() {
        let hasher = RandomState::new();
        let hash = |name: &str| hasher.hash_one(name);
        let has = |revoked: &Revoked, sub, id: Option<&str>| {
            revoked.has(Bearer {
                sub: hash(sub),
                id: id.map(hash),
            })
        };
        let revoked = Revoked::of("# cheats\n\nsub ada lovelace\r\n jti  7\n", &hasher).unwrap();
        assert_eq!(revoked.len(), 2);
        assert!(has(&revoked, "ada lovelace", None) && has(&revoked, "bob", Some("7")));
        assert!(!has(&revoked, "ada", Some("ada lovelace")) && !has(&revoked, "7", None));
        for slip in ["ada", "sub", "kid 7", "sub a\njti"] {
            assert!(
                Revoked::of(slip, &hasher).unwrap_err().contains("neither"),
                "{slip}"
            );
        }
    }
}
