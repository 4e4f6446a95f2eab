//! What is for whom by name, noted when it was said.
//!
//! Owns: a bit for each of the last things of one sequence, of the log or of what was said of keys, and for each receiver. Must not
//! know: what they are, how far anybody is in them. Invariant: what is for somebody by name is noted when it is said, so who asks
//! looks at nothing else.

use super::Seat;
use crate::limits::SHARED_ENTRIES;

/// The notes about all who sit in a room. Where nobody was named they take nothing elsewhere.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// From this position on each thing names for whom it is.
    since: u64,
    /// By seat, up to the last one that was named.
    noted: Vec<Noted>,
}

impl Notes {
    /// Of a sequence that has come to this position.
    pub fn since(position: u64) -> Self {
        Self {
            since: position,
            noted: Vec::new(),
        }
    }

    /// What is said at this position is for who sits here.
    #[inline]
    pub fn note(&mut self, seat: Seat, position: u64) {
        let seat = seat as usize;
        if self.noted.len() <= seat {
            self.noted.resize(seat + 1, Noted::default());
        }
        self.noted[seat].note(position);
    }

    /// What is said before this position may name nobody, and be for some all the same.
    #[inline]
    pub fn begin_at(&mut self, position: u64) {
        self.since = position;
    }

    /// What is for who sits here of all from this position on, the first as the lowest bit; None if that is not known.
    #[inline]
    pub fn after(&self, seat: Seat, position: u64) -> Option<u64> {
        if position < self.since {
            return None;
        }
        let noted = self.noted.get(seat as usize);
        noted.map_or(Some(0), |noted| noted.after(position))
    }

    /// Nobody asks for what was said so far any more.
    pub fn rest(&mut self) {
        self.noted = Vec::new();
    }
}

/// Which of the last [`SHARED_ENTRIES`] things were noted.
#[derive(Debug, Clone, Copy, Default)]
struct Noted {
    /// The position of the lowest bit: of what was before, nothing is known.
    from: u64,
    bits: u64,
}

impl Noted {
    /// What is said at this position is for it.
    #[inline]
    fn note(&mut self, position: u64) {
        let reach = position.saturating_sub(SHARED_ENTRIES as u64 - 1);
        if reach > self.from {
            let further = u32::try_from(reach - self.from).unwrap_or(u32::MAX);
            self.bits = self.bits.checked_shr(further).unwrap_or(0);
            self.from = reach;
        }
        // What was said before that is not asked for.
        if let Some(nth) = position.checked_sub(self.from) {
            self.bits |= 1 << nth;
        }
    }

    /// What was noted from this position on, the first as the lowest bit; None if that is not known.
    #[inline]
    fn after(&self, position: u64) -> Option<u64> {
        let gone = position.checked_sub(self.from)?;
        let gone = u32::try_from(gone).unwrap_or(u32::MAX);
        Some(self.bits.checked_shr(gone).unwrap_or(0))
    }
}

/// The numbers of the bits that are set, ascending.
#[inline]
pub(super) fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        lowest
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_noted_lately_is_known(
            first in 0u64..100,
            steps in prop::collection::vec(prop_oneof![4 => 1u64..5, 1 => 1u64..100], 0..60),
            back in 0u64..200,
        ) {
            let mut noted = Noted::default();
            let (mut at, mut model) = (first, Vec::new());
            for step in steps {
                noted.note(at);
                model.push(at);
                at += step;
            }
            let from = at.saturating_sub(back);
            let last = model.last().copied().unwrap_or(0);
            let Some(bits) = noted.after(from) else {
                prop_assert!(from + SHARED_ENTRIES as u64 <= last);
                return Ok(());
            };
            let known: Vec<u64> = (0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| from + bit).collect();
            model.retain(|at| *at >= from);
            prop_assert_eq!(known, model);
        }
    }

    #[test]
    fn where_nobody_was_named_nothing_is_held() {
        let mut notes = Notes::since(7);
        assert_eq!(notes.noted.capacity(), 0);
        assert_eq!((notes.after(3, 7), notes.after(3, 6)), (Some(0), None));
        notes.note(1, 7);
        assert_eq!(notes.noted.len(), 2, "up to who was named");
        let all = [0, 1, 9].map(|seat| notes.after(seat, 7));
        assert_eq!(all, [Some(0), Some(1), Some(0)]);
        // This is for everybody.
        notes.begin_at(9);
        notes.note(0, 9);
        assert_eq!((notes.after(0, 8), notes.after(0, 9)), (None, Some(1)));
        notes.rest();
        assert_eq!(notes.noted.capacity(), 0);
    }
}
