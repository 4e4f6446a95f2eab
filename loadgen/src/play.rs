//! What players of `roomcast.v1` do beside saying events.
//!
//! Owns the description and its bounds. Must not know how any of it is done.
//! Invariant: [`Play::default`] is a run of events alone, which says no more of itself than one in the raw dialect.

use std::fmt;
use std::str::FromStr;

use roomcast_protocol::v1::{
    BUNDLE_BYTES_MAX, PairValue, Pairs, TICK_HZ_MAX, VARINT_BYTES_MAX, setting,
};

/// The most keys that a sender may have.
const KEYS_MAX: u32 = 1_000;
/// The most hosts that lose their connection per second.
const HOST_KILLS_MAX: f64 = 1e6;
/// The most (receiver, sender, key) that are followed; each costs 16 bytes (so this is 256 MiB).
const VALUES_MAX: usize = 1 << 24;
/// Bytes that a value has over its payload, at most: kind, length and key.
const VALUE_HEAD_MAX: usize = 1 + 2 * VARINT_BYTES_MAX;

/// Whom players speak to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// All others.
    None,
    /// The others of a group: of so many, each of them in one.
    Disjoint(u32),
    /// The cell of a grid that they are in; they hear nine.
    Grid,
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Disjoint(size) => write!(f, "disjoint:{size}"),
            Self::Grid => f.write_str("grid"),
        }
    }
}

impl FromStr for Groups {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no kind of groups; write none, disjoint:30 or grid");
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "grid" => Ok(Self::Grid),
            Some(("disjoint", size)) => {
                let size = size.parse().ok().filter(|size| *size > 1);
                size.map(Self::Disjoint).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

/// What players do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Play {
    /// Values of its keys that each sender sets per second, one key after the other; 0 for none.
    pub states_hz: f64,
    /// Keys of each sender.
    pub keys: u32,
    /// Ticks per second that rooms are made with, which players align with; 0 for none.
    pub tick_hz: u32,
    /// Hosts per second that lose their connection over all rooms, which are made without a host's grace; 0 for none.
    pub host_kills: f64,
    /// Whom they speak to.
    pub groups: Groups,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            states_hz: 0.0,
            keys: 1,
            tick_hz: 0,
            host_kills: 0.0,
            groups: Groups::None,
        }
    }
}

impl Play {
    /// Whether there are states.
    #[must_use]
    pub fn has_states(&self) -> bool {
        self.states_hz > 0.0
    }

    /// Whether hosts lose their connections.
    #[must_use]
    pub fn loses_hosts(&self) -> bool {
        self.host_kills > 0.0
    }

    /// Whether players do what the raw dialect does not have.
    #[must_use]
    pub fn needs_players(&self) -> bool {
        self.has_states() || self.tick_hz > 0 || self.loses_hosts() || self.groups != Groups::None
    }

    /// What who makes a room wishes for, written into `buffer`.
    pub(crate) fn wishes<'b>(&self, buffer: &'b mut Vec<u8>) -> Pairs<'b> {
        let grace = self.loses_hosts().then_some((setting::HOST_GRACE_MS, 0));
        let ticks = (self.tick_hz > 0).then_some((setting::TICK_HZ, self.tick_hz));
        let wishes = grace.into_iter().chain(ticks);
        let wishes = wishes.map(|(key, wish)| (key, PairValue::Number(wish.into())));
        Pairs::encode(wishes, buffer).expect("keys ascend")
    }

    /// Whether `pairs` of receiver and sender can do this with payloads of `size` bytes.
    ///
    /// # Errors
    /// The first thing that is wrong, in words that say what to change.
    pub fn check(&self, pairs: usize, size: usize) -> Result<(), String> {
        if !(1..=KEYS_MAX).contains(&self.keys) {
            return Err(format!("keys must be 1 to {KEYS_MAX}, not {}", self.keys));
        }
        if u64::from(self.tick_hz) > TICK_HZ_MAX {
            return Err(format!(
                "ticks must be 1 to {TICK_HZ_MAX} per second, not {}",
                self.tick_hz
            ));
        }
        if !(0.0..=HOST_KILLS_MAX).contains(&self.host_kills) {
            return Err(format!(
                "host kills must be 0 to {HOST_KILLS_MAX} per second, not {}",
                self.host_kills
            ));
        }
        if !self.has_states() {
            return Ok(());
        }
        let values = pairs.saturating_mul(self.keys as usize);
        if values > VALUES_MAX {
            return Err(format!(
                "{values} keys over all pairs of receiver and sender are more than {VALUES_MAX}: use fewer keys or smaller rooms"
            ));
        }
        let bytes = (self.keys as usize).saturating_mul(size.saturating_add(VALUE_HEAD_MAX));
        if bytes > BUNDLE_BYTES_MAX {
            return Err(format!(
                "the values of all keys of a sender must find room in one message of {BUNDLE_BYTES_MAX} bytes: use fewer keys or a smaller size"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_spelled_as_they_are_shown() {
        for groups in [Groups::None, Groups::Disjoint(30), Groups::Grid] {
            assert_eq!(groups.to_string().parse(), Ok(groups));
        }
        for bad in ["disjoint", "disjoint:1", "disjoint:x", "grid:3", ""] {
            assert!(bad.parse::<Groups>().is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_bounded() {
        let states = Play {
            states_hz: 20.0,
            keys: 3,
            tick_hz: 20,
            host_kills: 1.0,
            groups: Groups::Grid,
        };
        assert_eq!(states.check(10_000, 64), Ok(()));
        for (play, pairs, size, word) in [
            (Play { keys: 0, ..states }, 1, 64, "keys"),
            (
                Play {
                    keys: 1_001,
                    ..states
                },
                1,
                64,
                "keys",
            ),
            (states, VALUES_MAX / 2, 64, "fewer keys"),
            (states, 1, 6_000, "smaller size"),
            (
                Play {
                    keys: 300,
                    ..states
                },
                1,
                64,
                "fewer keys",
            ),
            (
                Play {
                    tick_hz: 129,
                    ..states
                },
                1,
                64,
                "ticks",
            ),
            (
                Play {
                    host_kills: f64::NAN,
                    ..states
                },
                1,
                64,
                "host kills",
            ),
        ] {
            let error = play.check(pairs, size).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
        // Who has none of them need not fit.
        assert_eq!(Play::default().check(VALUES_MAX * 2, 1 << 20), Ok(()));
    }
}
