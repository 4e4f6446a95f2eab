//! Dialects: what messages look like to those who receive them.

/// How messages are written for a receiver. Everybody in a room hears the same messages, each in its own dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// A message as it came, in one frame of its own.
    Raw,
    /// Who said it stands before the message. It proves that a room can speak more than one dialect; no program has it.
    #[cfg(feature = "test-dialect")]
    Test,
}

impl Dialect {
    /// All dialects, in the order of [`Dialect::index`].
    #[cfg(not(feature = "test-dialect"))]
    pub const ALL: [Self; 1] = [Self::Raw];
    /// All dialects, in the order of [`Dialect::index`].
    #[cfg(feature = "test-dialect")]
    pub const ALL: [Self; 2] = [Self::Raw, Self::Test];

    /// Its place in tables with one entry for each dialect.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// How many speak each dialect.
#[derive(Debug, Default)]
pub struct Speakers([u32; Dialect::ALL.len()]);

impl Speakers {
    /// One more.
    pub fn add(&mut self, dialect: Dialect) {
        self.0[dialect.index()] += 1;
    }

    /// One less.
    pub fn remove(&mut self, dialect: Dialect) {
        self.0[dialect.index()] -= 1;
    }

    /// Whether anybody speaks it.
    pub fn any(&self, dialect: Dialect) -> bool {
        self.0[dialect.index()] > 0
    }
}
