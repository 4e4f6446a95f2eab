//! The table: rows of bytes and what a decoder makes of them.

use roomcast_protocol::frame::{Role, Rules, Violation};

use crate::wire::{Outcome, Seen, decode, frame};

pub(crate) const BOTH: [Role; 2] = [Role::Server, Role::Client];
pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The limit of every row that does not set its own, in bytes.
pub(crate) const LIMIT: usize = 70_000;

struct Row {
    name: String,
    rules: Rules,
    wire: Vec<u8>,
    expected: Outcome,
}

#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn row(
        &mut self,
        name: &str,
        role: Role,
        wire: Vec<u8>,
        items: &[Seen],
        end: Option<Violation>,
    ) {
        self.limited(name, role, LIMIT, wire, items, end);
    }

    pub(crate) fn limited(
        &mut self,
        name: &str,
        role: Role,
        max_message: usize,
        wire: Vec<u8>,
        items: &[Seen],
        end: Option<Violation>,
    ) {
        self.0.push(Row {
            name: format!("{name} ({role:?})"),
            rules: Rules { role, max_message },
            wire,
            expected: (items.to_vec(), end),
        });
    }

    /// For both roles: well-formed frames of (first byte, payload).
    pub(crate) fn frames(
        &mut self,
        name: &str,
        frames: &[(u8, &[u8])],
        items: &[Seen],
        end: Option<Violation>,
    ) {
        for role in BOTH {
            let wire = frames
                .iter()
                .flat_map(|(first, payload)| frame(role, *first, payload));
            self.row(name, role, wire.collect(), items, end);
        }
    }

    pub(crate) fn check(self) {
        assert!(!self.0.is_empty());
        for Row {
            name,
            rules,
            wire,
            expected,
        } in self.0
        {
            assert_eq!(decode(&rules, [&wire[..]]), expected, "{name}: whole");
            assert_eq!(
                decode(&rules, wire.chunks(1)),
                expected,
                "{name}: byte by byte"
            );
            for at in split_points(wire.len()) {
                let (left, right) = wire.split_at(at);
                assert_eq!(
                    decode(&rules, [left, right]),
                    expected,
                    "{name}: split at {at}"
                );
            }
            for chunk in [2, 3, 5, 7] {
                assert_eq!(
                    decode(&rules, wire.chunks(chunk)),
                    expected,
                    "{name}: by {chunk}"
                );
            }
        }
    }
}

/// Every point of an input of up to 4 KiB; of a longer one those around headers and ends, and a sample.
fn split_points(len: usize) -> impl Iterator<Item = usize> {
    (0..=len).filter(move |at| len <= 4096 || *at < 64 || len - at < 64 || at % 1021 == 0)
}

pub(crate) fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

pub(crate) fn binary(bytes: &[u8]) -> Seen {
    Seen::Binary(bytes.to_vec())
}

/// Bytes that are no two alike nearby, so that a lost or doubled one shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}
