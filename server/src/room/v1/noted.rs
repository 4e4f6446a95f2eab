//! What is for one receiver, noted when it was said.
//!
//! Owns: a bit for each of the last things of one sequence, of the log or of what was said of keys. Must not know: what they are,
//! how far anybody is in them. Invariant: what is for somebody by name is noted when it is said, so who asks looks at nothing else.

use crate::limits::SHARED_ENTRIES;

/// Which of the last [`SHARED_ENTRIES`] things were noted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Noted {
    /// The position of the lowest bit: of what was before, nothing is known.
    from: u64,
    bits: u64,
}

impl Noted {
    /// Of somebody for whom things are noted from this position on.
    pub fn since(from: u64) -> Self {
        Self { from, bits: 0 }
    }

    /// What is said at this position is for it.
    #[inline]
    pub fn note(&mut self, position: u64) {
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
    pub fn after(&self, position: u64) -> Option<u64> {
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
            since in 0u64..100,
            steps in prop::collection::vec(prop_oneof![4 => 1u64..5, 1 => 1u64..100], 0..60),
            back in 0u64..200,
        ) {
            let mut noted = Noted::since(since);
            let (mut at, mut model) = (since, Vec::new());
            for step in steps {
                noted.note(at);
                model.push(at);
                at += step;
            }
            let from = at.saturating_sub(back);
            let last = model.last().copied().unwrap_or(since);
            let Some(bits) = noted.after(from) else {
                prop_assert!(from < since || from + SHARED_ENTRIES as u64 <= last);
                return Ok(());
            };
            let known: Vec<u64> = (0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| from + bit).collect();
            model.retain(|at| *at >= from);
            prop_assert_eq!(known, model);
        }
    }
}
