//! Tickets that were taken back before they expire.
//!
//! A file with a line for each: `sub NAME` for all tickets of somebody, `jti ID` for one. Empty lines and those that begin
//! with `#` say nothing. What is no such line is refused: a slip must not let anybody in.

use std::collections::HashSet;
use std::path::Path;

use super::keys::{Unusable, contents};
use crate::limits::TICKET_REVOKED_FILE;

/// What is taken back.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    subs: HashSet<String>,
    ids: HashSet<String>,
}

impl Revoked {
    pub(super) fn read(file: &Path) -> Result<Self, Unusable> {
        let text = contents(file, TICKET_REVOKED_FILE)?;
        let text =
            String::from_utf8(text).map_err(|_| Unusable::new(file, "it is no text (UTF-8)"))?;
        Self::of(&text).map_err(|problem| Unusable::new(file, problem))
    }

    fn of(text: &str) -> Result<Self, String> {
        let mut revoked = Self::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            match line.split_once(' ') {
                _ if line.is_empty() || line.starts_with('#') => {}
                Some(("sub", name)) => {
                    revoked.subs.insert(name.trim_start().to_owned());
                }
                Some(("jti", id)) => {
                    revoked.ids.insert(id.trim_start().to_owned());
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

    /// Whether the ticket with these claims is taken back.
    pub(super) fn has(&self, sub: &str, id: Option<&str>) -> bool {
        self.subs.contains(sub) || id.is_some_and(|id| self.ids.contains(id))
    }

    pub(super) fn len(&self) -> usize {
        self.subs.len() + self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_takes_back_one_thing() {
        let revoked = Revoked::of("# cheats\n\nsub ada lovelace\r\n jti  7\n").unwrap();
        assert_eq!(revoked.len(), 2);
        assert!(revoked.has("ada lovelace", None) && revoked.has("bob", Some("7")));
        assert!(!revoked.has("ada", Some("ada lovelace")) && !revoked.has("7", None));
        for slip in ["ada", "sub", "kid 7", "sub a\njti"] {
            assert!(Revoked::of(slip).unwrap_err().contains("neither"), "{slip}");
        }
    }
}
