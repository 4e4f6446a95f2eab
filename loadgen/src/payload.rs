//! What a message of the load generator carries, so that every delivery can be checked by itself.
//!
//! Owns the layout, the filler and the checksum. Must not know sockets, frames or who is in
//! which room.
//! Invariant: a payload that [`Codec::read`] accepts is, byte for byte, one that [`Codec::write`]
//! made; a change of a single byte, or of any eight bytes of one word, is always noticed.
//!
//! Layout, little endian, four words of 64 bits and then filler:
//!
//! ```text
//! 0  origin    run 24 bits | room 24 bits | sender 16 bits
//! 1  order     delay 32 bits (units of 16 ns) | sequence 32 bits
//! 2  intended  ns of CLOCK_MONOTONIC
//! 3  checksum  of words 0 to 2, the length, and the filler
//! ```
//!
//! Text has the same 32 bytes as 64 letters `a` to `p`, and text as filler.

/// Bytes of the header: the smallest binary payload.
pub const MIN: usize = 32;
/// The smallest text payload: the header takes two letters for each byte.
pub const MIN_TEXT: usize = 2 * MIN;

/// Unit of the delay, as a power of two: 16 ns, so that 32 bits reach beyond 60 s.
const DELAY_SHIFT: u32 = 4;
/// Binary filler begins at one of this many places of a random block.
const FILLER_STARTS: usize = 1024;
/// What text filler is made of: characters of one, two, three and four bytes.
const FILLER_TEXT: &str = "Zwölf Boxkämpfer jagen Viktor · καλημέρα · 部屋へようこそ · 🎮🚀 · ";

const SEEDS: [u64; 4] = [
    0x9e37_79b9_7f4a_7c15,
    0xd1b5_4a32_d192_ed03,
    0x8cb9_2ba7_2f3d_8dd7,
    0xaaaa_5555_0f0f_3c3d,
];
/// Odd, so that multiplying by it is a bijection.
const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;

/// Whether the messages are binary or text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Binary messages.
    Binary,
    /// Text messages: valid UTF-8, with characters of one to four bytes where there is room.
    Text,
}

/// The smallest payload of a kind, in bytes.
pub const fn min_size(kind: MessageKind) -> usize {
    match kind {
        MessageKind::Binary => MIN,
        MessageKind::Text => MIN_TEXT,
    }
}

/// Run and room, as one number to compare: 48 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room(u64);

impl Room {
    /// Room number `room` of run number `run`; 24 bits of each count.
    pub const fn new(run: u32, room: u32) -> Self {
        Self(((run as u64 & 0xff_ffff) << 24) | (room as u64 & 0xff_ffff))
    }

    /// The same for what hosts leave of the game.
    pub const fn of_snapshots(run: u32, room: u32) -> Self {
        Self::new(run ^ 1 << 22, room)
    }

    /// The same for values of keys: a message that is taken for one, or the other way round, is of another run.
    pub const fn of_states(run: u32, room: u32) -> Self {
        Self::new(run ^ 1 << 23, room)
    }
}

/// Who sent a message, which one it is, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Where it belongs.
    pub room: Room,
    /// The sender's index in the room.
    pub sender: u16,
    /// Counts the sender's messages from 0.
    pub sequence: u32,
    /// When it should have been sent, in ns of `CLOCK_MONOTONIC`.
    pub intended_ns: u64,
    /// How much later it was really written, in ns; kept in steps of 16 ns, at most 68 s.
    pub delay_ns: u64,
}

impl Stamp {
    #[inline]
    fn words(&self) -> [u64; 3] {
        let delay = (self.delay_ns >> DELAY_SHIFT).min(u64::from(u32::MAX));
        [
            self.room.0 << 16 | u64::from(self.sender),
            delay << 32 | u64::from(self.sequence),
            self.intended_ns,
        ]
    }

    #[inline]
    fn from_words([origin, order, intended_ns]: [u64; 3]) -> Self {
        Self {
            room: Room(origin >> 16),
            sender: origin as u16,
            sequence: order as u32,
            intended_ns,
            delay_ns: (order >> 32) << DELAY_SHIFT,
        }
    }
}

/// Writes and reads the payloads of one run.
#[derive(Clone, Debug)]
pub struct Codec {
    kind: MessageKind,
    /// Text: exactly the filler. Binary: the filler and [`FILLER_STARTS`] bytes more.
    filler: Vec<u8>,
    filler_len: usize,
}

impl Codec {
    /// For messages of `size` bytes, which is at least [`min_size`] of `kind`.
    pub fn new(kind: MessageKind, size: usize, seed: u64) -> Self {
        let filler_len = size.saturating_sub(min_size(kind));
        let filler = match kind {
            MessageKind::Binary => {
                let mut random = fastrand::Rng::with_seed(seed);
                let len = if filler_len == 0 {
                    0
                } else {
                    filler_len + FILLER_STARTS
                };
                std::iter::repeat_with(|| random.u8(..)).take(len).collect()
            }
            MessageKind::Text => text_filler(filler_len),
        };
        Self {
            kind,
            filler,
            filler_len,
        }
    }

    /// Bytes of each payload.
    pub fn size(&self) -> usize {
        min_size(self.kind) + self.filler_len
    }

    /// Appends a payload.
    pub fn write(&self, stamp: &Stamp, out: &mut Vec<u8>) {
        let words = stamp.words();
        let filler = match self.kind {
            MessageKind::Text => &self.filler[..],
            MessageKind::Binary if self.filler_len == 0 => &[],
            MessageKind::Binary => {
                let mixed = (words[0] ^ words[1]).wrapping_mul(MULTIPLIER);
                let start = (mixed >> 54) as usize % FILLER_STARTS;
                &self.filler[start..start + self.filler_len]
            }
        };
        let sum = checksum(words, filler);
        for word in [words[0], words[1], words[2], sum] {
            let bytes = word.to_le_bytes();
            match self.kind {
                MessageKind::Binary => out.extend_from_slice(&bytes),
                MessageKind::Text => out.extend_from_slice(&to_letters(bytes)),
            }
        }
        out.extend_from_slice(filler);
    }

    /// Reads a payload. `None`: it is not what a generator wrote.
    #[inline]
    pub fn read(&self, payload: &[u8]) -> Option<Stamp> {
        let (words, filler) = match self.kind {
            MessageKind::Binary => {
                let (head, filler) = payload.split_first_chunk::<MIN>()?;
                let (words, _) = head.as_chunks::<8>();
                ([0, 1, 2, 3].map(|i| u64::from_le_bytes(words[i])), filler)
            }
            MessageKind::Text => {
                let (head, filler) = payload.split_first_chunk::<MIN_TEXT>()?;
                (from_letters(head)?, filler)
            }
        };
        let [origin, order, intended, sum] = words;
        let words = [origin, order, intended];
        (checksum(words, filler) == sum).then(|| Stamp::from_words(words))
    }
}

/// Four lanes, each a chain of bijections of what went in before, folded together by bijections:
/// what differs in one word only must end in another sum. Lanes, because one chain of
/// multiplications would take four times as long.
#[inline]
fn checksum(words: [u64; 3], filler: &[u8]) -> u64 {
    let step = |lane: u64, word: u64| (lane.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    let len = filler.len() as u64;
    let [a, b, c, d] = SEEDS;
    let (mut a, mut b) = (step(a, words[0]), step(b, words[1]));
    let (mut c, mut d) = (step(c, words[2]), step(d, len));
    let (blocks, rest) = filler.as_chunks::<32>();
    for block in blocks {
        let (w, _) = block.as_chunks::<8>();
        a = step(a, u64::from_le_bytes(w[0]));
        b = step(b, u64::from_le_bytes(w[1]));
        c = step(c, u64::from_le_bytes(w[2]));
        d = step(d, u64::from_le_bytes(w[3]));
    }
    if !rest.is_empty() {
        let (whole, tail) = rest.as_chunks::<8>();
        for word in whole {
            (a, b, c, d) = (b, c, d, step(a, u64::from_le_bytes(*word)));
        }
        if !tail.is_empty() {
            let mut last = [0; 8];
            last[..tail.len()].copy_from_slice(tail);
            a = step(a, u64::from_le_bytes(last));
        }
    }
    let sum = step(step(step(a, b), c), d);
    sum ^ (sum >> 32)
}

/// `len` bytes of whole characters.
fn text_filler(len: usize) -> Vec<u8> {
    let mut filler = String::with_capacity(len);
    for c in FILLER_TEXT.chars().cycle() {
        if filler.len() + c.len_utf8() > len {
            break;
        }
        filler.push(c);
    }
    while filler.len() < len {
        filler.push('.');
    }
    filler.into_bytes()
}

fn to_letters(bytes: [u8; 8]) -> [u8; 16] {
    let mut letters = [0; 16];
    for (pair, byte) in letters.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [b'a' + (byte >> 4), b'a' + (byte & 15)];
    }
    letters
}

fn from_letters(letters: &[u8; MIN_TEXT]) -> Option<[u64; 4]> {
    let mut bytes = [0u8; MIN];
    for (byte, &[high, low]) in bytes.iter_mut().zip(letters.as_chunks::<2>().0) {
        let (high, low) = (high.wrapping_sub(b'a'), low.wrapping_sub(b'a'));
        if high > 15 || low > 15 {
            return None;
        }
        *byte = high << 4 | low;
    }
    let (words, _) = bytes.as_chunks::<8>();
    Some([0, 1, 2, 3].map(|i| u64::from_le_bytes(words[i])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 14] = [
        64, 65, 66, 71, 72, 73, 79, 80, 95, 96, 97, 128, 1000, 65_536,
    ];

    fn stamp(n: u64) -> Stamp {
        Stamp {
            room: Room::new(0xabcdef, 0x123456 ^ n as u32),
            sender: 0xfedc ^ n as u16,
            sequence: 0xdead_beef ^ n as u32,
            intended_ns: 0x0123_4567_89ab_cdef ^ n,
            delay_ns: 16 * n,
        }
    }

    fn payload(codec: &Codec, stamp: &Stamp) -> Vec<u8> {
        let mut out = Vec::new();
        codec.write(stamp, &mut out);
        out
    }

    #[test]
    fn what_is_written_is_read() {
        for kind in [MessageKind::Binary, MessageKind::Text] {
            for size in SIZES.into_iter().chain([min_size(kind)]) {
                let codec = Codec::new(kind, size, 7);
                for n in 0..100 {
                    let stamp = stamp(n);
                    let bytes = payload(&codec, &stamp);
                    assert_eq!(bytes.len(), size);
                    assert_eq!(codec.size(), size);
                    assert_eq!(codec.read(&bytes), Some(stamp), "{kind:?} {size}");
                }
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for kind in [MessageKind::Binary, MessageKind::Text] {
            for size in [min_size(kind), 64, 66, 73, 95, 97, 200] {
                let codec = Codec::new(kind, size, 7);
                let mut bytes = payload(&codec, &stamp(3));
                for bit in 0..size * 8 {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(codec.read(&bytes), None, "{kind:?} {size} bit {bit}");
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
                assert!(codec.read(&bytes).is_some());
            }
        }
    }

    #[test]
    fn every_changed_word_is_noticed() {
        let codec = Codec::new(MessageKind::Binary, 200, 7);
        let mut random = fastrand::Rng::with_seed(1);
        let bytes = payload(&codec, &stamp(3));
        for word in 0..25 {
            for _ in 0..200 {
                let mut bad = bytes.clone();
                let change = random.u64(1..).to_le_bytes();
                for (byte, change) in bad[word * 8..].iter_mut().zip(change) {
                    *byte ^= change;
                }
                assert_eq!(codec.read(&bad), None);
            }
        }
    }

    #[test]
    fn every_other_length_is_noticed() {
        for kind in [MessageKind::Binary, MessageKind::Text] {
            let codec = Codec::new(kind, 100, 7);
            let mut bytes = payload(&codec, &stamp(3));
            for len in 0..100 {
                assert_eq!(codec.read(&bytes[..len]), None, "{kind:?} {len}");
            }
            for _ in 0..40 {
                bytes.push(0);
                assert_eq!(codec.read(&bytes), None, "{kind:?} {}", bytes.len());
            }
        }
    }

    #[test]
    fn swapped_words_are_noticed() {
        let codec = Codec::new(MessageKind::Binary, 160, 7);
        let bytes = payload(&codec, &stamp(3));
        for a in 0..20 {
            for b in 0..a {
                let mut bad = bytes.clone();
                for i in 0..8 {
                    bad.swap(a * 8 + i, b * 8 + i);
                }
                assert_eq!(codec.read(&bad), None, "{a} {b}");
            }
        }
    }

    #[test]
    fn text_is_utf8_of_every_width() {
        for size in SIZES {
            let codec = Codec::new(MessageKind::Text, size, 7);
            let bytes = payload(&codec, &stamp(size as u64));
            let text = std::str::from_utf8(&bytes).expect("text is UTF-8");
            if size >= 1000 {
                for width in 1..=4 {
                    assert!(
                        text.chars().any(|c| c.len_utf8() == width),
                        "{size} {width}"
                    );
                }
            }
        }
    }

    #[test]
    fn filler_differs_between_messages() {
        let codec = Codec::new(MessageKind::Binary, 64, 7);
        let fillers: std::collections::HashSet<_> = (0..64)
            .map(|n| payload(&codec, &stamp(n))[MIN..].to_vec())
            .collect();
        assert!(fillers.len() > 48, "{}", fillers.len());
    }

    #[test]
    fn delay_is_kept_in_its_unit_and_saturates() {
        let codec = Codec::new(MessageKind::Binary, 32, 7);
        for (delay_ns, read) in [
            (0, 0),
            (15, 0),
            (16, 16),
            (1_000_001, 1_000_000),
            (60_000_000_000, 60_000_000_000),
            (u64::MAX, u64::from(u32::MAX) << 4),
        ] {
            let stamp = Stamp {
                delay_ns,
                ..stamp(0)
            };
            let bytes = payload(&codec, &stamp);
            assert_eq!(codec.read(&bytes).map(|s| s.delay_ns), Some(read));
        }
    }

    #[test]
    fn rooms_differ_by_run_and_number() {
        assert_ne!(Room::new(1, 2), Room::new(2, 1));
        assert_ne!(Room::new(1, 2), Room::new(1, 3));
        assert_ne!(Room::new(1, 2), Room::of_states(1, 2));
        assert_eq!(Room::new(1 << 24, 1 << 24), Room::new(0, 0));
    }
}
