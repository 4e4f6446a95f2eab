//! The ticks of a room: when what it has gathered leaves, and how near to one players speak.
//!
//! Owns: the clock of one room, and how far what was said had come at its last tick. Must not know: what was said, who gets it,
//! who wakes the room. Invariant: nothing that was said after a tick leaves before the next.
//!
//! Times are the shard's, ms: that is how finely a reactor sleeps. So a tick stands for a whole one.

use roomcast_protocol::v1::down::{self, Slack};

use super::{Room, RoomId, Seat};

/// Of a packet that there was not.
const NOTHING: i16 = i16::MAX;

/// How near to a tick a player spoke since it was told last: twice the ms before it, or one more than twice those after it, as a
/// negative number. The less, the later.
#[derive(Clone, Copy, Debug)]
struct Spoke {
    latest: i16,
    /// Of the second latest: who was late once was so by chance.
    second: i16,
    /// It was told, and nothing was said since.
    told: bool,
}

impl Spoke {
    const NEVER: Self = Self {
        latest: NOTHING,
        second: NOTHING,
        told: true,
    };

    fn note(&mut self, near: i16) {
        if self.told {
            *self = Self {
                latest: near,
                second: NOTHING,
                told: false,
            };
        } else if near < self.latest {
            (self.latest, self.second) = (near, self.latest);
        } else {
            self.second = self.second.min(near);
        }
    }

    fn tell(&mut self) -> Slack {
        self.told = true;
        let near = match self.second {
            NOTHING => self.latest,
            second => second,
        };
        match near {
            NOTHING => Slack::default(),
            _ => Slack {
                late: near < 0,
                micros: u64::from(near.unsigned_abs() / 2) * 1_000,
            },
        }
    }
}

/// What a room has that ticks. One that does not has none of it.
#[derive(Debug)]
pub(super) struct Ticks {
    hz: u32,
    /// When tick 0 was, or would have been.
    origin: u64,
    /// The last one on which something left.
    last: u64,
    /// When the room is to be woken for the next one, if it is.
    due: Option<u64>,
    /// Where the log was then: what was said before may leave.
    end: u64,
    /// By seat.
    spoke: Vec<Spoke>,
}

impl Ticks {
    /// Of the room in place `id`, whose life begins `now`. Places are given from 0 on, so that the golden ratio spreads the
    /// ticks of those that tick equally often as evenly as can be.
    fn new(hz: u32, id: RoomId, now: u64) -> Self {
        const GOLDEN: u32 = 0x9e37_79b9;
        let phase = (u64::from(id.wrapping_mul(GOLDEN)) * 1_000 / u64::from(hz)) >> 32;
        let before = (now * u64::from(hz) / 1_000).saturating_sub(1);
        Self {
            hz,
            origin: before * 1_000 / u64::from(hz) + phase,
            last: 0,
            due: None,
            end: 0,
            spoke: Vec::new(),
        }
    }

    /// When a tick is.
    fn time(&self, tick: u64) -> u64 {
        self.origin + (tick * 1_000).div_ceil(u64::from(self.hz))
    }

    /// The last tick by now.
    fn current(&self, now: u64) -> u64 {
        now.saturating_sub(self.origin) * u64::from(self.hz) / 1_000
    }

    /// The tick on which that leaves which is said now.
    fn next(&self, now: u64) -> u64 {
        let first = match now.saturating_sub(self.origin) {
            0 => 0,
            passed => (passed - 1) * u64::from(self.hz) / 1_000 + 1,
        };
        first.max(self.last + 1)
    }

    /// How near to a tick that is which is said now, as [`Spoke`] has it.
    fn near(&self, now: u64) -> i16 {
        let next = self.next(now);
        let ahead = self.time(next) - now;
        // Two lengths of a tick at most, so that it fits: 2 s.
        match now.checked_sub(self.time(next - 1)) {
            Some(behind) if behind < ahead => -(2 * behind as i16 + 1),
            _ => 2 * ahead as i16,
        }
    }
}

impl Room {
    /// The room in place `id`, whose life begins `now`, ticks so often in a second; not at all if that is 0.
    pub(super) fn set_ticks(&mut self, hz: u32, id: RoomId, now: u64) {
        self.ticks = (hz > 0).then(|| Box::new(Ticks::new(hz, id, now)));
    }

    /// Where that of the log ends which may leave.
    pub(super) fn end(&self) -> u64 {
        match &self.ticks {
            None => self.log.position(),
            Some(ticks) => ticks.end,
        }
    }

    /// When the room is to be woken that has something to say; None: at once. It knows that it will be.
    pub fn wait_for_tick(&mut self, now: u64) -> Option<u64> {
        let ticks = self.ticks.as_mut()?;
        ticks.due = Some(ticks.time(ticks.next(now)));
        ticks.due
    }

    /// When the room is to be woken.
    pub fn woken_at(&self) -> Option<u64> {
        self.ticks.as_ref()?.due
    }

    /// It is woken, or need not be.
    pub fn wake(&mut self) -> Option<u64> {
        self.ticks.as_mut()?.due.take()
    }

    /// A round begins: this far it goes.
    pub(super) fn tick(&mut self, now: u64) {
        if let Some(ticks) = &mut self.ticks {
            ticks.last = ticks.current(now).max(ticks.last);
            ticks.end = self.log.position();
        }
    }

    /// When that leaves, ms, for who keeps up, which is said now.
    pub(super) fn leaves_at(&self, now: u32) -> u32 {
        let ticks = self.ticks.as_ref();
        ticks.map_or(now, |ticks| ticks.time(ticks.next(now.into())) as u32)
    }

    /// The same of what is sent now.
    pub(super) fn leaves_with(&self, now: u32) -> u32 {
        let ticks = self.ticks.as_ref();
        ticks.map_or(now, |ticks| ticks.time(ticks.last) as u32)
    }

    /// Appends which tick that is of which follows.
    pub(super) fn say_tick(&self, out: &mut Vec<u8>) {
        if let Some(ticks) = &self.ticks {
            let (tick, time) = (ticks.last, ticks.time(ticks.last) * 1_000);
            down::Packet::Tick { tick, time }.encode(out);
        }
    }

    /// Who sits here has said something.
    pub fn note_slack(&mut self, seat: Seat, now: u64) {
        if let Some(ticks) = &mut self.ticks {
            let seat = seat as usize;
            if ticks.spoke.len() <= seat {
                ticks.spoke.resize(seat + 1, Spoke::NEVER);
            }
            let near = ticks.near(now);
            ticks.spoke[seat].note(near);
        }
    }

    /// Somebody else sits here, who has said nothing.
    pub(super) fn forget_slack(&mut self, seat: Seat) {
        let spoke = self.ticks.as_mut().map(|ticks| &mut ticks.spoke);
        if let Some(spoke) = spoke.and_then(|spoke| spoke.get_mut(seat as usize)) {
            *spoke = Spoke::NEVER;
        }
    }

    /// How near to a tick who sits here spoke since this was asked last, or before that if it said nothing since.
    pub(super) fn tell_slack(&mut self, seat: Seat) -> Slack {
        let spoke = self.ticks.as_mut().map(|ticks| &mut ticks.spoke);
        let spoke = spoke.and_then(|spoke| spoke.get_mut(seat as usize));
        spoke.map_or(Slack::default(), Spoke::tell)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_said_leaves_on_the_first_tick_from_then_on(
            hz in 1u32..=128, id in 0u32..5_000, begin in 0u64..10_000_000, said in 0u64..100_000,
        ) {
            let mut ticks = Ticks::new(hz, id, begin);
            let now = begin + said;
            let next = ticks.next(now);
            prop_assert!(next > 0 && ticks.time(next) >= now);
            prop_assert!(next == 1 || ticks.time(next - 1) < now);
            prop_assert!(ticks.time(next) - now <= 2_000_u64.div_ceil(u64::from(hz)));
            let at = ticks.time(next);
            prop_assert_eq!(ticks.current(at), next);
            prop_assert!(at == 0 || ticks.current(at - 1) < next);
            // Once it was, what is said in the same millisecond waits for another.
            ticks.last = next;
            prop_assert_eq!(ticks.next(at), next + 1);
            prop_assert_eq!(ticks.near(at), -1);
            // In a second there are as many as there should be.
            prop_assert_eq!(ticks.time(next + u64::from(hz)) - at, 1_000);
        }
    }

    #[test]
    fn slack_is_to_the_nearer_tick() {
        let ticks = Ticks::new(20, 0, 0);
        let near = [50, 51, 70, 75, 76, 99, 100].map(|now| ticks.near(now));
        assert_eq!(near, [0, -3, -41, 50, 48, 2, 0]);
    }

    #[test]
    fn of_what_was_said_since_it_was_told_the_second_latest_counts() {
        let mut spoke = Spoke::NEVER;
        let mut told = |near: &[i16]| {
            near.iter().for_each(|&near| spoke.note(near));
            let Slack { late, micros } = spoke.tell();
            (late, micros / 1_000)
        };
        assert_eq!(told(&[]), (false, 0));
        assert_eq!(told(&[-5]), (true, 2));
        assert_eq!(told(&[]), (true, 2), "nothing was said since");
        assert_eq!(told(&[8, -41, 6, 10]), (false, 3));
        assert_eq!(told(&[-41, -1, 6]), (true, 0));
    }

    /// However many rooms were made, in each part of a second about as many tick.
    #[test]
    fn rooms_that_tick_equally_often_do_so_at_different_times() {
        for rooms in [10, 100, 1_000] {
            let mut at = [0; 5];
            for id in 0..rooms {
                let ticks = Ticks::new(20, id, 12_345);
                at[(ticks.time(7) % 50 / 10) as usize] += 1;
            }
            let even = rooms / 5;
            assert!(
                at.iter()
                    .all(|&there| (even - 1..=even + 2).contains(&there)),
                "{rooms} rooms: {at:?}"
            );
        }
    }
}
