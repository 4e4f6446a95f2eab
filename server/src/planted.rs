//! Faults that the simulation plants, to show that it would find them.
//!
//! Owns: which fault this thread has. Must not know: where it strikes. Invariant: without debug assertions there are
//! none, and asking costs nothing.

#[cfg(debug_assertions)]
use std::cell::Cell;

/// One thing that is done wrong, everywhere and always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A read for which no edge will come is forgotten.
    ForgottenRead,
    /// The last byte behind a request head does not go along to the home of its room.
    LostByte,
    /// What came behind a request head and could not be heard at once is not thought of again.
    ForgottenRest,
    /// A room that gathers while its fan-out runs is not listed for the next one.
    ForgottenMark,
    /// Of what a member said itself only the first part is left out.
    WrongGap,
    /// No timer fires in an iteration with events.
    SleepingTimer,
    /// Who dies with something left to say is never freed.
    LeakedSlot,
    /// A room whose members have caught up does not let its flooders be read again.
    EndlessPause,
    /// Of what has left, a player that is behind goes on being charged the overhead.
    Overcharge,
    /// Who takes nothing of what is left for it is waited for all the same.
    EndlessEbb,
    /// The first entry behind a snapshot is missing in its tail.
    LateTail,
    /// A player of roomcast.v1 whose connection ends leaves where its seat should be kept.
    DetachLeaves,
    /// Who comes back is told again what it was told last.
    DoubledEvent,
    /// Who comes back is not told the first of what it missed.
    ShortLog,
    /// A bundle says that it covers all that has been said.
    SeqTooNew,
    /// What was said to one player goes to whoever is there when it is told again.
    LateAudience,
    /// No player is told how many of its packets were applied, unless it comes back.
    LostAck,
    /// The connection that a player had before goes on speaking for it.
    DeadSpeaks,
    /// A value is told before what its author said earlier.
    HastyState,
    /// A value that has waited is told as a new one.
    Ageless,
    /// The keys of who leaves stay.
    GhostState,
    /// A key for a group is one for the group with the next number.
    GroupOff,
    /// What is said as the host of whatever term is taken for said by the host.
    Unfenced,
    /// Who was put out of its room may come back to it.
    Unbarred,
    /// A room that is locked lets in who is new.
    Ajar,
    /// Who closes its room goes from it alone.
    HalfClosed,
    /// Nobody is told that its answers have been taken at another reactor.
    LostCredit,
    /// In each round something is kept for a player of roomcast.v1 that is away.
    AwayGrows,
}

#[cfg(debug_assertions)]
thread_local! {
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Plants a fault on this thread, or takes it away.
pub fn plant(fault: Option<Fault>) {
    #[cfg(debug_assertions)]
    PLANTED.set(fault);
    #[cfg(not(debug_assertions))]
    let _ = fault;
}

/// Whether this fault is planted.
#[inline]
pub(crate) fn is(fault: Fault) -> bool {
    #[cfg(debug_assertions)]
    return PLANTED.get() == Some(fault);
    #[cfg(not(debug_assertions))]
    {
        let _ = fault;
        false
    }
}

/// Up to where a log was heard by who comes back and says `seq`: there, but for [`Fault::DoubledEvent`] and
/// [`Fault::ShortLog`]. `last`: the number of its last entry.
#[inline]
pub(crate) fn heard_up_to(seq: u64, last: u64) -> u64 {
    match seq {
        1.. if is(Fault::DoubledEvent) => seq - 1,
        _ if is(Fault::ShortLog) => last.min(seq + 1),
        _ => seq,
    }
}

/// Up to where of a log a bundle says that it tells it, which has `given` it and whose last entry is `last`: there, but for
/// [`Fault::SeqTooNew`], with which it tells one that nobody has said yet.
#[inline]
pub(crate) fn told_up_to(given: u64, last: u64) -> u64 {
    if is(Fault::SeqTooNew) {
        last + 1
    } else {
        given
    }
}

/// What goes along to another reactor of these bytes: all of them, but for [`Fault::LostByte`].
#[inline]
pub(crate) fn cut(bytes: &[u8]) -> &[u8] {
    match bytes {
        [front @ .., _] if is(Fault::LostByte) => front,
        _ => bytes,
    }
}
