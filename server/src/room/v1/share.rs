//! What several players of a room get, assembled once.
//!
//! Owns: the packets between two positions of one log, as long as all of them are for everybody but their authors. Must not
//! know: connections, and what frames a message. Invariant: it is named by the life of its room and the two positions, and
//! what a log has between two positions never changes; so it is never out of date, only of no use.

use roomcast_protocol::v1::{self, Life};

use super::{Room, Seat};
use crate::limits::SHARED_ENTRIES;

/// Bytes before the packets for what each message begins with: the header of one that is no larger than a bundle, and how
/// many entries it covers.
const HEADROOM: usize = 4 + v1::VARINT_BYTES_MAX;

/// A bundle's packets behind room for its head.
#[derive(Debug)]
pub struct Share {
    life: Life,
    from: u64,
    to: u64,
    /// The number of the last entry.
    seq: u64,
    /// Who does not hear all of it.
    authors: Vec<u32>,
    bytes: Vec<u8>,
    /// How many entries the head that stands there covers, and where it begins.
    head: Option<(u32, usize)>,
    /// Where it is made.
    making: Vec<u8>,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            life: Life([0; 8]),
            from: 0,
            to: 0,
            seq: 0,
            authors: Vec::new(),
            bytes: vec![0; HEADROOM],
            head: None,
            making: Vec::new(),
        }
    }
}

impl Share {
    /// Makes it a message that covers so many more entries; `header` appends what a message of so many bytes begins with.
    #[inline]
    pub fn cover(&mut self, covered: u32, header: impl FnOnce(&mut Vec<u8>, usize)) {
        if self.head.is_some_and(|(now, _)| now == covered) {
            return;
        }
        let covers = u64::from(covered);
        let packets = self.bytes.len() - HEADROOM;
        self.making.clear();
        header(&mut self.making, v1::varint_len(covers) + packets);
        v1::write_varint(&mut self.making, covers);
        let start = HEADROOM - self.making.len();
        self.bytes[start..HEADROOM].copy_from_slice(&self.making);
        self.head = Some((covered, start));
    }

    /// The message that it was made.
    pub fn message(&self) -> &[u8] {
        let start = self.head.map_or(HEADROOM, |(_, start)| start);
        &self.bytes[start..]
    }
}

impl Room {
    /// Gives a player all that the log has for it, if that is just what `share` holds or can be made to hold: how many more
    /// entries that covers. `now` is the time, ms.
    pub fn give_shared(&mut self, seat: Seat, now: u32, share: &mut Share) -> Option<u32> {
        if self.states.is_some() || self.awaits_host(seat) {
            return None;
        }
        let player = &mut self.players[seat as usize];
        if player.raw || player.is_told_more(now) {
            return None;
        }
        let (from, to) = (player.position, self.log.position());
        if (share.from, share.to) != (from, to) || share.life != self.life {
            // Of no use until all of it is there.
            share.to = share.from;
            share.authors.clear();
            let packets = self.log.common(from, SHARED_ENTRIES, &mut share.authors)?;
            if packets.len() + v1::VARINT_BYTES_MAX > v1::BUNDLE_BYTES_MAX {
                return None;
            }
            share.bytes.truncate(HEADROOM);
            share.bytes.extend_from_slice(packets);
            share.head = None;
            share.seq = self.log.seq();
            (share.life, share.from, share.to) = (self.life, from, to);
        }
        if share.authors.contains(&player.id) {
            return None;
        }
        player.got_to(to);
        player.begun = true;
        Some(player.tell(share.seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_that_of_who_gets_it_next() {
        let mut share = Share::default();
        share.bytes.extend_from_slice(b"packets");
        let mut headers = 0;
        for (covered, head) in [
            (1, &[0x82, 8, 1][..]),
            (1, &[0x82, 8, 1]),
            (300, &[0x82, 9, 0xac, 2]),
            (2, &[0x82, 8, 2]),
        ] {
            share.cover(covered, |out, len| {
                headers += 1;
                out.extend_from_slice(&[0x82, len as u8]);
            });
            assert_eq!(share.message(), [head, b"packets"].concat());
        }
        assert_eq!(headers, 3);
    }
}
