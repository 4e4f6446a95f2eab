//! Frames written by hand, and what a decoder makes of them: independent of the crate's own encoder and masks.
#![allow(dead_code)] // each test binary uses its part of it

use roomcast_protocol::frame::{Decoder, Item, MessageKind, Role, Rules, Violation};

/// An [`Item`] that owns its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl From<Item<'_>> for Seen {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Message {
                kind: MessageKind::Text,
                payload,
            } => Self::Text(String::from_utf8(payload.to_vec()).expect("a lent text is UTF-8")),
            Item::Message {
                kind: MessageKind::Binary,
                payload,
            } => Self::Binary(payload.to_vec()),
            Item::Ping(payload) => Self::Ping(payload.to_vec()),
            Item::Pong(payload) => Self::Pong(payload.to_vec()),
            Item::Close { code, reason } => Self::Close(code.map(|code| code.0), reason.to_owned()),
        }
    }
}

/// All items of an input, and the violation that ended it.
pub(crate) type Outcome = (Vec<Seen>, Option<Violation>);

/// Feeds `pieces` one after the other to a new decoder, and stops at a violation or a close.
pub(crate) fn decode<'p>(rules: &Rules, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            match decoder.next(rules, &mut input) {
                Ok(Some(item)) => seen.push(Seen::from(item)),
                Ok(None) => break,
                Err(violation) => {
                    assert_eq!(
                        decoder.next(rules, &mut input),
                        Err(violation),
                        "dead stays dead"
                    );
                    return (seen, Some(violation));
                }
            }
            if matches!(seen.last(), Some(Seen::Close(..))) {
                return (seen, None);
            }
        }
        assert!(input.is_empty(), "None means that the input is used up");
    }
    (seen, None)
}

/// A frame with `first` as its first byte (FIN, RSV, opcode) and the shortest length.
pub(crate) fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = head(role, first, payload.len() as u64);
    match role {
        Role::Server => {
            let key = KEY;
            wire.extend(
                payload
                    .iter()
                    .zip(key.iter().cycle())
                    .map(|(byte, key)| byte ^ key),
            );
        }
        Role::Client => wire.extend_from_slice(payload),
    }
    wire
}

/// The key of every masked frame that [`frame`] makes.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The header of [`frame`], for any length.
pub(crate) fn head(role: Role, first: u8, len: u64) -> Vec<u8> {
    let form = match len {
        0..=125 => 0,
        126..=0xffff => 2,
        _ => 8,
    };
    head_in_form(role, first, len, form)
}

/// A header whose length takes `form` (0, 2 or 8) bytes beside the second byte, whether or not that is the shortest.
pub(crate) fn head_in_form(role: Role, first: u8, len: u64, form: usize) -> Vec<u8> {
    let mask_bit = if role == Role::Server { 0x80 } else { 0 };
    let short = match form {
        0 => len as u8,
        2 => 126,
        _ => 127,
    };
    let mut wire = vec![first, mask_bit | short];
    wire.extend_from_slice(&len.to_be_bytes()[8 - form..]);
    if role == Role::Server {
        wire.extend_from_slice(&KEY);
    }
    wire
}
