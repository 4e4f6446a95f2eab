//! The welcome: what holds in a room, as of one entry, in as many bundles as it takes.

use std::sync::Arc;

use roomcast_protocol::v1::{
    self, BUNDLE_BYTES_MAX, Changed, List, Owner, PROPERTIES_MAX, PairValue, Pairs, PlayerId, down,
    limit, setting,
};

use super::properties::Properties;
use super::{Room, Rules, Seat};

/// What a welcome says beside what the room knows.
#[derive(Debug, Clone, Copy)]
pub struct Occasion {
    /// Why the client can't go on where it was.
    pub reset: Option<u64>,
    /// This client's join made the room.
    pub created: bool,
    /// The relay's time, µs.
    pub time: u64,
}

/// Packets on their way into bundles that cover nothing.
pub(super) struct Bundles<'w> {
    message: Vec<u8>,
    write: &'w mut dyn FnMut(&[u8]),
}

impl<'w> Bundles<'w> {
    pub(super) fn new(write: &'w mut dyn FnMut(&[u8])) -> Self {
        Self {
            message: vec![0],
            write,
        }
    }

    pub(super) fn add(&mut self, packet: down::Packet<'_>) {
        self.add_with(|message| packet.encode(message));
    }

    /// Adds what `encode` appends.
    pub(super) fn add_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.message.len();
        encode(&mut self.message);
        if self.message.len() > BUNDLE_BYTES_MAX && before > 1 {
            (self.write)(&self.message[..before]);
            self.message.drain(1..before);
        }
    }

    /// There is nothing more.
    pub(super) fn end(self) {
        (self.write)(&self.message);
    }
}

impl Room {
    /// Welcomes the player on `seat`: `write` is given one message after the other. From here on it gets what follows.
    pub fn welcome(
        &mut self,
        seat: Seat,
        occasion: Occasion,
        rules: &Rules,
        write: &mut dyn FnMut(&[u8]),
    ) {
        let player = &mut self.players[seat as usize];
        player.got_to(self.log.position());
        player.told(self.log.seq());
        player.forget_owed();
        player.set_begun(true);
        player.set_lags(false);
        if let Some(states) = &mut self.states {
            states.welcome(seat);
        }
        let applied = player.acknowledge();
        let (id, token) = (player.id, player.token());
        let Some(id) = PlayerId::new(id) else { return };
        let mut bundles = Bundles::new(write);
        if let Some(reason) = occasion.reset {
            bundles.add(down::Packet::Reset { reason });
        }
        let (mut limits, mut settings) = (Vec::new(), Vec::new());
        bundles.add(down::Packet::Welcome(down::Welcome {
            created: occasion.created,
            minor: v1::MINOR,
            capabilities: rules.capabilities(),
            life: self.life,
            id,
            token,
            seq: self.log.seq(),
            applied,
            time: occasion.time,
            limits: rules.limits(&mut limits),
        }));
        let settings = self.settings.pairs(self.tag(), &mut settings);
        bundles.add(down::Packet::Settings(settings));
        for &seat in &self.order {
            let player = &self.players[seat as usize];
            if let Some(id) = PlayerId::new(player.id) {
                let (name, away) = (player.name(), player.away_since().is_some());
                bundles.add(down::Packet::Player { id, name, away });
            }
        }
        bundles.add_properties(None, &self.properties);
        for &seat in &self.order {
            let player = &self.players[seat as usize];
            bundles.add_properties(PlayerId::new(player.id), &player.properties);
        }
        for value in self.values_for(seat) {
            bundles.add_with(|message| message.extend_from_slice(value));
        }
        if self.host.term() > 0 {
            bundles.add(self.host_packet(false));
        }
        if self.is_locked() {
            bundles.add(down::Packet::Locked(true));
        }
        self.welcome_with_snapshot(seat, &mut bundles);
        bundles.add(down::Packet::Ready);
        bundles.end();
    }
}

impl Bundles<'_> {
    fn add_properties(&mut self, owner: Owner, properties: &Properties) {
        let mut buffer = Vec::new();
        let all: Vec<Changed<'_>> = properties.iter().collect();
        for some in all.chunks(PROPERTIES_MAX) {
            if let Ok(changes) = List::encode(some.iter().copied(), &mut buffer) {
                self.add(down::Packet::Properties {
                    owner,
                    author: None,
                    changes,
                });
            }
        }
    }
}

impl Rules {
    fn capabilities(&self) -> u64 {
        let impairment = if self.impairment {
            down::capability::IMPAIRMENT
        } else {
            0
        };
        impairment
            | down::capability::STATES
            | down::capability::GROUPS
            | down::capability::HOSTS
            | down::capability::TICKS
    }

    fn limits<'a>(&self, buffer: &'a mut Vec<u8>) -> Pairs<'a> {
        let limits = [
            (limit::MESSAGE_BYTES, self.message_max as u64),
            (limit::PACKETS_PER_SECOND, u64::from(self.rate.per_second)),
            (limit::PACKETS_BURST, u64::from(self.rate.burst)),
            (limit::PROPERTIES, self.properties.count as u64),
            (limit::PROPERTY_BYTES, self.properties.bytes as u64),
            (limit::KEYS, self.states.player.count as u64),
            (limit::STATE_BYTES, self.states.player.bytes as u64),
            (limit::ROOM_KEYS, self.states.room.count as u64),
            (limit::ROOM_STATE_BYTES, self.states.room.bytes as u64),
            (limit::GROUPS, self.groups_max as u64),
            (limit::SNAPSHOT_BYTES, self.snapshot_bytes_max as u64),
        ];
        let limits = limits.map(|(key, number)| (key, PairValue::Number(number)));
        Pairs::encode(limits, buffer).unwrap_or(Pairs::EMPTY)
    }
}

impl super::Settings {
    fn pairs<'a>(&self, tag: Option<&Arc<str>>, buffer: &'a mut Vec<u8>) -> Pairs<'a> {
        let tag = tag.map(|tag| (setting::TAG, PairValue::Bytes(tag.as_bytes())));
        let settings = [
            (setting::PLAYERS_MAX, u64::from(self.players_max)),
            (setting::GRACE_MS, u64::from(self.grace_ms)),
            (
                setting::PROPERTIES_BY_ALL,
                u64::from(self.properties_by_all),
            ),
            (setting::RAW, 1),
            (setting::HOST_GRACE_MS, u64::from(self.host_grace_ms)),
            (setting::TICK_HZ, u64::from(self.tick_hz)),
            (setting::POWERS, u64::from(self.powers)),
            (setting::KEYS_BY_ALL, u64::from(self.keys_by_all)),
        ];
        // Left out: that nobody else is let in, and no ticks.
        let told = |&(key, _): &(u64, u64)| match key {
            setting::RAW => self.raw,
            setting::TICK_HZ => self.tick_hz > 0,
            _ => true,
        };
        let settings = settings.into_iter().filter(told);
        let settings = settings.map(|(key, number)| (key, PairValue::Number(number)));
        Pairs::encode(tag.into_iter().chain(settings), buffer).unwrap_or(Pairs::EMPTY)
    }
}
