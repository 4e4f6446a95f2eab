//! What nobody may guess: tokens of players, and lives of rooms.
//!
//! Invariant: unless it was made for a simulation, all of it comes from the system.

/// Where secrets come from.
#[derive(Debug)]
pub(in crate::shard) enum Secrets {
    /// The system's random bytes.
    System,
    /// A seed: whoever knows it knows them all.
    Seeded(fastrand::Rng),
}

impl Secrets {
    /// So many bytes.
    pub(in crate::shard) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            Self::System => getrandom::fill(&mut bytes).expect("the system has random bytes"),
            Self::Seeded(random) => random.fill(&mut bytes),
        }
        bytes
    }
}
