//! Which groups a player joins and leaves.
//!
//! Owns: how they are checked, read and written.
//! Must not know: who is in a group.
//! Invariant: groups ascend, and there are no more than [`GROUPS_MAX`].

use std::fmt;

use super::bytes::Reader;
use super::{Fault, GROUPS_MAX, write_varint};

/// Groups, each with whether the player is in it from now on, as they stand in a packet. Checked when they were made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Groups<'a>(&'a [u8]);

impl<'a> Groups<'a> {
    /// Writes groups into `buffer`, of which the earlier content is gone, and lends them.
    ///
    /// # Errors
    /// If they do not ascend, or are too many.
    pub fn encode(
        groups: impl IntoIterator<Item = (u32, bool)>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Self, Fault> {
        buffer.clear();
        for (group, is_in) in groups {
            write_varint(buffer, u64::from(group));
            buffer.push(u8::from(is_in));
        }
        Self::read(&mut Reader(buffer))
    }

    /// All that is left of a body.
    pub(super) fn read(body: &mut Reader<'a>) -> Result<Self, Fault> {
        let groups = Self(body.rest());
        let mut rest = Reader(groups.0);
        let mut least = 0;
        for count in 0.. {
            if rest.0.is_empty() {
                break;
            }
            if count == GROUPS_MAX {
                return Err(Fault::TooLarge("the count"));
            }
            let (group, _) = pair(&mut rest)?;
            if u64::from(group) < least {
                return Err(Fault::NotAscending("the groups"));
            }
            least = u64::from(group) + 1;
        }
        Ok(groups)
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Them, ascending.
    pub fn iter(self) -> impl Iterator<Item = (u32, bool)> + 'a {
        let mut rest = Reader(self.0);
        // They were read once already, so it fails only at the end.
        std::iter::from_fn(move || pair(&mut rest).ok())
    }
}

fn pair(rest: &mut Reader<'_>) -> Result<(u32, bool), Fault> {
    Ok((rest.u32("the group")?, rest.flag("in")?))
}

impl fmt::Debug for Groups<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
