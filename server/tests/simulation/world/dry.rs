//! The reactor without I/O: a production shard, driven in exactly the order of `reactor::Running::run`.
//!
//! Owns: which wire is on which slot, carried reads, the mailbox. Must not know: players, what the bytes mean.
//! Invariant: the shard is woken only by what would wake a real reactor: an edge, mail, carried work, its deadline.

use std::collections::VecDeque;
use std::sync::Arc;

use roomcast::limits::MAIL_BUDGET;
use roomcast::shard::{Action, Common, DisconnectReason, Handover, Shard, Written};
use roomcast::transport::Port;

use super::wire::{Got, Wire};

/// A connection, by its index among all wires of the world.
pub(crate) type WireId = usize;

/// What one reactor tells another.
#[derive(Debug)]
pub(crate) enum Mail {
    Adopt(WireId, Box<Handover>),
    Accepted(WireId),
    Drain(u32),
}

/// The way out to the other mailboxes; gives the mail back if the box is full.
pub(crate) type Post<'p> = &'p mut dyn FnMut(usize, Mail) -> Result<(), Mail>;

/// What an iteration did, in order.
#[derive(Debug)]
pub(crate) enum Seen {
    /// The shard was given this many bytes: none, if it was given a connection of another shard. Then: has the
    /// connection a seat, and why does it end, if that came of it.
    Took {
        wire: WireId,
        bytes: usize,
        seated: bool,
        ended: Option<DisconnectReason>,
    },
    /// A connection ends, for something else than what it sent.
    Ended {
        wire: WireId,
        reason: DisconnectReason,
    },
    /// The socket was dropped.
    Reaped { wire: WireId },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handle {
    slot: u32,
    generation: u32,
}

#[derive(Debug, Default)]
struct Entry {
    wire: Option<WireId>,
    generation: u32,
    /// Its end has been reported.
    ended: bool,
}

/// One reactor of the simulation.
#[derive(Debug)]
pub(crate) struct Dry {
    pub(crate) shard: Shard,
    pub(crate) mailbox: VecDeque<Mail>,
    /// Connections that wait to be accepted.
    pub(crate) backlog: VecDeque<WireId>,
    /// Which event of the next poll comes first.
    pub(crate) rotation: usize,
    pub(crate) seen: Vec<Seen>,
    /// Reads that the shard did not want.
    pub(crate) refused_reads: u64,
    entries: Vec<Entry>,
    carried: Vec<(Handle, bool)>,
    buffer: Vec<u8>,
}

impl Dry {
    /// A reactor whose receive buffer has `buffer` bytes.
    pub(crate) fn new(common: Arc<Common>, index: usize, seed: u64, buffer: usize) -> Self {
        Self {
            shard: Shard::new(common, index, 0, seed),
            mailbox: VecDeque::new(),
            backlog: VecDeque::new(),
            rotation: 0,
            seen: Vec::new(),
            refused_reads: 0,
            entries: Vec::new(),
            carried: Vec::new(),
            buffer: vec![0; buffer],
        }
    }

    /// Whether a real reactor would wake up at `now`.
    pub(crate) fn wakes(&self, now: u64, wires: &[Wire]) -> bool {
        let edge = |(_, wire): (u32, WireId)| wires[wire].has_edge();
        !self.mailbox.is_empty()
            || !self.backlog.is_empty()
            || !self.carried.is_empty()
            || self.shard.has_work()
            || self.shard.next_deadline().is_some_and(|at| at <= now)
            || self.sockets().any(edge)
    }

    /// Slots with a socket.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = (u32, WireId)> + '_ {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(slot, entry)| Some((slot as u32, entry.wire?)))
    }

    /// Whether there are reads for which no edge will come.
    pub(crate) fn has_carried(&self) -> bool {
        !self.carried.is_empty()
    }

    /// Forgets them: what a broken reactor would do.
    pub(crate) fn forget_carried(&mut self) {
        self.carried.clear();
    }

    /// One iteration.
    pub(crate) fn iterate(&mut self, now: u64, wires: &mut [Wire], post: Post<'_>) {
        let events: Vec<_> = self
            .sockets()
            .filter_map(|(slot, wire)| Some((self.handle(slot), wires[wire].event()?)))
            .collect();
        self.shard.advance(now);
        self.note_all();
        self.mail(wires);
        for (handle, to_the_end) in std::mem::take(&mut self.carried) {
            self.read(handle, to_the_end, wires);
        }
        let first = self.rotation % events.len().max(1);
        for &(handle, event) in events[first..].iter().chain(&events[..first]) {
            if event.writable && self.current(handle).is_some() {
                self.shard.writable(handle.slot);
            }
            if event.readable {
                self.read(handle, event.read_closed, wires);
            }
        }
        while let Some(wire) = self.backlog.pop_front() {
            let slot = self.shard.accept(Port::Plain, None);
            self.register(slot, wire, wires);
        }
        self.shard.freeze();
        self.flush(wires);
        self.shard.expire();
        self.note_all();
        self.act(wires, post);
        let Self {
            shard,
            entries,
            seen,
            ..
        } = self;
        shard.reap(|slot| {
            if let Some(wire) = entries[slot as usize].wire.take() {
                wires[wire].close();
                seen.push(Seen::Reaped { wire });
            }
        });
    }

    fn handle(&self, slot: u32) -> Handle {
        Handle {
            slot,
            generation: self.entries[slot as usize].generation,
        }
    }

    fn current(&self, handle: Handle) -> Option<WireId> {
        let entry = self.entries.get(handle.slot as usize)?;
        (entry.generation == handle.generation).then_some(entry.wire?)
    }

    fn register(&mut self, slot: u32, wire: WireId, wires: &mut [Wire]) {
        if self.entries.len() <= slot as usize {
            self.entries.resize_with(slot as usize + 1, Entry::default);
        }
        let entry = &mut self.entries[slot as usize];
        assert!(entry.wire.is_none(), "a slot has one socket at a time");
        *entry = Entry {
            wire: Some(wire),
            generation: entry.generation + 1,
            ended: self.shard.reason(slot).is_some(),
        };
        wires[wire].register();
    }

    fn mail(&mut self, wires: &mut [Wire]) {
        for _ in 0..MAIL_BUDGET {
            match self.mailbox.pop_front() {
                Some(Mail::Adopt(wire, handover)) => {
                    let slot = self.shard.adopt(*handover);
                    self.adopted(slot, wire, wires);
                }
                Some(Mail::Accepted(wire)) => self.backlog.push_back(wire),
                Some(Mail::Drain(spread_ms)) => self.shard.drain(spread_ms),
                None => break,
            }
        }
    }

    /// A hand-off has arrived, or has come back.
    fn adopted(&mut self, slot: u32, wire: WireId, wires: &mut [Wire]) {
        self.register(slot, wire, wires);
        self.seen.push(Seen::Took {
            wire,
            bytes: 0,
            seated: self.shard.is_seated(slot),
            ended: self.shard.reason(slot),
        });
    }

    fn read(&mut self, handle: Handle, to_the_end: bool, wires: &mut [Wire]) {
        let Some(wire) = self.current(handle) else {
            return;
        };
        let slot = handle.slot;
        // Read once in this iteration; only what a further edge says is kept.
        if let Some(entry) = self
            .carried
            .iter_mut()
            .find(|(carried, _)| *carried == handle)
        {
            entry.1 |= to_the_end;
            return;
        }
        if !self.shard.may_read(slot) {
            self.refused_reads += 1;
            return;
        }
        match wires[wire].read(&mut self.buffer) {
            Got::Bytes(0) => self.shard.end_of_input(slot),
            Got::Bytes(bytes) => {
                self.shard.receive(slot, &mut self.buffer[..bytes]);
                let ended = self.news(slot);
                self.seen.push(Seen::Took {
                    wire,
                    bytes,
                    seated: self.shard.is_seated(slot),
                    ended,
                });
                if bytes == self.buffer.len() || to_the_end {
                    self.carried.push((handle, to_the_end));
                }
            }
            Got::WouldBlock => {}
            Got::Interrupted => self.carried.push((handle, to_the_end)),
            Got::Reset => self.shard.failed(slot),
        }
        self.note(slot);
    }

    fn flush(&mut self, wires: &mut [Wire]) {
        while let Some(slot) = self.shard.next_write() {
            let Some(wire) = self.entries[slot as usize].wire else {
                self.shard.wrote(Written::Failed);
                continue;
            };
            let pending = self.shard.pending();
            let written = pending.with_slices(|slices| wires[wire].write(slices));
            self.shard.wrote(written);
        }
    }

    fn act(&mut self, wires: &mut [Wire], post: Post<'_>) {
        let mut actions = Vec::new();
        self.shard.take_actions(&mut actions);
        for action in actions {
            match action {
                Action::ShutdownWrite(slot) => {
                    if let Some(wire) = self.entries[slot as usize].wire
                        && !wires[wire].shutdown_write()
                    {
                        self.shard.failed(slot);
                    }
                }
                Action::HandOff {
                    slot,
                    home,
                    handover,
                } => {
                    let wire = self.entries[slot as usize].wire.take();
                    let wire = wire.expect("what is handed off has a socket");
                    if let Err(Mail::Adopt(wire, handover)) =
                        post(home, Mail::Adopt(wire, handover))
                    {
                        let slot = self.shard.refuse_hand_off(*handover);
                        self.adopted(slot, wire, wires);
                    }
                }
            }
        }
        let mut unpaused = Vec::new();
        self.shard.take_unpaused(&mut unpaused);
        let mut first = Vec::new();
        for slot in unpaused {
            let handle = self.handle(slot);
            let carried = self.carried.iter().any(|(carried, _)| *carried == handle);
            if self.entries[slot as usize].wire.is_some() && !carried {
                first.push((handle, true));
            }
        }
        first.append(&mut self.carried);
        self.carried = first;
    }

    /// Why the connection in this slot ends, if that is new.
    fn news(&mut self, slot: u32) -> Option<DisconnectReason> {
        let entry = &mut self.entries[slot as usize];
        let reason = self.shard.reason(slot).filter(|_| !entry.ended)?;
        entry.ended = true;
        Some(reason)
    }

    fn note(&mut self, slot: u32) {
        if let Some(wire) = self.entries[slot as usize].wire
            && let Some(reason) = self.news(slot)
        {
            self.seen.push(Seen::Ended { wire, reason });
        }
    }

    fn note_all(&mut self) {
        for slot in 0..self.entries.len() {
            self.note(slot as u32);
        }
    }
}
