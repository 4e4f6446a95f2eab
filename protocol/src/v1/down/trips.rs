//! Round-trip times of players.
//!
//! Owns: how they are checked, read and written.
//! Must not know: who is in the room.
//! Invariant: ids ascend.

use std::fmt;

use crate::v1::bytes::Reader;
use crate::v1::{Fault, PlayerId, write_varint};

/// Round-trip times as they stand in a packet. Checked when they were made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trips<'a>(&'a [u8]);

impl<'a> Trips<'a> {
    /// Writes players and their round-trip times in microseconds into `buffer`, of which the earlier content is gone, and
    /// lends them.
    ///
    /// # Errors
    /// If ids do not ascend, or a time is too large.
    pub fn encode(
        trips: impl IntoIterator<Item = (PlayerId, u64)>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Self, Fault> {
        buffer.clear();
        for (id, trip) in trips {
            write_varint(buffer, u64::from(id.get()));
            write_varint(buffer, trip);
        }
        Self::read(&mut Reader(buffer))
    }

    /// All that is left of a body.
    pub(super) fn read(body: &mut Reader<'a>) -> Result<Self, Fault> {
        let trips = Self(body.rest());
        let mut rest = Reader(trips.0);
        let mut last = None;
        while !rest.0.is_empty() {
            let (id, _) = pair(&mut rest)?;
            if last.is_some_and(|last| last >= id) {
                return Err(Fault::NotAscending("the ids"));
            }
            last = Some(id);
        }
        Ok(trips)
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    /// Players by their ids, ascending, each with its round-trip time in microseconds.
    pub fn iter(self) -> impl Iterator<Item = (PlayerId, u64)> + 'a {
        let mut rest = Reader(self.0);
        // They were read once already, so it fails only at the end.
        std::iter::from_fn(move || pair(&mut rest).ok())
    }
}

fn pair(rest: &mut Reader<'_>) -> Result<(PlayerId, u64), Fault> {
    Ok((rest.player("the id")?, rest.varint("the trip")?))
}

impl fmt::Debug for Trips<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
