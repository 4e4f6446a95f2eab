//! What waits for a receiver who does not keep up: marks. The values stand in the room's table, once.
//!
//! Owns: which slots are to be told, and whose turn it is. Must not know: values, audiences, the log. Invariant: each mark
//! has its turn, however often other keys are said anew meanwhile.

use std::collections::BTreeSet;

use super::table::Slot;
use crate::limits::KEYS_LOST;

/// Bits of one word of marks.
const WORD: u32 = u64::BITS;

/// The marks of one receiver.
#[derive(Debug, Default)]
pub struct Lane {
    marks: Vec<u64>,
    count: u32,
    /// Whose turn it is.
    turn: Slot,
    /// It has had all that was said before this position of the stream.
    pub since: u64,
    /// Keys, by author and number, that it got until it left a group.
    lost: BTreeSet<(u32, u32)>,
    /// It is to forget all it knows.
    pub void: bool,
    /// Events took all of the last bundle: the next one begins with what may leave of these.
    pub passed_over: bool,
}

impl Lane {
    /// Of a receiver who has had all that was said before this position of the stream.
    pub fn new(since: u64) -> Self {
        Self {
            since,
            ..Self::default()
        }
    }

    /// Nothing is to be told.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && !self.void && self.lost.is_empty()
    }

    /// It gets these keys no longer.
    pub fn lose(&mut self, keys: impl IntoIterator<Item = (u32, u32)>) {
        self.lost.extend(keys);
    }

    /// It has lost more than is remembered.
    pub fn lost_too_much(&self) -> bool {
        self.lost.len() > KEYS_LOST
    }

    /// The keys that it gets no longer, once; those of which it forgets all it knows it need not be told.
    pub fn take_lost(&mut self) -> BTreeSet<(u32, u32)> {
        std::mem::take(&mut self.lost)
    }

    pub fn mark(&mut self, slot: Slot) {
        let word = (slot / WORD) as usize;
        if self.marks.len() <= word {
            self.marks.resize(word + 1, 0);
        }
        let bit = 1 << (slot % WORD);
        self.count += u32::from(self.marks[word] & bit == 0);
        self.marks[word] |= bit;
    }

    pub fn is_marked(&self, slot: Slot) -> bool {
        let word = self.marks.get((slot / WORD) as usize);
        word.is_some_and(|word| word & 1 << (slot % WORD) != 0)
    }

    pub fn unmark(&mut self, slot: Slot) {
        let bit = 1 << (slot % WORD);
        if let Some(word) = self.marks.get_mut((slot / WORD) as usize) {
            self.count -= u32::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    /// All marks, beginning with whose turn it is.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        let words = self.marks.len() as u32;
        let start = if words == 0 {
            0
        } else {
            self.turn / WORD % words
        };
        let order = (0..=words).map(move |step| (step, (start + step) % words.max(1)));
        order.flat_map(move |(step, word)| {
            let marks = self.marks.get(word as usize).copied().unwrap_or(0);
            // The word in which it begins comes twice: its end first, its beginning last.
            let end = u64::MAX << (self.turn % WORD);
            let mut left = match step {
                0 => marks & end,
                _ if step == words => marks & !end,
                _ => marks,
            };
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.checked_sub(1)?;
                Some(word * WORD + bit)
            })
        })
    }

    /// The last one that had its turn.
    pub fn had(&mut self, slot: Slot) {
        self.turn = slot + 1;
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        size_of::<Self>() + self.marks.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_thousand_marks_take_little() {
        let mut lane = Lane::default();
        (0..3_000).for_each(|slot| lane.mark(slot));
        assert!(lane.held() <= 1_024, "{} bytes", lane.held());
        (0..3_000).for_each(|slot| lane.unmark(slot));
        assert!(lane.is_empty());
    }

    proptest! {
        #[test]
        fn is_a_set_that_begins_with_whose_turn_it_is(
            steps in prop::collection::vec((any::<bool>(), 0u32..200), 0..80),
            had in 0u32..210,
        ) {
            let mut lane = Lane::default();
            let mut model = BTreeSet::new();
            for (mark, slot) in steps {
                if mark {
                    lane.mark(slot);
                    model.insert(slot);
                } else {
                    lane.unmark(slot);
                    model.remove(&slot);
                }
            }
            lane.had(had);
            let marked: Vec<Slot> = lane.iter().collect();
            prop_assert_eq!(lane.is_empty(), model.is_empty());
            let words = lane.marks.len() as u32;
            if words > 0 && had + 1 < words * WORD {
                let turn = model.range(had + 1..).chain(model.range(..=had));
                prop_assert_eq!(&marked, &turn.copied().collect::<Vec<_>>());
            }
            prop_assert_eq!(marked.into_iter().collect::<BTreeSet<_>>(), model);
        }
    }
}
