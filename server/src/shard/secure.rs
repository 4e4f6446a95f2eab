//! Connections whose frames come in TLS records: opening, sealing late, saying goodbye.
//!
//! Invariant: what is sealed leaves. So records are sealed only when their socket can take bytes, one write's worth.

use roomcast_protocol::proxy_header;
use roomcast_protocol::tls::sealed_max;
use roomcast_protocol::upgrade::Refusal;

use super::connection::{Closing, Phase};
use super::notices::Notice;
use super::{CloseReason, EndReason, Shard};
use crate::delivery::Lanes;
use crate::limits::{SEAL_PORTION, SEALED_REST};
use crate::transport::{Acceptor, Breach, Heard, Security, Tls};

/// Bytes of one write: what was sealed before, a portion, and a close_notify behind it.
const WRITE_MAX: usize = SEALED_REST + sealed_max(SEAL_PORTION) + sealed_max(0);

/// One write's worth of sealed bytes, and where what goes into it is gathered.
#[derive(Debug, Default)]
pub(super) struct Sealer {
    plain: Vec<u8>,
    sealed: Box<[u8]>,
    /// Bytes of `sealed` in use.
    len: usize,
}

impl Sealer {
    /// What is to be written.
    pub(super) fn sealed(&self) -> &[u8] {
        &self.sealed[..self.len]
    }

    /// Begins a write with records that wait already.
    fn begin(&mut self, waiting: &[u8]) {
        if self.sealed.is_empty() {
            // Only a shard that has TLS connections pays for it.
            self.sealed = vec![0; WRITE_MAX].into_boxed_slice();
        }
        self.plain.clear();
        self.sealed[..waiting.len()].copy_from_slice(waiting);
        self.len = waiting.len();
    }

    /// Seals these parts of a batch together. False if the session seals nothing.
    pub(super) fn seal_parts<'p>(
        &mut self,
        tls: &mut Tls,
        mut parts: impl ExactSizeIterator<Item = &'p [u8]>,
    ) -> bool {
        self.begin(&[]);
        if parts.len() == 1
            && let Some(part) = parts.next()
        {
            return self.seal(tls, part);
        }
        let mut plain = std::mem::take(&mut self.plain);
        parts.for_each(|part| plain.extend_from_slice(part));
        let sealed = self.seal(tls, &plain);
        self.plain = plain;
        sealed
    }

    fn seal(&mut self, tls: &mut Tls, plain: &[u8]) -> bool {
        let sealed = tls.seal(plain, &mut self.sealed[self.len..]);
        self.len += sealed.unwrap_or_default();
        sealed.is_some()
    }
}

impl Shard {
    /// The first bytes on a port that speaks TLS.
    pub(super) fn receive_hello(&mut self, slot: u32, bytes: &mut [u8]) {
        self.connections[slot as usize].phase = Phase::Handshake(None);
        let is_announced = proxy_header::is_begun(bytes);
        if is_announced {
            self.tell(Notice::UnaskedHeader, slot);
        }
        // No TLS record begins with a letter, and every HTTP request does.
        if bytes.first().is_some_and(u8::is_ascii_alphabetic) {
            if !is_announced {
                self.tell(Notice::PlainOnTlsPort, slot);
            }
            let refusal = Refusal::PlainOnTlsPort;
            return self.refuse_for(slot, refusal, false, EndReason::Refused(refusal));
        }
        match self.common.tls.as_ref().and_then(Acceptor::accept) {
            Some(tls) => {
                self.connections[slot as usize].security = Security::Tls(tls);
                self.receive_sealed(slot, bytes);
            }
            None => self.drop_connection(slot, EndReason::Internal),
        }
    }

    /// Records, or parts of them.
    pub(super) fn receive_sealed(&mut self, slot: u32, bytes: &mut [u8]) {
        let connection = &mut self.connections[slot as usize];
        let Security::Tls(tls) = &mut connection.security else {
            return;
        };
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let mut answers = Vec::new();
        let spent = tls.is_spent();
        let was_handshaking = tls.is_handshaking();
        let heard = tls.receive(bytes, &mut plain, &mut answers);
        if was_handshaking && !tls.is_handshaking() {
            if tls.is_resumed() {
                self.counters.tls_resumed += 1;
            } else {
                self.counters.tls_full += 1;
            }
        }
        if !answers.is_empty() {
            connection.outbox.push_sealed(&answers);
            self.list(slot);
        }
        if !plain.is_empty() {
            self.receive_plain(slot, &mut plain);
        }
        self.plain = plain;
        self.heed(slot, heard);
        if spent && matches!(self.connections[slot as usize].phase, Phase::Open(_)) {
            self.close(slot, CloseReason::TlsSpent);
        }
    }

    /// Does what the end of a run of records asks for.
    pub(super) fn heed(&mut self, slot: u32, heard: Heard) {
        let phase = &self.connections[slot as usize].phase;
        let reason = match heard {
            Heard::More => return,
            // It came behind them.
            _ if self.unread.of(slot) > 0 => return,
            Heard::Closed => EndReason::PeerGone,
            Heard::Breach(Breach::Handshake) => EndReason::TlsHandshake,
            Heard::Breach(Breach::Record) => EndReason::TlsViolation,
        };
        match phase {
            Phase::Announced(..)
            | Phase::Hello
            | Phase::Handshake(_)
            | Phase::Exchange(_)
            | Phase::Http2(_)
            | Phase::Answered
            | Phase::Open(_) => {
                self.part(slot, reason, None);
                self.connections[slot as usize].outbox.truncate();
                self.begin_closing(slot, Closing::Flush, reason);
            }
            Phase::Closing(Closing::AwaitPeer, _) => {
                self.connections[slot as usize].close_on(Closing::Flush);
                self.list(slot);
            }
            Phase::Closing(Closing::Flush | Closing::Linger, _) | Phase::Dead => {}
        }
        if let Heard::Breach(_) = heard {
            self.connections[slot as usize].outbox.keep_sealed();
        }
    }

    /// Seals the next portion of what waits for this connection, behind the little that may be sealed already. False if
    /// what waits must leave as it is.
    pub(super) fn seal_next(&mut self, slot: u32) -> bool {
        let connection = &mut self.connections[slot as usize];
        let mut none = Lanes::default();
        let (lanes, room) = match connection.phase {
            Phase::Open(player) => {
                let player = &mut self.players[player as usize];
                let room = player.room();
                (&mut player.lanes, room)
            }
            _ => (&mut none, None),
        };
        let Security::Tls(tls) = &mut connection.security else {
            return false;
        };
        let outbox = &mut connection.outbox;
        if outbox.sealed().len() > SEALED_REST {
            return false;
        }
        let sealer = &mut self.flush.sealer;
        sealer.begin(outbox.sealed());
        outbox.sealed_left();
        let mut plain = std::mem::take(&mut sealer.plain);
        // Of what its socket does not take at once, this is a little early.
        let left = outbox.take_unsealed(lanes, &mut plain, SEAL_PORTION);
        if let Some(room) = room {
            self.residence.note(room, left);
        }
        let sealed = plain.is_empty() || sealer.seal(tls, &plain);
        sealer.plain = plain;
        if !sealed {
            // What was taken is lost, so nothing may follow it. Only a fault of ours gets here.
            self.drop_connection(slot, EndReason::Internal);
            return true;
        }
        if outbox.is_clear() && matches!(connection.phase, Phase::Closing(Closing::Flush, _)) {
            sealer.len += tls
                .close_notify(&mut sealer.sealed[sealer.len..])
                .unwrap_or_default();
        }
        true
    }

    /// Before our side of TCP ends: a close_notify. True if there is one to be written first.
    pub(super) fn say_goodbye(&mut self, slot: u32) -> bool {
        let connection = &mut self.connections[slot as usize];
        let (Phase::Closing(Closing::Flush, _), Security::Tls(tls)) =
            (&connection.phase, &mut connection.security)
        else {
            return false;
        };
        let sealer = &mut self.flush.sealer;
        sealer.begin(&[]);
        let Some(len) = tls.close_notify(&mut sealer.sealed) else {
            return false;
        };
        connection.outbox.push_sealed(&sealer.sealed[..len]);
        self.list(slot);
        true
    }
}
