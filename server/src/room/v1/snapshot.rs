//! The snapshot of a game that its room keeps, and what was said since: for who becomes the host, and for who joins late.
//!
//! Owns: the game's own bytes, as of which entry they are, when a new one is to be asked for. Must not know: what is in them,
//! connections. Invariant: a snapshot is never given without its whole tail, unless the host is told that it is cut.

use roomcast_protocol::v1::{PlayerId, down};

use super::host::Candidacy;
use super::welcome::Bundles;
use super::{Room, Rules, Seat};
use crate::limits::TAIL_BYTES;
use crate::planted::{self, Fault};

/// The state of a game.
#[derive(Debug)]
struct Snapshot {
    /// The last entry that is in it, and the position of the log behind that.
    seq: u64,
    position: u64,
    /// Whose it is: who was the host when that entry was said.
    host: u32,
    state: Box<[u8]>,
}

/// Whether the host is to be asked for a new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    No,
    Yes,
    /// It was asked.
    Asked,
}

/// What a room keeps of its game.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    snapshot: Option<Box<Snapshot>>,
    wanted: Wanted,
    /// The host has yet to be given it.
    promised: bool,
}

impl Keeping {
    /// There is somebody else to be given it, or nobody. Whether there is something.
    pub(super) fn promise(&mut self, to: Option<PlayerId>) -> bool {
        self.promised = to.is_some() && self.snapshot.is_some();
        if self.wanted == Wanted::Asked {
            self.wanted = Wanted::Yes;
        }
        self.promised
    }

    /// The host comes back, who was `told` that it is the host, and so has what it was promised. Nobody knows whether it has
    /// heard a question.
    pub(super) fn host_returns(&mut self, told: bool) {
        self.promised = !told && self.snapshot.is_some();
        if self.wanted == Wanted::Asked {
            self.wanted = Wanted::Yes;
        }
    }

    /// The host of a new life may have a snapshot of an earlier one.
    pub(super) fn ask(&mut self) {
        if self.snapshot.is_none() {
            self.wanted = Wanted::Yes;
        }
    }
}

impl Room {
    /// Whether the host may give a snapshot of so many bytes, as of this entry; else why not, for one of the reasons of
    /// [`down::refused`].
    pub(super) fn may_keep(&self, seq: u64, bytes: usize, rules: &Rules) -> Result<(), u64> {
        if seq < self.host.seq() || seq > self.log.seq() {
            return Err(down::refused::NOT_ALLOWED);
        }
        match self.log.after(seq) {
            Some(_) if bytes <= rules.snapshot_bytes_max => Ok(()),
            _ => Err(down::refused::LIMIT),
        }
    }

    /// Keeps the snapshot of the host, which it may give by `may_keep`.
    pub fn keep(&mut self, seq: u64, state: &[u8]) {
        let (Some(position), Some(host)) = (self.log.after(seq), self.host.id()) else {
            return;
        };
        self.keeping.snapshot = Some(Box::new(Snapshot {
            seq,
            position,
            host: host.get(),
            state: state.into(),
        }));
        self.keeping.wanted = Wanted::No;
    }

    /// Bytes of the snapshot.
    pub fn kept(&self) -> usize {
        let snapshot = self.keeping.snapshot.as_ref();
        snapshot.map_or(0, |snapshot| snapshot.state.len())
    }

    /// From which position on the log is held for the snapshot's tail; None if it is not.
    pub(super) fn tail_begins(&self) -> Option<u64> {
        let position = self.keeping.snapshot.as_ref()?.position;
        let bytes = self.log.bytes_since(position)?;
        (bytes <= TAIL_BYTES as u64).then_some(position)
    }

    /// A round begins: asks for a new snapshot if soon too much will have been said since this one, or has been.
    pub(super) fn watch_tail(&mut self) {
        if let Some(snapshot) = &self.keeping.snapshot
            && self.keeping.wanted == Wanted::No
        {
            let bytes = self.log.bytes_since(snapshot.position);
            if bytes.is_none_or(|bytes| bytes > TAIL_BYTES as u64 / 2) {
                self.keeping.wanted = Wanted::Yes;
            }
        }
        if let Some(seat) = self.host.seat().filter(|seat| self.awaits_host(*seat)) {
            self.call(seat);
        }
    }

    /// Whether who sits here is the host, knows it, and is to be given its snapshot now.
    pub fn is_promised(&self, seat: Seat) -> bool {
        self.keeping.promised && self.knows_it_is_host(seat)
    }

    /// Whether who sits here is to be asked for a snapshot.
    pub(super) fn is_asked(&self, seat: Seat) -> bool {
        self.keeping.wanted == Wanted::Yes && !self.keeping.promised && self.knows_it_is_host(seat)
    }

    /// Whether who sits here is the host and there is something for it alone, which may follow once it knows that it is the host.
    pub(super) fn awaits_host(&self, seat: Seat) -> bool {
        let waits = self.keeping.promised || self.keeping.wanted == Wanted::Yes;
        waits && self.host.is_at(seat)
    }

    fn knows_it_is_host(&self, seat: Seat) -> bool {
        self.host.is_at(seat) && self.players[seat as usize].position >= self.host.since()
    }

    /// Appends the question for a snapshot.
    pub(super) fn say_asked(&mut self, out: &mut Vec<u8>) {
        self.keeping.wanted = Wanted::Asked;
        let term = self.host.term();
        down::Packet::SnapshotWanted { term }.encode(out);
    }

    /// Gives the host what it was promised: `write` is given one message after the other.
    pub fn give_snapshot(&mut self, seat: Seat, write: &mut dyn FnMut(&[u8])) {
        self.keeping.promised = false;
        let mut bundles = Bundles::new(write);
        self.add_snapshot(seat, &mut bundles);
        bundles.add(down::Packet::Ready);
        bundles.end();
    }

    /// Who sits here is welcomed: the host with what there is, anybody else who knows what it is with all of it or nothing.
    pub(super) fn welcome_with_snapshot(&mut self, seat: Seat, bundles: &mut Bundles<'_>) {
        let is_host = self.host.is_at(seat);
        self.keeping.promised &= !is_host;
        let knows = self.players[seat as usize].candidacy > Candidacy::Unknowing;
        if is_host || knows && self.tail_begins().is_some() {
            self.add_snapshot(seat, bundles);
        }
    }

    /// The snapshot, and what was said since, up to where who sits here is: for and from the host, whoever that was.
    fn add_snapshot(&self, seat: Seat, bundles: &mut Bundles<'_>) {
        let Some(snapshot) = &self.keeping.snapshot else {
            return;
        };
        let begins = self.tail_begins();
        bundles.add(down::Packet::Snapshot {
            seq: snapshot.seq,
            state: &snapshot.state,
            cut: begins.is_none(),
        });
        let begins = begins.unwrap_or_else(|| self.log.last(TAIL_BYTES).max(snapshot.position));
        let late = u64::from(planted::is(Fault::LateTail));
        let mut host = snapshot.host;
        let until = self.players[seat as usize].position;
        for said in self.log.since(begins + late, until) {
            let packet = down::Packets::new(said.packet()).next();
            // What is said to players is no part of the game.
            let is_aside = matches!(
                packet,
                Some(Ok(down::Packet::Refused { .. } | down::Packet::Notice(_)))
            );
            if !is_aside && (said.author() == host || said.is_for(host)) {
                bundles.add_with(|message| message.extend_from_slice(said.packet()));
            }
            if let Some(Ok(down::Packet::Host { id, .. })) = packet {
                host = id.map_or(0, PlayerId::get);
            }
        }
    }

    /// The room is at its end, and with it its game; answers how many bytes that were.
    pub fn forget_snapshot(&mut self) -> usize {
        let kept = self.kept();
        self.keeping = Keeping::default();
        kept
    }
}
