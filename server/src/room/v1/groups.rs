//! Groups: who is in which.
//!
//! Owns: the groups of each seat, and the players of each group. Must not know: states, the log. Invariant: a player is
//! among those of a group exactly if the group is among those of its seat.

use std::collections::BTreeMap;

use super::Seat;

/// The groups of a room. A room in which nobody ever joined one has none of this.
#[derive(Debug, Default)]
pub struct Groups {
    /// By seat: its groups, ascending.
    of: Vec<Vec<u32>>,
    /// Who is in a group, and where each sits; ids ascending.
    players: BTreeMap<u32, Vec<(u32, Seat)>>,
}

/// The groups of a seat. No method of the room, for the states are written to meanwhile.
pub fn groups_of(groups: &Option<Box<Groups>>, seat: Seat) -> &[u32] {
    groups.as_ref().map_or(&[], |groups| groups.of(seat))
}

impl Groups {
    /// The groups of a seat, ascending.
    pub fn of(&self, seat: Seat) -> &[u32] {
        self.of.get(seat as usize).map_or(&[], |groups| groups)
    }

    /// Who is in a group, and where each sits; ids ascending.
    pub fn players(&self, group: u32) -> &[(u32, Seat)] {
        self.players.get(&group).map_or(&[], |players| players)
    }

    /// A player joins a group; false if it is in it already.
    pub fn join(&mut self, seat: Seat, id: u32, group: u32) -> bool {
        let index = seat as usize;
        if self.of.len() <= index {
            self.of.resize_with(index + 1, Vec::new);
        }
        let groups = &mut self.of[index];
        let Err(index) = groups.binary_search(&group) else {
            return false;
        };
        groups.insert(index, group);
        let players = self.players.entry(group).or_default();
        if let Err(index) = players.binary_search(&(id, seat)) {
            players.insert(index, (id, seat));
        }
        true
    }

    /// A player leaves a group; false if it is not in it.
    pub fn leave(&mut self, seat: Seat, id: u32, group: u32) -> bool {
        let Some(groups) = self.of.get_mut(seat as usize) else {
            return false;
        };
        let Ok(index) = groups.binary_search(&group) else {
            return false;
        };
        groups.remove(index);
        if let Some(players) = self.players.get_mut(&group) {
            players.retain(|(player, _)| *player != id);
            if players.is_empty() {
                self.players.remove(&group);
            }
        }
        true
    }

    /// A player is gone: its seat is in no group.
    pub fn leave_all(&mut self, seat: Seat, id: u32) {
        for group in self.of(seat).to_vec() {
            self.leave(seat, id, group);
        }
        if let Some(groups) = self.of.get_mut(seat as usize) {
            *groups = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_a_group_has_it() {
        let mut groups = Groups::default();
        for (seat, id) in [(3, 9), (0, 2), (1, 5)] {
            assert!(groups.join(seat, id, 7));
            assert!(groups.join(seat, id, 1));
        }
        assert!(!groups.join(3, 9, 7), "it is there");
        assert_eq!(
            (groups.of(3), groups.players(7)),
            (&[1, 7][..], &[(2, 0), (5, 1), (9, 3)][..])
        );
        assert!(groups.leave(0, 2, 7) && !groups.leave(0, 2, 7));
        assert_eq!(
            (groups.of(0), groups.players(7)),
            (&[1][..], &[(5, 1), (9, 3)][..])
        );
        groups.leave_all(3, 9);
        groups.leave_all(1, 5);
        assert!(groups.of(3).is_empty() && groups.players(7).is_empty());
        assert_eq!(groups.players.len(), 1, "a group that nobody is in is none");
    }
}
