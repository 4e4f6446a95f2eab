//! Who is in which interest group, and who hears whom because of that.
//!
//! Owns the layout of a room. Must not know how a player says so.
//! Invariant: it depends on a room's size alone, so that everybody works out the same.

use crate::play::Groups;

/// Cells of a grid that somebody on it sees: its own and those around it.
const SEEN: u32 = 9;
/// Players whom somebody on a grid sees, about.
const SEEN_PLAYERS: u32 = 30;
/// Cells of a side, at least: else those on both sides of a cell would be the same.
const SIDE_MIN: u32 = 3;

/// Where the members of one room are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All hear all.
    Whole,
    /// Groups of so many, each of which hears itself.
    Disjoint(u32),
    /// A grid of so many cells in a row and in a column, whose ends meet. Everybody is in one cell, says what it says there,
    /// and hears it and the eight around it.
    Grid(u32, u32),
}

impl Layout {
    /// Of a room with so many members.
    pub(crate) fn new(groups: Groups, members: u32) -> Self {
        match groups {
            Groups::None => Self::Whole,
            Groups::Disjoint(size) => Self::Disjoint(size),
            Groups::Grid => {
                let cells = members * SEEN / SEEN_PLAYERS;
                let width = cells.isqrt().max(SIDE_MIN);
                Self::Grid(width, (cells / width).max(SIDE_MIN))
            }
        }
    }

    /// The group that a member speaks to; `None`: all others.
    #[inline]
    pub(crate) fn speaks_to(self, member: u32) -> Option<u32> {
        match self {
            Self::Whole => None,
            Self::Disjoint(size) => Some(member / size),
            Self::Grid(width, height) => Some(member % (width * height)),
        }
    }

    /// The groups that a member is in, ascending.
    pub(crate) fn groups_of(self, member: u32) -> Vec<u32> {
        let Some(own) = self.speaks_to(member) else {
            return Vec::new();
        };
        let Self::Grid(width, height) = self else {
            return vec![own];
        };
        let (x, y) = (own % width, own / width);
        let around = |at: u32, of: u32| [at + of - 1, at, at + 1].map(|at| at % of);
        let rows = around(y, height).into_iter();
        let cells = rows.flat_map(|y| around(x, width).map(|x| y * width + x));
        let mut cells: Vec<u32> = cells.collect();
        cells.sort_unstable();
        cells
    }

    /// Whether one member hears another.
    #[inline]
    pub(crate) fn hears(self, member: u32, other: u32) -> bool {
        match self {
            Self::Whole => true,
            Self::Disjoint(size) => member / size == other / size,
            Self::Grid(width, height) => {
                let cells = width * height;
                let (a, b) = (member % cells, other % cells);
                let near = |a: u32, b: u32, of: u32| {
                    let apart = a.abs_diff(b);
                    apart.min(of - apart) <= 1
                };
                near(a % width, b % width, width) && near(a / width, b / width, height)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_the_group_of_a_speaker_hears_it() {
        for (groups, members) in [
            (Groups::None, 10),
            (Groups::Disjoint(30), 1_000),
            (Groups::Disjoint(3), 8),
            (Groups::Grid, 1_000),
            (Groups::Grid, 7),
        ] {
            let layout = Layout::new(groups, members);
            for member in 0..members {
                let own = layout.groups_of(member);
                assert!(own.is_sorted_by(|a, b| a < b), "{own:?}");
                for other in (0..members).step_by(7) {
                    let hears = layout.speaks_to(other).is_none_or(|to| own.contains(&to));
                    assert_eq!(
                        layout.hears(member, other),
                        hears,
                        "{layout:?} {member} {other}"
                    );
                }
            }
        }
    }

    #[test]
    fn on_a_grid_everybody_is_in_nine_groups_and_sees_thirty() {
        let layout = Layout::new(Groups::Grid, 1_000);
        let mut seen = 0;
        for member in 0..1_000 {
            assert_eq!(layout.groups_of(member).len(), 9);
            seen += (0..1_000)
                .filter(|&other| layout.hears(member, other))
                .count();
        }
        let mean = seen as f64 / 1_000.0;
        assert!((27.0..=33.0).contains(&mean), "{mean}");
    }
}
