//! A relay of one room and one player of interest, as small as the document allows: it applies, logs, replays, resets.

use roomcast_protocol::v1::down::{self, Packet, Welcome, reset};
use roomcast_protocol::v1::up::{self, Join};
use roomcast_protocol::v1::{Life, List, Name, Pairs, Payload, PlayerId, Token, write_varint};

use crate::packets::id;

/// The player of interest.
struct Player {
    id: PlayerId,
    token: Token,
    applied: u64,
}

pub(crate) struct Relay {
    life: u8,
    next_id: u32,
    player: Option<Player>,
    /// The packets of the log from the entry `log_begin` + 1 on; None: not for the player.
    log: Vec<Option<Vec<u8>>>,
    log_begin: u64,
    /// What the player has sent and the room has applied, over all lives.
    pub(crate) applied: Vec<Vec<u8>>,
    /// Whether the connection's join was answered, and how far it has been served.
    served: Option<u64>,
}

impl Relay {
    pub(crate) fn new() -> Self {
        Self {
            life: 1,
            next_id: 1,
            player: None,
            log: Vec::new(),
            log_begin: 0,
            applied: Vec::new(),
            served: None,
        }
    }

    pub(crate) fn seq(&self) -> u64 {
        self.log_begin + self.log.len() as u64
    }

    /// Another player says something; to the player of interest or not.
    pub(crate) fn say(&mut self, what: &[u8], to_player: bool) {
        let mut bytes = Vec::new();
        let event = Packet::Event {
            author: id(1000),
            payload: Payload::Bytes(what),
            by_host: false,
            addressed: false,
        };
        event.encode(&mut bytes);
        self.log.push(to_player.then_some(bytes));
    }

    /// The log is cut short.
    pub(crate) fn forget(&mut self, entries: usize) {
        let entries = entries.min(self.log.len());
        self.log.drain(..entries);
        self.log_begin += entries as u64;
    }

    /// The process starts again: nobody is known.
    pub(crate) fn restart(&mut self) {
        self.life += 1;
        self.next_id = 1;
        self.player = None;
        self.log.clear();
        self.log_begin = 0;
        self.served = None;
    }

    pub(crate) fn lost(&mut self) {
        self.served = None;
    }

    /// A bundle of up to `most` entries that the connection has not been sent; None if it is not in.
    pub(crate) fn flush(&mut self, most: u64) -> Option<Vec<u8>> {
        let from = self.served?;
        let to = self.seq().min(from.saturating_add(most));
        let mut bundle = Vec::new();
        write_varint(&mut bundle, to - from);
        for entry in from..to {
            if let Some(packet) = &self.log[(entry - self.log_begin) as usize] {
                bundle.extend_from_slice(packet);
            }
        }
        self.served = Some(to);
        Some(bundle)
    }

    /// Acknowledges what was applied.
    pub(crate) fn acknowledge(&mut self) -> Option<Vec<u8>> {
        self.served?;
        let applied = self.player.as_ref()?.applied;
        let mut bundle = vec![0];
        Packet::Ack { applied }.encode(&mut bundle);
        Some(bundle)
    }

    /// The lane overflows: a fresh welcome on the connection that is there.
    pub(crate) fn overflow(&mut self) -> Option<Vec<u8>> {
        self.served?;
        Some(self.welcome(Some(reset::BEHIND), false))
    }

    fn welcome(&mut self, why: Option<u64>, created: bool) -> Vec<u8> {
        let seq = self.seq();
        let player = self.player.as_ref().expect("somebody to welcome");
        let mut bundle = vec![0];
        if let Some(reason) = why {
            Packet::Reset { reason }.encode(&mut bundle);
        }
        let welcome = Welcome {
            created,
            minor: 0,
            capabilities: 0,
            life: Life([self.life; 8]),
            id: player.id,
            token: player.token,
            seq,
            applied: player.applied,
            time: 0,
            limits: Pairs::EMPTY,
        };
        Packet::Welcome(welcome).encode(&mut bundle);
        let away = false;
        let name = Name::new("Ada").expect("a name");
        down::Packet::Player {
            id: player.id,
            name,
            away,
        }
        .encode(&mut bundle);
        Packet::Ready.encode(&mut bundle);
        self.served = Some(seq);
        bundle
    }

    fn join(&mut self, join: &Join<'_>) -> Vec<u8> {
        let known = |player: &Player| join.back.is_some_and(|back| back.token == player.token);
        if !self.player.as_ref().is_some_and(known) {
            let player = Player {
                id: id(self.next_id),
                token: Token([self.life; 16]),
                applied: 0,
            };
            self.player = Some(player);
            self.next_id += 1;
            // Its own *joined* is an entry, and not for itself.
            self.log.push(None);
            return self.welcome(join.back.map(|_| reset::GONE), true);
        }
        match join.back.and_then(|back| back.cursor) {
            None => self.welcome(None, false),
            Some(cursor) if cursor.life != Life([self.life; 8]) || cursor.seq < self.log_begin => {
                self.welcome(Some(reset::LOG), false)
            }
            Some(cursor) => {
                assert!(cursor.seq <= self.seq(), "a cursor ahead of the room");
                let applied = self.player.as_ref().map_or(0, |player| player.applied);
                let mut bundle = vec![0];
                Packet::Resumed { applied, time: 0 }.encode(&mut bundle);
                self.served = Some(cursor.seq);
                bundle
            }
        }
    }

    /// A message of the present connection; answers what is to be sent at once.
    pub(crate) fn receive(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let mut answer = None;
        for packet in up::decode(message).expect("a message") {
            match packet.expect("a packet") {
                up::Packet::Join(join) => {
                    assert!(
                        self.served.is_none() && answer.is_none(),
                        "a join that is not first"
                    );
                    answer = Some(self.join(&join));
                }
                _ if self.served.is_none() => panic!("a packet before the answer"),
                up::Packet::Event { payload, to, .. } => {
                    let player = self.player.as_mut().expect("a player");
                    player.applied += 1;
                    let author = player.id;
                    self.applied.push(payload.bytes().to_vec());
                    let mut bytes = Vec::new();
                    let (by_host, addressed) = (false, false);
                    Packet::Event {
                        author,
                        payload,
                        by_host,
                        addressed,
                    }
                    .encode(&mut bytes);
                    self.log.push((to == up::Audience::All).then_some(bytes));
                }
                up::Packet::Ping { echo, .. } => {
                    let mut bundle = vec![0];
                    Packet::Pong { echo, time: 77 }.encode(&mut bundle);
                    answer = Some(bundle);
                }
                other => panic!("{other:?} is not sent here"),
            }
        }
        answer
    }
}

/// A join of Ada's.
pub(crate) fn ada() -> Join<'static> {
    Join {
        minor: 0,
        mode: up::Mode::Any,
        back: None,
        name: Name::new("Ada").expect("a name"),
        properties: List::EMPTY,
        wishes: Pairs::EMPTY,
    }
}
