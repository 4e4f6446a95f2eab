//! The messages of one thread: when they are due, how they are written down, and what became of them.
//!
//! Owns the schedule, the encoding and the judgement of what comes. Must not know sockets or threads.
//! Invariant: `unsent` is how many messages of connected healthy senders are due and not wholly written.

use std::collections::HashMap;

use roomcast_protocol::frame;
use roomcast_protocol::v1::{BUNDLE_BYTES_MAX, VARINT_BYTES_MAX};

use super::values::Values;
use super::writing::Writing;
use crate::engine::client::Client;
use crate::engine::clock::Nanos;
use crate::engine::groups::Layout;
use crate::engine::ledger::{Excuse, Ledger};
use crate::engine::measure::{Measure, Window};
use crate::engine::plan::RoomPlan;
use crate::engine::schedule::{Period, Ring};
use crate::engine::session::{PACKET_HEAD_MAX, Seats, Speech};
use crate::payload::{Codec, Room, Stamp};
use crate::scenario::{Dialect, MessageKind, Scenario};

/// Bytes of messages that one write may carry, if a client has several due.
const BATCH_BYTES: usize = 16 * 1024;

/// Bytes that a bundle of one event has over its payload, at most.
const BUNDLE_HEAD_MAX: usize = VARINT_BYTES_MAX + PACKET_HEAD_MAX;

/// A thread's messages.
pub(super) struct Traffic {
    start: Nanos,
    period: Period,
    /// What phases are parts of.
    phase_period: Period,
    has_messages: bool,
    ring: Ring,
    unsent: u64,
    /// Who hears whom in each room.
    pub(super) layouts: Vec<Layout>,
    /// By client: healthy members when traffic began who get what it says, itself too if it is one of them.
    receivers: Vec<u32>,
    /// The first client of each room.
    firsts: Vec<u32>,
    /// What a frame from the server may be.
    pub(super) rules: frame::Rules,
    pub(super) ledger: Ledger,
    pub(super) seats: Seats,
    pub(super) values: Values,
    pub(super) measure: Measure,
    pub(super) writing: Writing,
}

impl Traffic {
    /// Of these rooms; nothing is due yet.
    pub(super) fn new(run: u32, scenario: &Scenario, rooms: &[RoomPlan]) -> Self {
        let kind = match scenario.kind {
            MessageKind::Binary => frame::MessageKind::Binary,
            MessageKind::Text => frame::MessageKind::Text,
        };
        let opcode = frame::Opcode::from(kind);
        let header = frame::header(true, opcode, scenario.size, Some([0; 4]));
        let mut ledger = Ledger::default();
        for room in rooms {
            let name = Room::new(run, room.number);
            ledger.add_room(name, room.members, room.senders, room.healthy);
        }
        let members: u32 = rooms.iter().map(|room| room.members).sum();
        let codec = Codec::new(scenario.kind, scenario.size, scenario.seed);
        let period = Period::of_rate(scenario.rate_hz);
        Self {
            start: 0,
            period,
            phase_period: Period::of_rate(scenario.phase_hz()),
            has_messages: scenario.rate_hz > 0.0,
            ring: Ring::new(Vec::new(), period, 0),
            unsent: 0,
            layouts: { rooms.iter() }
                .map(|room| Layout::new(scenario.play.groups, room.members))
                .collect(),
            receivers: vec![0; members as usize],
            firsts: { rooms.iter() }
                .scan(0, |next, room| {
                    *next += room.members;
                    Some(*next - room.members)
                })
                .collect(),
            rules: frame::Rules {
                role: frame::Role::Client,
                max_message: match scenario.dialect {
                    Dialect::Raw => scenario.size,
                    Dialect::V1 => BUNDLE_BYTES_MAX.max(scenario.size + BUNDLE_HEAD_MAX),
                },
            },
            ledger,
            seats: match scenario.dialect {
                Dialect::Raw => Seats::default(),
                Dialect::V1 => Seats::new(members as usize),
            },
            values: Values::new(run, scenario, rooms),
            measure: Measure::new(codec, kind),
            writing: Writing {
                run,
                opcode,
                kind: scenario.kind,
                frame_len: header.as_bytes().len() + scenario.size,
                payload: Vec::new(),
                message: Vec::new(),
                out: Vec::new(),
            },
        }
    }

    /// The clients that are in their rooms now are who must get what is sent from `start` on.
    pub(super) fn begin(&mut self, start: Nanos, window: Window, clients: &[Client]) {
        self.start = start;
        self.measure.window = window;
        self.count_receivers(clients);
        self.values.begin(start, self.phase_period, clients);
        if !self.has_messages {
            return;
        }
        let slots = clients.iter().zip(0..);
        let slots = slots.filter_map(|(client, index)| Some((client.plan.phase?, index)));
        self.ring = Ring::new(slots.collect(), self.period, start);
    }

    /// Counts who gets what each client says.
    fn count_receivers(&mut self, clients: &[Client]) {
        let healthy = |client: &&Client| client.is_joined() && client.is_healthy();
        for (index, layout) in self.layouts.iter().enumerate() {
            let first = self.firsts[index] as usize;
            let end = self
                .firsts
                .get(index + 1)
                .map_or(clients.len(), |end| *end as usize);
            let members = &clients[first..end];
            let mut sizes: HashMap<Option<u32>, u32> = HashMap::new();
            for client in members.iter().filter(healthy) {
                let groups = layout.groups_of(client.plan.member);
                let groups: Vec<_> = match layout {
                    Layout::Whole => vec![None],
                    _ => groups.into_iter().map(Some).collect(),
                };
                groups
                    .into_iter()
                    .for_each(|group| *sizes.entry(group).or_default() += 1);
            }
            for client in members {
                let to = layout.speaks_to(client.plan.member);
                let at = first + client.plan.member as usize;
                self.receivers[at] = sizes.get(&to).copied().unwrap_or(0);
            }
        }
    }

    /// Ends before its time, which is `now`.
    pub(super) fn stop(&mut self, now: Nanos) {
        let window = &mut self.measure.window;
        window.to = window.to.min(now);
        // Then nothing was measured: all that was sent was warm-up.
        window.from = window.from.min(window.to);
    }

    /// When the next message is due; `Nanos::MAX`: no further one.
    #[inline]
    pub(super) fn due(&self) -> Nanos {
        self.within(self.ring.due())
    }

    /// When the next value is due; `Nanos::MAX`: no further one.
    #[inline]
    pub(super) fn value_due(&self) -> Nanos {
        self.within(self.values.due())
    }

    #[inline]
    fn within(&self, due: Nanos) -> Nanos {
        if due < self.measure.window.to {
            due
        } else {
            Nanos::MAX
        }
    }

    /// Takes the next message: when it is due, and whose it is.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(Nanos, u32)> {
        self.ring.pop()
    }

    /// Takes the next message if it is due at `now` and of this client.
    #[inline]
    pub(super) fn pop_of(&mut self, index: u32, now: Nanos) -> Option<Nanos> {
        if self.due() <= now && self.ring.whose() == Some(index) {
            return self.ring.pop().map(|(due, _)| due);
        }
        None
    }

    /// Whether everything that is due has been written and has arrived, and who lost its connection is back.
    pub(super) fn is_over(&self, clients: &[Client]) -> bool {
        self.unsent == 0
            && self.values.are_said()
            && {
                let excused = self.ledger.excuses().flat_map(|e| self.dues(clients, e));
                self.measure.tally.outstanding() <= excused.count() as u64
            }
            && !{ clients.iter() }.any(|client| client.is_healthy() && client.speech.is_lost())
    }

    /// What healthy receivers have missed who were told so need not have come.
    pub(super) fn excuse(&mut self, clients: &[Client]) {
        for excuse in self.ledger.take_excuses() {
            let dues: Vec<Nanos> = self.dues(clients, excuse).collect();
            for due in dues {
                self.measure.excused(due, 1);
            }
        }
    }

    /// When those messages of an excuse were due that have been sent.
    fn dues(&self, clients: &[Client], excuse: Excuse) -> impl Iterator<Item = Nanos> {
        let client = &clients[excuse.sender as usize];
        let sequences = excuse.sequences.start..excuse.sequences.end.min(client.sequence);
        sequences
            .map(|sequence| self.due_of(client, sequence, client.skipped))
            .take_while(move |due| *due <= excuse.by)
    }

    /// The last `count` messages that the client has written will never arrive: it was told so.
    pub(super) fn take_back(&mut self, client: &Client, count: usize) {
        if count == 0 || !client.is_healthy() {
            return;
        }
        let others = self.others(client);
        let first = client.sequence.saturating_sub(count as u32);
        for sequence in first..client.sequence {
            let due = self.due_of(client, sequence, client.skipped);
            self.measure.excused(due, others);
        }
    }

    /// A message of this client is due. Tells whether it is to be written, and if its lateness belongs to the measured
    /// time.
    #[inline]
    pub(super) fn fell_due(&mut self, client: &mut Client, due: Nanos, now: Nanos) -> Option<bool> {
        let healthy = client.is_healthy();
        self.measure.fell_due(healthy, due);
        client.due += 1;
        if !client.is_playing() {
            client.skip_pending();
            self.measure.unconnected(healthy, due);
            return None;
        }
        self.measure.tried(healthy, due, now);
        self.unsent += u64::from(healthy);
        if client.blocked {
            self.measure.blocked(healthy, due);
        }
        Some(due >= self.measure.window.from)
    }

    /// Writes some of the messages that are due down, stamped with `now`, and tells how many.
    pub(super) fn encode(
        &mut self,
        client: &Client,
        room: u32,
        random: &mut fastrand::Rng,
        now: Nanos,
    ) -> u32 {
        let pending = client.pending() as usize;
        let batch = pending.min((BATCH_BYTES / self.writing.frame_len).max(1)) as u32;
        self.writing.out.clear();
        for ahead in 0..batch {
            let stamp = self.stamp(client, room, ahead, now);
            let writing = &mut self.writing;
            writing.payload.clear();
            self.measure.codec().write(&stamp, &mut writing.payload);
            let key = random.u32(..).to_le_bytes();
            frame::encode_masked(&mut writing.out, writing.opcode, &writing.payload, key);
        }
        batch
    }

    /// The same for a player: its machine gets as many of the messages as it takes now, and its next message to the
    /// relay is written down. Tells how many it got; `None`: it has nothing to say.
    pub(super) fn say(
        &mut self,
        (index, client): (u32, &mut Client),
        room: u32,
        random: &mut fastrand::Rng,
        now: Nanos,
    ) -> Option<u32> {
        let Speech::V1(session) = &mut client.speech else {
            return None;
        };
        let mut session = session.take()?;
        let mut batch = 0;
        // All of one moment goes at once: an aligned player has only one in each tick.
        let any = client.pending() > 0 || self.values.are_pending(index);
        let says = client.is_joined() && any && !session.waits(now);
        if says && client.pending() > 0 {
            let values = self.values.ready(index) * self.writing.frame_len;
            let bytes = BATCH_BYTES.saturating_sub(values);
            let room_for = (bytes / self.writing.frame_len).max(1);
            let most = room_for.min(session.allowance(now)) as u32;
            while batch < most.min(client.pending()) {
                let stamp = self.stamp(client, room, batch, now);
                if !session.say(self.writing.payload_of(&stamp, &self.measure)) {
                    break;
                }
                batch += 1;
            }
        }
        if says && self.values.are_pending(index) {
            let name = Room::of_states(self.writing.run, room);
            let others = self.others(client);
            self.values.say(
                (index, client),
                &mut session,
                (&mut self.measure, &mut self.writing),
                (name, others),
                now,
            );
        }
        let Writing { message, out, .. } = &mut self.writing;
        message.clear();
        let any = session.transmit(now, message);
        client.speech = Speech::V1(Some(session));
        if !any {
            return None;
        }
        out.clear();
        let key = random.u32(..).to_le_bytes();
        frame::encode_masked(out, frame::Opcode::Binary, message, key);
        Some(batch)
    }

    /// What the client's message that is so many behind the next says of itself, at `now`.
    #[inline]
    fn stamp(&self, client: &Client, room: u32, ahead: u32, now: Nanos) -> Stamp {
        let sequence = client.sequence + ahead;
        let intended_ns = self.due_of(client, sequence, client.skipped);
        Stamp {
            room: Room::new(self.writing.run, room),
            sender: client.plan.member as u16,
            sequence,
            intended_ns,
            delay_ns: now.saturating_sub(intended_ns),
        }
    }

    /// Healthy clients who must get what this one says.
    #[inline]
    fn others(&self, client: &Client) -> u64 {
        // A healthy sender is one of the receivers itself.
        let first = self.firsts[client.plan.room as usize];
        let receivers = u64::from(self.receivers[(first + client.plan.member) as usize]);
        receivers.saturating_sub(u64::from(client.is_healthy()))
    }

    /// When the message with this sequence number was due, before which `skipped` were given up.
    fn due_of(&self, client: &Client, sequence: u32, skipped: u32) -> Nanos {
        let phase = client.plan.phase.unwrap_or_default();
        let k = u64::from(sequence) + u64::from(skipped);
        self.start + phase + self.period.offset(k)
    }

    /// The client's connection is ending: what it still has to send is never to be sent, but for
    /// the first `kept` that are begun. `counted`: it is not the generator that gives them up.
    pub(super) fn give_up(&mut self, (index, client): (u32, &Client), kept: u32, counted: bool) {
        let healthy = client.is_healthy();
        self.values
            .give_up((index, client), counted, &mut self.measure);
        let pending = client.pending();
        if healthy {
            self.unsent -= u64::from(pending.saturating_sub(kept));
        }
        if !counted {
            return;
        }
        for ahead in kept..pending {
            let skipped = if ahead < client.begun {
                client.begun_skipped
            } else {
                client.skipped
            };
            let due = self.due_of(client, client.sequence + ahead, skipped);
            self.measure.unconnected(healthy, due);
        }
    }

    /// What was begun is wholly written now.
    pub(super) fn count_begun(&mut self, client: &mut Client, now: Nanos) {
        let (begun, skipped) = (std::mem::take(&mut client.begun), client.begun_skipped);
        self.count_sent(client, begun, skipped, now);
    }

    /// The client's next messages, this many, are wholly written.
    #[inline]
    pub(super) fn count_sent(&mut self, client: &mut Client, count: u32, skipped: u32, now: Nanos) {
        let healthy = client.is_healthy();
        let others = self.others(client);
        for _ in 0..count {
            let due = self.due_of(client, client.sequence, skipped);
            client.sequence += 1;
            self.unsent -= u64::from(healthy);
            self.measure.sent(healthy, due, now, others);
        }
    }
}
