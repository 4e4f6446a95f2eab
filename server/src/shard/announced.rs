//! Connections that a proxy announces: at such doors the PROXY header comes before everything else, and is required.
//!
//! Invariants: only trusted proxies announce anybody, so nobody else can say that it is somebody; of what follows the header
//! nothing is read with it, so that a TLS handshake behind one waits for its turn like any other.

use roomcast_protocol::proxy_header::{Decoder, Origin};

use super::connection::Phase;
use super::notices::Notice;
use super::{EndReason, Shard};
use crate::transport::Port;

impl Shard {
    /// The connection in this slot came by that door.
    pub fn came_by(&mut self, slot: u32, door: usize) {
        let gate = &self.common.gate;
        let connection = &mut self.connections[slot as usize];
        connection.who.door = door.min(u8::MAX.into()) as u8;
        if !gate.is_announced(door) {
            return;
        }
        let port = match connection.phase {
            Phase::Hello => Port::Tls,
            _ => Port::Plain,
        };
        connection.phase = Phase::Announced(port, None);
        let peer = connection.who.peer();
        if !peer.is_some_and(|peer| self.common.proxies.trust(peer)) {
            self.tell(Notice::NotAProxy, slot);
            self.drop_connection(slot, EndReason::ProxyHeader);
        }
    }

    /// Bytes of a PROXY header, no more of them than [`Shard::may_read`] lets anybody read.
    pub(super) fn receive_announcement(&mut self, slot: u32, bytes: &[u8]) {
        let Phase::Announced(port, decoder) = &mut self.connections[slot as usize].phase else {
            return;
        };
        let port = *port;
        let mut input = bytes;
        let origin = match decoder.get_or_insert_default().next(&mut input) {
            Ok(None) => return,
            Ok(Some(origin)) => origin,
            Err(_) => {
                self.tell(Notice::NoHeader, slot);
                return self.drop_connection(slot, EndReason::ProxyHeader);
            }
        };
        debug_assert!(input.is_empty(), "what follows is read by itself");
        let next = match port {
            Port::Plain => Phase::Handshake(None),
            Port::Tls => Phase::Hello,
        };
        let connection = &mut self.connections[slot as usize];
        connection.phase = next;
        if let Origin::At(client) = origin {
            connection.who.comes_from(client);
            if self.turns_away(Some(client)) {
                return self.drop_connection(slot, EndReason::AddressHandshakes);
            }
            self.count_newcomer(slot);
        }
    }

    /// How much may be read of the connection in this slot, if its header is awaited.
    pub(super) fn wants_of_header(decoder: Option<&Decoder>) -> usize {
        decoder.map_or_else(|| Decoder::default().wants(), Decoder::wants)
    }
}
