//! What one thread counts and times.
//!
//! Owns the judgement of each delivery and where it is counted. Must not know sockets or frames.
//! Invariant: a message is counted in the stage of its *intended* time and in the class of its
//! pair, healthy or not, exactly once as delivered; what is wrong with it is counted beside that.

use roomcast_protocol::frame;

use super::clock::Nanos;
use super::ledger::{Row, Verdict};
use super::recorder::Recorder;
use super::states::{self, Values};
use crate::outcome::Counts;
use crate::payload::{Codec, Stamp};

/// The measured time: intended send times from `from` up to but not including `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Where the warm-up ends.
    pub(crate) from: Nanos,
    /// Where the traffic ends.
    pub(crate) to: Nanos,
}

/// Counts by class: a healthy pair's measured and warm-up messages, and everyone else's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Between healthy clients, measured.
    pub(crate) healthy: Counts,
    /// Between healthy clients, before the measured time.
    pub(crate) warmup: Counts,
    /// From or to a misbehaving client, whenever.
    pub(crate) misbehaving: Counts,
}

impl Tally {
    /// All deliveries that were accepted.
    #[inline]
    pub(crate) fn delivered(&self) -> u64 {
        self.healthy.delivered + self.warmup.delivered + self.misbehaving.delivered
    }

    /// All messages that were written.
    #[inline]
    pub(crate) fn sent(&self) -> u64 {
        self.healthy.sent + self.warmup.sent + self.misbehaving.sent
    }

    /// Deliveries between healthy clients that have not happened yet.
    #[inline]
    pub(crate) fn outstanding(&self) -> u64 {
        [&self.healthy, &self.warmup]
            .iter()
            .map(|counts| counts.missing())
            .sum()
    }

    /// Everything that should not have come, or not like this.
    pub(crate) fn wrong(&self) -> u64 {
        [&self.healthy, &self.warmup, &self.misbehaving]
            .iter()
            .map(|c| c.duplicates + c.reordered + c.corrupted + c.leaked + c.own_echoed)
            .sum()
    }

    /// Adds another thread's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.healthy.add(&other.healthy);
        self.warmup.add(&other.warmup);
        self.misbehaving.add(&other.misbehaving);
    }
}

/// Why something can't have come from who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The relay says that it was somebody else.
    Author,
    /// It was said to others.
    Audience,
}

/// An event as a relay tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) kind: frame::MessageKind,
    /// What it says of itself is right: whether it was for all others, and of nobody in particular.
    pub(crate) is_plain: bool,
}

/// A value of a key as a relay tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stated<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) kind: frame::MessageKind,
    pub(crate) key: u32,
}

/// Everything that one thread measures about messages.
#[derive(Debug)]
pub(crate) struct Measure {
    /// The measured time; set when traffic begins.
    pub(crate) window: Window,
    /// Counts.
    pub(crate) tally: Tally,
    /// Latency of measured healthy deliveries in this interval.
    pub(crate) latency: Box<Recorder>,
    /// The same deliveries of the whole run, from the time they were really written.
    pub(crate) uncorrected: Recorder,
    /// Latency of measured deliveries from or to a misbehaving client, and of those that waited for a connection.
    pub(crate) misbehaving: Recorder,
    /// Intended to tried, of measured messages whose sender was connected.
    pub(crate) send_lag: Recorder,
    codec: Codec,
    kind: frame::MessageKind,
}

impl Measure {
    /// For messages as `codec` writes them. Nothing is in the window yet.
    pub(crate) fn new(codec: Codec, kind: frame::MessageKind) -> Self {
        Self {
            window: Window {
                from: Nanos::MAX,
                to: Nanos::MAX,
            },
            tally: Tally::default(),
            latency: Box::new(Recorder::new()),
            uncorrected: Recorder::new(),
            misbehaving: Recorder::new(),
            send_lag: Recorder::new(),
            codec,
            kind,
        }
    }

    /// The codec of the run.
    pub(crate) fn codec(&self) -> &Codec {
        &self.codec
    }

    /// A message was read at `now`.
    #[inline]
    pub(crate) fn delivery(
        &mut self,
        row: &mut Row<'_>,
        kind: frame::MessageKind,
        payload: &[u8],
        now: Nanos,
    ) {
        match self.codec.read(payload) {
            Some(stamp) if kind == self.kind => self.judge(row, &stamp, 0, now),
            _ => self.of_receiver(row).corrupted += 1,
        }
    }

    /// An event was read at `now`. Of who sent it, by its stamp, `since` tells since when neither that player nor the
    /// receiver has lost its connection, or why it can't be.
    #[inline]
    pub(crate) fn event(
        &mut self,
        row: &mut Row<'_>,
        event: &Heard<'_>,
        since: impl FnOnce(u16) -> Result<Nanos, Wrong>,
        now: Nanos,
    ) {
        let stamp = self.codec.read(event.payload);
        let stamp = stamp.filter(|_| event.is_plain && event.kind == self.kind);
        let since = stamp.map(|stamp| match row.receiver.is_of_room(&stamp) {
            true => since(stamp.sender),
            false => Ok(0),
        });
        match stamp.zip(since) {
            Some((stamp, Ok(since))) => self.judge(row, &stamp, since, now),
            Some((_, Err(Wrong::Audience))) => self.of_receiver(row).leaked += 1,
            Some((_, Err(Wrong::Author))) | None => self.of_receiver(row).corrupted += 1,
        }
    }

    /// A value was read at `now`; `since` is as for an event.
    #[inline]
    pub(crate) fn state(
        &mut self,
        row: &mut states::Row<'_>,
        stated: &Stated<'_>,
        since: impl FnOnce(u16) -> Result<Nanos, Wrong>,
        now: Nanos,
    ) {
        let stamp = self.codec.read(stated.payload);
        let stamp = stamp.filter(|_| stated.kind == self.kind);
        let since = stamp.map(|stamp| match row.receiver.is_of_room(&stamp) {
            true if row.key_of(&stamp) != stated.key => Err(Wrong::Author),
            true => since(stamp.sender),
            false => Ok(0),
        });
        let (stamp, since) = match stamp.zip(since) {
            Some((stamp, Ok(since))) => (stamp, since),
            Some((_, Err(Wrong::Audience))) => {
                self.of_member(row.receiver.is_healthy()).leaked += 1;
                return;
            }
            Some((_, Err(Wrong::Author))) | None => {
                self.of_member(row.receiver.is_healthy()).corrupted += 1;
                return;
            }
        };
        let (verdict, excused) = row.check(&stamp, since);
        self.excuse_values(excused);
        let healthy = row.receiver.is_healthy_pair(stamp.sender);
        let measured = stamp.intended_ns >= self.window.from;
        let counts = self.of_pair(healthy, measured);
        match verdict {
            states::Verdict::Fresh => {
                counts.delivered += 1;
                self.time(&stamp, (healthy, measured), since, now);
            }
            states::Verdict::Again => {}
            states::Verdict::Duplicate => counts.duplicates += 1,
            states::Verdict::Stale => counts.reordered += 1,
            states::Verdict::Leaked => self.of_member(row.receiver.is_healthy()).leaked += 1,
            states::Verdict::Echo => self.of_member(row.receiver.is_healthy()).own_echoed += 1,
        }
    }

    /// What came for a receiver is not what it should be, if `is_wrong`.
    pub(crate) fn corrupted(&mut self, row: &Row<'_>, is_wrong: bool) {
        self.of_receiver(row).corrupted += u64::from(is_wrong);
    }

    /// The relay has said that newer values took the place of these.
    #[inline]
    pub(crate) fn superseded(&mut self, values: Values) {
        if values != Values::NONE {
            self.tally.misbehaving.superseded += values.apart;
            self.tally.warmup.superseded += values.warmup;
            self.tally.healthy.superseded += values.measured;
        }
    }

    /// These values need not have come.
    #[inline]
    pub(crate) fn excuse_values(&mut self, values: Values) {
        if values != Values::NONE {
            for (counts, values) in [
                (&mut self.tally.warmup, values.warmup),
                (&mut self.tally.healthy, values.measured),
            ] {
                counts.expected = counts.expected.saturating_sub(values);
            }
        }
    }

    /// A message of this run was read at `now`. What was due before `since` waited for a connection.
    #[inline(always)]
    fn judge(&mut self, row: &mut Row<'_>, stamp: &Stamp, since: Nanos, now: Nanos) {
        let verdict = row.check(stamp);
        let healthy = row.receiver.is_healthy_pair(stamp.sender);
        let measured = stamp.intended_ns >= self.window.from;
        let counts = self.of_pair(healthy, measured);
        match verdict {
            Verdict::Fresh => {}
            Verdict::Late => counts.reordered += 1,
            Verdict::Duplicate => {
                counts.duplicates += 1;
                return;
            }
            Verdict::Leaked => {
                self.of_receiver(row).leaked += 1;
                return;
            }
            Verdict::Echo => {
                self.of_receiver(row).own_echoed += 1;
                return;
            }
        }
        counts.delivered += 1;
        self.time(stamp, (healthy, measured), since, now);
    }

    /// Times a delivery.
    #[inline(always)]
    fn time(&mut self, stamp: &Stamp, (healthy, measured): (bool, bool), since: Nanos, now: Nanos) {
        if measured {
            let latency = now.saturating_sub(stamp.intended_ns);
            if healthy && stamp.intended_ns >= since {
                self.latency.record(latency);
                self.uncorrected
                    .record(latency.saturating_sub(stamp.delay_ns));
            } else {
                self.misbehaving.record(latency);
            }
        }
    }

    /// A message fell due at `due`.
    #[inline]
    pub(crate) fn fell_due(&mut self, healthy: bool, due: Nanos) {
        self.of_sender(healthy, due).offered += 1;
    }

    /// The sender of a message that just fell due is connected, and it is `now`.
    #[inline]
    pub(crate) fn tried(&mut self, healthy: bool, due: Nanos, now: Nanos) {
        if healthy && due >= self.window.from {
            self.send_lag.record(now.saturating_sub(due));
        }
    }

    /// A message that was due at `due` is never to be sent: its sender is not connected.
    #[cold]
    pub(crate) fn unconnected(&mut self, healthy: bool, due: Nanos) {
        self.of_sender(healthy, due).unconnected += 1;
    }

    /// So many deliveries between healthy clients of messages that were due at `due` need not happen.
    #[cold]
    pub(crate) fn excused(&mut self, due: Nanos, deliveries: u64) {
        let counts = self.of_sender(true, due);
        counts.expected = counts.expected.saturating_sub(deliveries);
    }

    /// What was due at `due` is not to be sent any more, and nobody is to blame.
    #[cold]
    pub(crate) fn withdrawn(&mut self, healthy: bool, due: Nanos) {
        self.of_sender(healthy, due).offered -= 1;
    }

    /// A message that just fell due found its socket full.
    pub(crate) fn blocked(&mut self, healthy: bool, due: Nanos) {
        self.of_sender(healthy, due).blocked += 1;
    }

    /// A message that was due at `due` is wholly written; `receivers` healthy clients must get it.
    #[inline]
    pub(crate) fn sent(&mut self, healthy: bool, due: Nanos, now: Nanos, receivers: u64) {
        let in_time = now < self.window.to;
        let counts = self.of_sender(healthy, due);
        counts.sent += 1;
        counts.sent_in_time += u64::from(in_time);
        if healthy {
            counts.expected += receivers;
        }
    }

    #[inline]
    fn of_sender(&mut self, healthy: bool, due: Nanos) -> &mut Counts {
        self.of_pair(healthy, due >= self.window.from)
    }

    #[inline(always)]
    fn of_pair(&mut self, healthy: bool, measured: bool) -> &mut Counts {
        if !healthy {
            &mut self.tally.misbehaving
        } else if measured {
            &mut self.tally.healthy
        } else {
            &mut self.tally.warmup
        }
    }

    /// For what cannot be charged to a pair or a stage.
    #[cold]
    fn of_receiver(&mut self, row: &Row<'_>) -> &mut Counts {
        self.of_member(row.receiver.is_healthy())
    }

    #[cold]
    fn of_member(&mut self, healthy: bool) -> &mut Counts {
        self.of_pair(healthy, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ledger::Ledger;
    use crate::payload::Room;
    use crate::scenario::MessageKind;
    use frame::MessageKind::{Binary, Text};

    const ROOM: Room = Room::new(9, 0);

    fn measure() -> (Measure, Ledger) {
        let codec = Codec::new(MessageKind::Binary, 64, 1);
        let mut measure = Measure::new(codec, Binary);
        measure.window = Window {
            from: 1_000_000,
            to: 2_000_000,
        };
        let mut ledger = Ledger::default();
        ledger.add_room(ROOM, 3, 3, 2);
        (measure, ledger)
    }

    fn payload(measure: &Measure, sender: u16, sequence: u32, intended_ns: Nanos) -> Vec<u8> {
        let mut out = Vec::new();
        let stamp = Stamp {
            room: ROOM,
            sender,
            sequence,
            intended_ns,
            delay_ns: 320,
        };
        measure.codec().write(&stamp, &mut out);
        out
    }

    #[test]
    fn each_delivery_is_counted_in_its_class() {
        let (mut measure, mut ledger) = measure();
        for (member, sender, sequence, intended) in [
            (0, 1, 0, 999_999),   // warm-up
            (0, 1, 1, 1_000_000), // measured
            (0, 1, 1, 1_000_000), // again
            (0, 1, 3, 1_200_000), // after a gap
            (0, 1, 2, 1_100_000), // late
            (0, 2, 0, 1_000_000), // from a misbehaving sender
            (2, 0, 0, 1_000_000), // to a misbehaving receiver
            (0, 0, 0, 1_000_000), // its own
        ] {
            let payload = payload(&measure, sender, sequence, intended);
            measure.delivery(&mut ledger.row(0, member), Binary, &payload, 1_500_000);
        }
        let tally = measure.tally;
        assert_eq!(tally.warmup.delivered, 1);
        assert_eq!(tally.healthy.delivered, 3);
        assert_eq!(tally.healthy.duplicates, 1);
        assert_eq!(tally.healthy.reordered, 1);
        assert_eq!(tally.healthy.own_echoed, 1);
        assert_eq!(tally.misbehaving.delivered, 2);
        assert_eq!(tally.delivered(), 6);
        assert_eq!(tally.wrong(), 3);
        let latency = measure.latency.to_histogram();
        assert_eq!(latency.len(), 3);
        assert_eq!(latency.max(), latency.highest_equivalent(500_000));
        let uncorrected = measure.uncorrected.to_histogram();
        assert_eq!(uncorrected.len(), 3);
        assert_eq!(uncorrected.max(), latency.highest_equivalent(500_000 - 320));
        assert_eq!(measure.misbehaving.to_histogram().len(), 2);
    }

    #[test]
    fn what_is_not_a_message_of_the_run_is_corrupted() {
        let (mut measure, mut ledger) = measure();
        let good = payload(&measure, 1, 0, 1_000_000);
        let mut bad = good.clone();
        bad[40] ^= 1;
        measure.delivery(&mut ledger.row(0, 0), Binary, &bad, 1_500_000);
        measure.delivery(&mut ledger.row(0, 0), Text, &good, 1_500_000);
        measure.delivery(&mut ledger.row(0, 0), Binary, b"", 1_500_000);
        measure.delivery(&mut ledger.row(0, 2), Binary, b"", 1_500_000);
        assert_eq!(measure.tally.healthy.corrupted, 3);
        assert_eq!(measure.tally.misbehaving.corrupted, 1);
        assert_eq!(measure.tally.delivered(), 0);
        measure.delivery(&mut ledger.row(0, 0), Binary, &good, 1_500_000);
        assert_eq!(measure.tally.healthy.delivered, 1);
    }

    #[test]
    fn an_event_is_what_was_sent_by_whom_it_was_sent() {
        let (mut measure, mut ledger) = measure();
        let payload = payload(&measure, 1, 0, 1_000_000);
        let good = Heard {
            payload: &payload,
            kind: Binary,
            is_plain: true,
        };
        let mut hear = |event: Heard<'_>, author| {
            let since = |sender| match sender == author {
                true => Ok(0),
                false => Err(Wrong::Author),
            };
            measure.event(&mut ledger.row(0, 0), &event, since, 1_500_000);
            (
                measure.tally.healthy.corrupted,
                measure.tally.healthy.delivered,
            )
        };
        assert_eq!(hear(Heard { kind: Text, ..good }, 1), (1, 0));
        let addressed = Heard {
            is_plain: false,
            ..good
        };
        assert_eq!(hear(addressed, 1), (2, 0));
        assert_eq!(hear(good, 2), (3, 0));
        assert_eq!(hear(good, 1), (3, 1));
    }

    #[test]
    fn a_value_is_what_was_set_under_its_key() {
        let (mut measure, _) = measure();
        let room = Room::of_states(9, 0);
        let mut states = states::States::new(2);
        states.add_room(room, 3, 3, 2);
        states.measured(1, 0);
        let payload = |measure: &Measure, sequence, intended_ns| {
            let mut out = Vec::new();
            let stamp = Stamp {
                room,
                sender: 1,
                sequence,
                intended_ns,
                delay_ns: 320,
            };
            measure.codec().write(&stamp, &mut out);
            out
        };
        for (sequence, key, kind, author) in [
            (0, 0, Binary, 1),
            (0, 0, Binary, 1), // again
            (1, 0, Binary, 1), // under another key
            (1, 1, Text, 1),
            (1, 1, Binary, 2), // of somebody else
            (4, 0, Binary, 1), // 2 was passed over
            (1, 1, Binary, 1),
        ] {
            let payload = payload(&measure, sequence, 1_000_000);
            let stated = Stated {
                payload: &payload,
                kind,
                key,
            };
            let since = |sender| match sender == author {
                true => Ok(0),
                false => Err(Wrong::Author),
            };
            measure.state(&mut states.row(0, 0), &stated, since, 1_500_000);
        }
        // An event in its place is of another run.
        let event = self::payload(&measure, 1, 0, 1_000_000);
        let stated = Stated {
            payload: &event,
            kind: Binary,
            key: 0,
        };
        measure.state(&mut states.row(0, 0), &stated, |_| Ok(0), 1_500_000);
        measure.sent(true, 1_000_000, 1_100_000, 5);
        measure.superseded(states.row(0, 0).told(1));
        measure.excuse_values(Values {
            measured: 1,
            ..Values::NONE
        });
        let counts = measure.tally.healthy;
        assert_eq!((counts.delivered, counts.duplicates), (3, 1));
        assert_eq!((counts.corrupted, counts.leaked), (3, 1));
        assert_eq!((counts.expected, counts.superseded), (4, 1));
        assert_eq!(measure.tally.outstanding(), 0);
        assert_eq!(measure.latency.to_histogram().len(), 3);
    }

    #[test]
    fn sends_are_counted_by_intended_time_and_judged_by_the_real_one() {
        let (mut measure, _) = measure();
        for (healthy, due, now) in [
            (true, 999_999, 1_000_001),
            (true, 1_000_000, 1_000_001),
            (true, 1_999_999, 2_000_000),
            (false, 1_000_000, 1_000_001),
        ] {
            measure.fell_due(healthy, due);
            measure.tried(healthy, due, now);
            measure.sent(healthy, due, now, 5);
        }
        let tally = measure.tally;
        for (counts, offered, in_time, expected) in [
            (tally.warmup, 1, 1, 5),
            (tally.healthy, 2, 1, 10),
            (tally.misbehaving, 1, 1, 0),
        ] {
            assert_eq!(counts.offered, offered);
            assert_eq!(counts.sent, offered);
            assert_eq!(counts.sent_in_time, in_time);
            assert_eq!(counts.expected, expected);
        }
        assert_eq!(tally.outstanding(), 15);
        assert_eq!(measure.send_lag.to_histogram().len(), 2);
    }
}
