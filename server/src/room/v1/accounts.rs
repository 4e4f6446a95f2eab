//! Whether what a room counts is what it has. Only tests ask.

use super::{Room, Seat};

impl Room {
    /// Each seat that is taken: by which player of the shard, and whether that is away.
    pub fn seated(&self) -> impl Iterator<Item = (Seat, u32, bool)> + '_ {
        self.players.iter().map(|(seat, player)| {
            let away = player.away_since().is_some();
            (seat as Seat, player.player, away)
        })
    }

    /// Whether whoever has not been given all there is has another turn.
    pub fn is_everybody_called(&self) -> bool {
        let mut players = self.players.iter().map(|(_, player)| player);
        players.all(|player| match player.will_have_turn() {
            true => self.rounds.has(player.id),
            false => !player.lags() || self.rounds.is_for_all(),
        })
    }

    /// Whether a room that nobody will look at has let go of whom something was said to.
    pub fn is_at_rest(&self) -> bool {
        self.timed || self.dirty || self.is_serving() || !self.rounds.has_called()
    }

    /// Whether its players are found by their ids, and the bytes of its log and of all properties are as they were counted.
    pub fn is_accounted(&self) -> bool {
        let order = self.order.iter();
        let ids = order.map(|&seat| Some(self.players.get(seat as usize)?.id));
        let ids: Option<Vec<u32>> = ids.collect();
        let in_order = ids.is_some_and(|ids| ids.is_sorted_by(|one, next| one < next));
        let own = self.players.iter().map(|(_, player)| &player.properties);
        let properties = own.chain([&self.properties]);
        in_order
            && self.order.len() == self.players.len()
            && self.log_counted == self.log.held()
            && self.property_bytes == properties.map(|owned| owned.bytes()).sum::<usize>()
    }
}
