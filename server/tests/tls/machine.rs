//! The TLS transport alone against a real client, decided byte by byte.
//!
//! The model is two lists of bytes: what each side said. Whatever happens on the way, the other side gets a beginning of
//! it and nothing else; if nothing happens on the way, all of it.

use std::sync::LazyLock;

use roomcast::limits::{RECORD_PLAINTEXT, TLS_INPUT_MAX};
use roomcast::transport::{Heard, SEALED_MAX, Tls};
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

struct World<'d> {
    choices: &'d [u8],
    tls: Tls,
    peer: Peer,
    to_peer: Vec<u8>,
    said: Vec<u8>,
    opened: Vec<u8>,
    sealed: Vec<u8>,
    /// Somebody on the way changed what the client sent.
    tampered: bool,
    peer_closed: bool,
    we_closed: bool,
    /// Key updates that the client asked for; rustls refuses more than 32 in a row as a flood.
    updates: u32,
}

/// Plays a client and what can happen on the way to it.
pub fn run(data: &[u8]) -> Report {
    static BOTH: LazyLock<[Settings; 2]> =
        LazyLock::new(|| [settings(&[&TLS13]), settings(&[&TLS12])]);
    let (first, choices) = data.split_first().unwrap_or((&0, &[]));
    let settings = &BOTH[usize::from(first & 1)];
    let mut world = World {
        choices,
        tls: Tls::new(&settings.server).expect("settings that are good"),
        peer: Peer::new(&settings.client),
        to_peer: Vec::new(),
        said: Vec::new(),
        opened: Vec::new(),
        sealed: Vec::new(),
        tampered: false,
        peer_closed: false,
        we_closed: false,
        updates: 0,
    };
    // A handshake without incident, for those who want to see what comes behind it.
    if first & 2 != 0 {
        world.settle();
    }
    while !world.choices.is_empty() {
        world.step();
    }
    world.finish()
}

impl World<'_> {
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
                let mut out = vec![0; SEALED_MAX];
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
        let mut bytes = Vec::from(std::mem::take(&mut self.peer.to_server));
        if !bytes.is_empty() {
            let at = at % bytes.len();
            change(&mut bytes, at, with);
            self.tampered = true;
        }
        self.peer.to_server = bytes.into();
    }

    fn deliver(&mut self, most: usize) {
        let len = most.min(self.peer.to_server.len());
        if len == 0 {
            return;
        }
        let mut bytes: Vec<u8> = self.peer.to_server.drain(..len).collect();
        let before = self.tls.heard();
        let opened = self.opened.len();
        let heard = self
            .tls
            .receive(&mut bytes, &mut self.opened, &mut self.to_peer);
        if before != Heard::More || self.we_closed {
            assert_eq!(heard, before, "an end is an end");
            assert_eq!(
                self.opened.len(),
                opened,
                "nothing is opened behind the end"
            );
        }
        assert!(self.tls.buffered() <= TLS_INPUT_MAX);
        assert!(
            self.said.starts_with(&self.opened),
            "opened what nobody said"
        );
        if let Heard::Breach(_) = heard {
            assert!(
                self.tampered || self.peer.broken,
                "the client broke nothing"
            );
            assert_eq!(
                self.tls.seal(b"x", &mut [0; SEALED_MAX]),
                None,
                "a broken session seals nothing"
            );
        }
    }

    fn seal(&mut self, len: usize) {
        let plain: Vec<u8> = (0..len).map(|at| (self.sealed.len() + at) as u8).collect();
        let mut out = vec![0; SEALED_MAX];
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
            "the client opened what nobody sealed"
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
            assert!(!self.peer.broken, "the client finds nothing wrong");
            assert!(
                !matches!(self.tls.heard(), Heard::Breach(_)),
                "and so does the server"
            );
            if !self.we_closed {
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
