//! How much of an iteration those may take who do not play, or not yet.

/// Connections accepted in one iteration (budget): a connect storm must not starve the seated players.
pub const ACCEPT_BUDGET: usize = 64;

/// Who shakes hands and makes room in one iteration, where descriptors have run out (budget): about as many as are accepted in
/// [`STRANGERS_SLICE_US`], for an end costs as much as a beginning.
pub const EVICTED_BUDGET: usize = 16;

/// Reads of who does not play, or accepts, between two looks at the clock that tell whether their slice is over: one takes some 10 us,
/// which is more than a read of somebody who plays.
pub const STRANGERS_PER_LOOK: u32 = 4;

/// Microseconds of an iteration for the reads of who does not play, and as many to accept at each door (budget): as long as
/// those who play took in it, but not less than this. Connections that come by the thousand may delay a player by so much.
pub const STRANGERS_SLICE_US: u64 = 200;

/// Nor more than this (budget).
pub const STRANGERS_SLICE_MAX_US: u64 = 4_000;
