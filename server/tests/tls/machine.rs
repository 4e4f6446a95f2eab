//! The TLS machine of either role against rustls's own other side, decided byte by byte.
//!
//! The model is two lists of bytes: what each side said. Whatever happens on the way, the other side gets a beginning of
//! it and nothing else; if nothing happens on the way, all of it.

use std::sync::LazyLock;

use roomcast_protocol::tls::{Heard, RECORD_MAX, RECORD_PLAINTEXT, Role, Session, sealed_max};
use rustls::version::{TLS12, TLS13};

use super::pair::{Peer, Settings, settings};

/// What a run came to.
#[must_use]
#[derive(Debug, Default, Clone, Copy)]
pub struct Report {
    pub established: bool,
    pub breached: bool,
    pub closed: bool,
    pub opened: usize,
    pub sealed: usize,
}

/// Room for what any call here writes.
const OUT: usize = sealed_max(RECORD_PLAINTEXT);

struct World<'d, R: Role> {
    choices: &'d [u8],
    tls: Session<R>,
    peer: Peer,
    to_peer: Vec<u8>,
    /// We are the client, who hears what comes behind its own end.
    reads_on: bool,
    said: Vec<u8>,
    opened: Vec<u8>,
    sealed: Vec<u8>,
    /// Somebody on the way changed what the peer sent.
    tampered: bool,
    peer_closed: bool,
    we_closed: bool,
    /// Key updates that the peer asked for; rustls refuses more than 32 in a row as a flood.
    updates: u32,
}

/// Plays a peer and what can happen on the way to it.
pub fn run(data: &[u8]) -> Report {
    static BOTH: LazyLock<[Settings; 2]> =
        LazyLock::new(|| [settings(&[&TLS13]), settings(&[&TLS12])]);
    let (first, choices) = data.split_first().unwrap_or((&0, &[]));
    let settings = &BOTH[usize::from(first & 1)];
    // A handshake without incident, for those who want to see what comes behind it.
    let settled = first & 2 != 0;
    let mut to_peer = Vec::new();
    if first & 4 == 0 {
        let tls = settings.acceptor().accept();
        let tls = tls.expect("settings that are good");
        World::new(tls, settings.client(), to_peer).play(choices, settled)
    } else {
        let tls = settings.connector().connect(&mut to_peer);
        let tls = tls.expect("settings that are good");
        let mut world = World::new(tls, settings.server(), to_peer);
        world.reads_on = true;
        world.play(choices, settled)
    }
}

impl<'d, R: Role> World<'d, R> {
    fn new(tls: Session<R>, peer: Peer, to_peer: Vec<u8>) -> Self {
        Self {
            choices: &[],
            tls,
            peer,
            to_peer,
            reads_on: false,
            said: Vec::new(),
            opened: Vec::new(),
            sealed: Vec::new(),
            tampered: false,
            peer_closed: false,
            we_closed: false,
            updates: 0,
        }
    }

    fn play(mut self, choices: &'d [u8], settled: bool) -> Report {
        self.choices = choices;
        if settled {
            self.settle();
        }
        while !self.choices.is_empty() {
            self.step();
        }
        self.finish()
    }

    fn byte(&mut self) -> usize {
        match self.choices.split_first() {
            Some((byte, rest)) => {
                self.choices = rest;
                usize::from(*byte)
            }
            None => 0,
        }
    }

    fn step(&mut self) {
        match self.byte() % 12 {
            0 => {
                let len = self.byte() * 9;
                let plain: Vec<u8> = (0..len).map(|at| (self.said.len() + at) as u8).collect();
                if !self.peer_closed && !self.peer.broken && !self.peer.tls.is_handshaking() {
                    self.peer.say(&plain);
                    self.said.extend_from_slice(&plain);
                }
            }
            1 | 2 => {
                let len = self.byte() * 5 + 1;
                self.deliver(len);
            }
            3 => self.deliver(usize::MAX),
            4 => self.tamper(|bytes, at, with| bytes[at] ^= with | 1),
            5 => self.tamper(|bytes, at, with| bytes.insert(at, with)),
            6 => self.tamper(|bytes, at, _| {
                bytes.remove(at);
            }),
            7 => {
                let len = self.byte() * self.byte() / 4;
                self.seal(len.min(RECORD_PLAINTEXT));
            }
            8 => self.hear(),
            9 => {
                if !self.peer_closed && !self.peer.broken && !self.peer.tls.is_handshaking() {
                    self.peer.tls.send_close_notify();
                    self.peer.pump();
                    self.peer_closed = true;
                }
            }
            10 => {
                let mut out = vec![0; OUT];
                let again = self.we_closed;
                if let Some(len) = self.tls.close_notify(&mut out) {
                    assert!(!again, "it is said once");
                    self.to_peer.extend_from_slice(&out[..len]);
                }
                // Also where it could not be said, it is over.
                self.we_closed = true;
            }
            _ => {
                let able =
                    !self.peer.tls.is_handshaking() && !self.peer_closed && !self.peer.broken;
                if able && self.updates < 30 {
                    self.updates += 1;
                    // Only TLS 1.3 knows that.
                    let _ = self.peer.tls.refresh_traffic_keys();
                    self.peer.pump();
                }
            }
        }
    }

    fn tamper(&mut self, change: impl FnOnce(&mut Vec<u8>, usize, u8)) {
        let (at, with) = (self.byte(), self.byte() as u8);
        let mut bytes = Vec::from(std::mem::take(&mut self.peer.to_us));
        if !bytes.is_empty() {
            let at = at % bytes.len();
            change(&mut bytes, at, with);
            self.tampered = true;
        }
        self.peer.to_us = bytes.into();
    }

    fn deliver(&mut self, most: usize) {
        let len = most.min(self.peer.to_us.len());
        if len == 0 {
            return;
        }
        let mut bytes: Vec<u8> = self.peer.to_us.drain(..len).collect();
        if self.we_closed && self.reads_on && self.tampered {
            // rustls asserts that nothing is wrong behind our own end.
            return;
        }
        let before = self.tls.heard();
        let opened = self.opened.len();
        let heard = self
            .tls
            .receive(&mut bytes, &mut self.opened, &mut self.to_peer);
        if before != Heard::More || (self.we_closed && !self.reads_on) {
            assert_eq!(heard, before, "an end is an end");
            assert_eq!(
                self.opened.len(),
                opened,
                "nothing is opened behind the end"
            );
        }
        let most = if self.tls.is_handshaking() {
            96 * 1024
        } else {
            RECORD_MAX
        };
        assert!(self.tls.buffered() <= most);
        assert!(
            self.said.starts_with(&self.opened),
            "opened what nobody said"
        );
        if let Heard::Breach(_) = heard {
            assert!(self.tampered || self.peer.broken, "the peer broke nothing");
            assert_eq!(
                self.tls.seal(b"x", &mut [0; OUT]),
                None,
                "a broken session seals nothing"
            );
        }
    }

    fn seal(&mut self, len: usize) {
        let plain: Vec<u8> = (0..len).map(|at| (self.sealed.len() + at) as u8).collect();
        let mut out = vec![0; OUT];
        let sealed = self.tls.seal(&plain, &mut out);
        let able = !self.tls.is_handshaking()
            && !self.we_closed
            && !matches!(self.tls.heard(), Heard::Breach(_));
        if able {
            assert!(sealed.is_some(), "an open session seals");
        }
        if let Some(len) = sealed {
            self.to_peer.extend_from_slice(&out[..len]);
            self.sealed.extend_from_slice(&plain);
        }
    }

    fn hear(&mut self) {
        let bytes = std::mem::take(&mut self.to_peer);
        self.peer.hear(&bytes);
        assert!(
            self.sealed.starts_with(&self.peer.got),
            "the peer opened what nobody sealed"
        );
    }

    fn settle(&mut self) {
        for _ in 0..6 {
            self.deliver(usize::MAX);
            self.hear();
        }
    }

    fn finish(mut self) -> Report {
        self.settle();
        if !self.tampered {
            assert!(!self.peer.broken, "the peer finds nothing wrong");
            assert!(
                !matches!(self.tls.heard(), Heard::Breach(_)),
                "and neither do we"
            );
            if !self.we_closed || self.reads_on {
                assert_eq!(self.opened.len(), self.said.len(), "all of it came");
                let closed = self.tls.heard() == Heard::Closed;
                assert_eq!(closed, self.peer_closed, "an end is told as such");
            }
            if !self.peer.told_closed {
                assert_eq!(self.peer.got.len(), self.sealed.len(), "all of it came");
            }
        }
        Report {
            established: !self.tls.is_handshaking(),
            breached: matches!(self.tls.heard(), Heard::Breach(_)),
            closed: self.tls.heard() == Heard::Closed,
            opened: self.opened.len(),
            sealed: self.peer.got.len(),
        }
    }
}
