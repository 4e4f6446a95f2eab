//! TLS as the simulation plays it: both ends, without rustls, whose randomness would break seeds.
//!
//! Owns: records, two flights of a handshake and what they cost, in a form that notices whatever is lost, doubled,
//! reordered or changed. Must not know: what the bytes mean. Invariant: the same calls give the same bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roomcast::limits::{RECORD_MAX, RECORD_PLAINTEXT};
use roomcast::transport::{Acceptor, Breach, Heard, Played};

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// Bytes of the parts of a handshake, about as long as rustls's: so some are cut by a read and some are not.
const HELLO: usize = 1_400;
const SERVER_FLIGHT: usize = 1_900;
const FINISHED: usize = 50;
const TICKET: usize = 100;

/// Kind, version and length before the text of a record.
const HEADER: usize = 5;

/// Number and sum behind the text of a record.
const TAG: usize = 8;

/// How far a handshake has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The first flight of the other side is awaited.
    First,
    /// The server awaits the client's second one.
    Second,
    Open,
}

/// One end.
#[derive(Debug)]
pub struct End {
    is_client: bool,
    stage: Stage,
    heard: Heard,
    silent: bool,
    input: Vec<u8>,
    sealed: u32,
    opened: u32,
    /// Microseconds of a server's first flight.
    signing_us: u64,
    /// Microseconds that handshakes have cost, of all ends.
    cost: Arc<AtomicU64>,
}

impl End {
    fn new(is_client: bool, signing_us: u64, cost: Arc<AtomicU64>) -> Self {
        Self {
            is_client,
            stage: Stage::First,
            heard: Heard::More,
            silent: false,
            input: Vec::new(),
            sealed: 0,
            opened: 0,
            signing_us,
            cost,
        }
    }

    /// A client, whose first flight is appended to `out`.
    pub fn client(out: &mut Vec<u8>) -> Self {
        out.extend(record(HANDSHAKE, &[1; HELLO]));
        Self::new(true, 0, Arc::default())
    }

    /// What each connection of a shard begins with. The first flight takes `signing_us` microseconds, which are added to
    /// `cost`.
    pub fn acceptor(signing_us: u64, cost: &Arc<AtomicU64>) -> Acceptor {
        let cost = Arc::clone(cost);
        Acceptor::played(move || Box::new(Self::new(false, signing_us, Arc::clone(&cost))))
    }

    fn breach(&mut self, answers: &mut Vec<u8>) {
        self.heard = Heard::Breach(match self.stage {
            Stage::Open => Breach::Record,
            Stage::First | Stage::Second => Breach::Handshake,
        });
        self.silent = true;
        answers.extend(record(ALERT, &[2, 40]));
    }

    /// Takes one whole record. False if it should not have come.
    fn take(&mut self, kind: u8, body: &[u8], plain: &mut Vec<u8>, answers: &mut Vec<u8>) -> bool {
        match (kind, self.stage) {
            (HANDSHAKE, Stage::First) if self.is_client => {
                answers.extend(record(HANDSHAKE, &[3; FINISHED]));
                self.stage = Stage::Open;
            }
            (HANDSHAKE, Stage::First) => {
                self.cost.fetch_add(self.signing_us, Ordering::Relaxed);
                answers.extend(record(HANDSHAKE, &[2; SERVER_FLIGHT]));
                self.stage = Stage::Second;
            }
            (HANDSHAKE, Stage::Second) => {
                answers.extend(record(HANDSHAKE, &[4; TICKET]));
                self.stage = Stage::Open;
            }
            // The ticket.
            (HANDSHAKE, Stage::Open) => return self.is_client,
            (DATA, Stage::Open) if body.len() >= TAG => {
                let (text, tag) = body.split_at(body.len() - TAG);
                if *tag != self::tag(self.opened, text) {
                    return false;
                }
                self.opened += 1;
                let start = plain.len();
                plain.extend_from_slice(text);
                conceal(&mut plain[start..]);
            }
            (ALERT, Stage::Open) if *body == [1, 0] => self.heard = Heard::Closed,
            _ => return false,
        }
        true
    }
}

impl Played for End {
    fn receive(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>, answers: &mut Vec<u8>) -> Heard {
        if self.silent || self.heard != Heard::More {
            return self.heard;
        }
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let mut rest = &input[..];
        while let [kind, 3, 3, high, low, behind @ ..] = rest {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((body, behind)) = behind.split_at_checked(len) else {
                break;
            };
            rest = behind;
            if !self.take(*kind, body, plain, answers) {
                self.breach(answers);
            }
            if self.heard != Heard::More {
                return self.heard;
            }
        }
        let mut header = rest.iter().skip(1).take(2);
        if rest.len() > RECORD_MAX || header.any(|byte| *byte != 3) {
            self.breach(answers);
        } else {
            let opened = input.len() - rest.len();
            input.drain(..opened);
            self.input = input;
        }
        self.heard
    }

    fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Option<usize> {
        if self.silent || self.stage != Stage::Open {
            return None;
        }
        let mut len = 0;
        for text in plain.chunks(RECORD_PLAINTEXT) {
            let behind = out[len..].split_at_mut(HEADER).1;
            let (body, behind) = behind.split_at_mut(text.len());
            body.copy_from_slice(text);
            conceal(body);
            behind[..TAG].copy_from_slice(&tag(self.sealed, body));
            self.sealed += 1;
            out[len..len + HEADER].copy_from_slice(&header(DATA, text.len() + TAG));
            len += HEADER + text.len() + TAG;
        }
        Some(len)
    }

    fn close_notify(&mut self, out: &mut [u8]) -> Option<usize> {
        let able = !std::mem::replace(&mut self.silent, true) && self.stage == Stage::Open;
        able.then(|| {
            let record = record(ALERT, &[1, 0]);
            out[..record.len()].copy_from_slice(&record);
            record.len()
        })
    }

    fn heard(&self) -> Heard {
        self.heard
    }

    fn is_handshaking(&self) -> bool {
        self.stage != Stage::Open
    }
}

fn header(kind: u8, len: usize) -> [u8; HEADER] {
    let [high, low] = (len as u16).to_be_bytes();
    [kind, 3, 3, high, low]
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&header(kind, body.len()), body].concat()
}

/// Makes text into what it is on the wire, and back.
fn conceal(text: &mut [u8]) {
    let (words, rest) = text.as_chunks_mut::<8>();
    for word in words {
        *word = (!u64::from_ne_bytes(*word)).to_ne_bytes();
    }
    rest.iter_mut().for_each(|byte| *byte = !*byte);
}

/// What must be behind a text. By words, because a run seals and opens megabytes.
fn tag(number: u32, text: &[u8]) -> [u8; TAG] {
    let (words, rest) = text.as_chunks::<8>();
    let mut sum = u64::from(number);
    let mut add = |part: u64| {
        sum = (sum ^ part)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    };
    for word in words {
        add(u64::from_le_bytes(*word));
    }
    for byte in rest {
        add(u64::from(*byte));
    }
    let mut tag = [0; TAG];
    tag[..4].copy_from_slice(&number.to_be_bytes());
    tag[4..].copy_from_slice(&((sum >> 32) as u32 ^ sum as u32).to_be_bytes());
    tag
}
