//! What several players of a room get, assembled once.
//!
//! Owns: some of the packets between two positions of one log. Must not know: connections, and what frames a message.
//! Invariant: it is named by the life of its room, the two positions and which of the entries between them it has, and what a
//! log has between two positions never changes; so it is never out of date, only of no use.

use roomcast_protocol::v1::{self, Life};

use super::{Room, Seat};

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
    /// Which entries: the first is the lowest bit.
    which: u64,
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
            which: 0,
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
        if self.states.is_some() || self.ticks.is_some() || self.awaits_host(seat) {
            return None;
        }
        self.settle(seat);
        let player = &mut self.players[seat as usize];
        if player.raw || player.is_told_more(now) {
            return None;
        }
        let (reader, to) = (player.reader(), self.log.position());
        let from = reader.position;
        let which = self.log.heard_by(reader).filter(|which| *which != 0)?;
        let is_of_here = (share.from, share.to) == (from, to) && share.life == self.life;
        if !is_of_here || share.which != which {
            // Who lacks one, an author most often, takes nothing from the others.
            if is_of_here && share.which & which == which {
                return None;
            }
            // Of no use until all of it is there.
            share.to = share.from;
            share.bytes.truncate(HEADROOM);
            share.head = None;
            let (log, bytes) = (&self.log, &mut share.bytes);
            let most = v1::BUNDLE_BYTES_MAX - v1::VARINT_BYTES_MAX;
            let portion = log.next(reader, to, (0, most), &mut |run| {
                bytes.extend_from_slice(log.slice(run));
            })?;
            if portion.position < to || portion.len > most {
                return None;
            }
            share.seq = portion.seq;
            (share.life, share.from, share.to, share.which) = (self.life, from, to, which);
        }
        player.got_to(to);
        player.begun = true;
        let covered = player.tell(share.seq);
        self.watch(seat);
        Some(covered)
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
