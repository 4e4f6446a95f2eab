//! How often a peer may say what costs more than it brings.
//!
//! Owns: where frames begin in what comes, and what they weigh. Must not know: what is in them. Invariant: whatever comes, no more is
//! held than a few numbers; a peer is over its pace before h2 has heard of it.

/// What a peer may send at once, and in each second after that (budgets), of what weighs one.
const BURST: u32 = 2_000;
const A_SECOND: u32 = 1_000;

/// A frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;

/// Weighs frames as they come.
#[derive(Debug)]
pub(super) struct Paces {
    head: [u8; HEAD],
    /// Bytes of the head that have come, and of the frame behind it that have not.
    len: usize,
    rest: usize,
    /// What may still be sent, as of a moment (ms).
    left: u32,
    at: u64,
    /// Bytes of the preface that have yet to come.
    preface: usize,
}

impl Paces {
    pub(super) fn new(preface: usize) -> Self {
        Self {
            head: [0; HEAD],
            len: 0,
            rest: 0,
            left: BURST,
            at: 0,
            preface,
        }
    }

    /// Looks at what comes at `now` (ms). False if the peer is over its pace.
    pub(super) fn look(&mut self, mut bytes: &[u8], now: u64) -> bool {
        let gone = now.saturating_sub(self.at).min(10_000);
        let more = gone * u64::from(A_SECOND) / 1_000;
        if more > 0 {
            self.left = BURST.min(self.left + more as u32);
            self.at = now;
        }
        while !bytes.is_empty() {
            let passed = match (self.preface, self.rest) {
                (0, 0) => {
                    self.head[self.len] = bytes[0];
                    self.len += 1;
                    1
                }
                (0, rest) => rest.min(bytes.len()),
                (preface, _) => preface.min(bytes.len()),
            };
            if self.preface > 0 {
                self.preface -= passed;
            } else if self.rest > 0 {
                self.rest -= passed;
            }
            bytes = &bytes[passed..];
            if self.len == HEAD {
                self.len = 0;
                let [a, b, c, kind, ..] = self.head;
                self.rest = u32::from_be_bytes([0, a, b, c]) as usize;
                let Some(left) = self.left.checked_sub(weight(kind, self.rest)) else {
                    return false;
                };
                self.left = left;
            }
        }
        true
    }
}

/// What a frame weighs (RFC 9113 section 6): one that brings content nothing, and a window that opens almost nothing, since that
/// follows from what we send; who asks again and again pays for each, and so does who takes back what it asked.
fn weight(kind: u8, len: usize) -> u32 {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const WINDOW_UPDATE: u8 = 8;
    match kind {
        DATA if len > 0 => 0,
        WINDOW_UPDATE => 0,
        HEADERS => 1,
        // An empty DATA, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION, and what is not known.
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, len: usize) -> Vec<u8> {
        let [_, a, b, c] = (len as u32).to_be_bytes();
        let mut frame = vec![a, b, c, kind, 0, 0, 0, 0, 1];
        frame.resize(HEAD + len, 7);
        frame
    }

    #[test]
    fn frames_are_weighed_wherever_they_are_cut() {
        let bytes = [frame(0, 300), frame(6, 8), frame(1, 20), frame(0, 0)].concat();
        for at in 0..bytes.len() {
            let mut paces = Paces::new(3);
            assert!(paces.look(b"PRI", 0));
            assert!(paces.look(&bytes[..at], 0) && paces.look(&bytes[at..], 0));
            assert_eq!((paces.left, paces.rest, paces.len), (BURST - 9, 0, 0));
        }
    }

    #[test]
    fn who_floods_is_over_its_pace_and_who_waits_is_not() {
        let pings = frame(6, 8).repeat(100);
        let mut paces = Paces::new(0);
        let mut floods = 0;
        while paces.look(&pings, 5) {
            floods += 1;
        }
        assert_eq!(floods, BURST / 400);
        let mut paces = Paces::new(0);
        assert!((0..1_000).all(|second| paces.look(&pings, second * 1_000)));
        assert!((0..1_000).all(|_| paces.look(&frame(8, 4).repeat(100), 0)));
    }
}
