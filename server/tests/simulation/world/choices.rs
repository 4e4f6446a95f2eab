//! Where decisions come from.
//!
//! Owns: one stream of small numbers, out of a seed or out of a fuzzer's bytes. Must not know: what is decided.
//! Invariant: the same source makes the same decisions; bytes that are used up decide 0 for ever.

/// A source of decisions.
#[derive(Debug)]
pub(crate) enum Choices<'b> {
    /// Never used up.
    Seed(fastrand::Rng),
    /// One byte for each decision, two for one among more than 256.
    Bytes(&'b [u8]),
}

impl Choices<'_> {
    /// Whether there is nothing left to decide with.
    pub(crate) fn are_used_up(&self) -> bool {
        matches!(self, Self::Bytes([]))
    }

    /// A number below `n`, which is at most 65,536.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        debug_assert!((1..=1 << 16).contains(&n));
        let drawn = match self {
            Self::Seed(rng) => return rng.usize(..n),
            Self::Bytes(bytes) => {
                let mut drawn = 0;
                for _ in 0..if n > 256 { 2 } else { 1 } {
                    let Some((&first, rest)) = bytes.split_first() else {
                        return 0;
                    };
                    *bytes = rest;
                    drawn = drawn << 8 | usize::from(first);
                }
                drawn
            }
        };
        drawn % n
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}
