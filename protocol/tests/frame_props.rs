//! Properties of the decoder over random messages, fragmentations and splits, for both roles.

mod wire;

use proptest::collection::vec;
use proptest::prelude::*;
use roomcast_protocol::close::CloseCode;
use roomcast_protocol::frame::{
    Decoder, Opcode, Role, Rules, encode, encode_close, encode_masked, encoded_len, header,
};
use roomcast_protocol::mask::{MaskKey, unmask_to_vec};
use wire::{Seen, decode};

/// The longest message of these tests, in bytes.
const LIMIT: usize = 3000;

/// What a decoder may hold beside the message: its own record, and the payload of a control frame.
const BESIDE: usize = 512;

#[derive(Clone, Debug)]
enum Sent {
    Whole(Seen),
    /// A message in fragments, cut at these places, with control frames between them.
    Fragments(Seen, Vec<prop::sample::Index>, Vec<Seen>),
}

fn message() -> impl Strategy<Value = Seen> {
    prop_oneof![
        "\\PC{0,200}".prop_map(Seen::Text),
        vec(any::<u8>(), 0..300).prop_map(Seen::Binary),
        vec(any::<u8>(), 60..LIMIT).prop_map(Seen::Binary),
    ]
}

fn control() -> impl Strategy<Value = Seen> {
    prop_oneof![
        vec(any::<u8>(), 0..=125).prop_map(Seen::Ping),
        vec(any::<u8>(), 0..=125).prop_map(Seen::Pong),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        3 => message().prop_map(Sent::Whole),
        1 => control().prop_map(Sent::Whole),
        2 => (message(), vec(any::<prop::sample::Index>(), 1..6), vec(control(), 0..4))
            .prop_map(|(message, cuts, between)| Sent::Fragments(message, cuts, between)),
    ]
}

fn opcode_and_payload(seen: &Seen) -> (Opcode, &[u8]) {
    match seen {
        Seen::Text(text) => (Opcode::Text, text.as_bytes()),
        Seen::Binary(bytes) => (Opcode::Binary, bytes),
        Seen::Ping(bytes) => (Opcode::Ping, bytes),
        Seen::Pong(bytes) => (Opcode::Pong, bytes),
        Seen::Close(..) => unreachable!("not generated"),
    }
}

/// Writes whole frames the way the sender of `role`'s input does.
fn put(out: &mut Vec<u8>, role: Role, key: MaskKey, opcode: Opcode, payload: &[u8]) {
    match role {
        Role::Server => encode_masked(out, opcode, payload, key),
        Role::Client => encode(out, opcode, payload),
    }
}

fn put_fragment(
    out: &mut Vec<u8>,
    role: Role,
    key: MaskKey,
    fin: bool,
    opcode: Opcode,
    payload: &[u8],
) {
    let mask = (role == Role::Server).then_some(key);
    out.extend_from_slice(header(fin, opcode, payload.len(), mask).as_bytes());
    unmask_to_vec(payload, mask.unwrap_or_default(), 0, out);
}

/// The wire, and what a decoder must see on it.
fn write(role: Role, key: MaskKey, all: &[Sent]) -> (Vec<u8>, Vec<Seen>) {
    let (mut out, mut expected) = (Vec::new(), Vec::new());
    for sent in all {
        match sent {
            Sent::Whole(seen) => {
                let (opcode, payload) = opcode_and_payload(seen);
                put(&mut out, role, key, opcode, payload);
                expected.push(seen.clone());
            }
            Sent::Fragments(message, cuts, between) => {
                let (mut opcode, payload) = opcode_and_payload(message);
                let mut cuts: Vec<_> = cuts
                    .iter()
                    .map(|cut| cut.index(payload.len() + 1))
                    .collect();
                cuts.sort_unstable();
                let mut between = between.iter();
                let mut start = 0;
                for cut in cuts {
                    put_fragment(&mut out, role, key, false, opcode, &payload[start..cut]);
                    (opcode, start) = (Opcode::Continuation, cut);
                    if let Some(control) = between.next() {
                        let (opcode, payload) = opcode_and_payload(control);
                        put(&mut out, role, key, opcode, payload);
                        expected.push(control.clone());
                    }
                }
                put_fragment(&mut out, role, key, true, opcode, &payload[start..]);
                expected.push(message.clone());
            }
        }
    }
    (out, expected)
}

/// Cuts `wire` into pieces of the given lengths, over and over.
fn pieces<'w>(wire: &'w [u8], lens: &[usize]) -> Vec<&'w [u8]> {
    let mut rest = wire;
    let mut pieces = Vec::new();
    for len in lens.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*len).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

/// Piece lengths: tiny ones, and such as a socket gives.
fn lens() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..20_usize, 1..2000_usize], 1..10)
}

/// Bytes that are often near to frames, and sometimes nothing of the kind.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        vec(any::<u8>(), 0..40),
        (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..16)).prop_map(|(first, second, rest)| {
            // Mostly no RSV bits and known opcodes, so that it gets beyond the first byte.
            let opcode = [0, 1, 2, 8, 9, 10, 0, 1][usize::from(first & 7)];
            [&[first & 0x80 | opcode, second][..], &rest].concat()
        }),
        (role(), any::<MaskKey>(), vec(sent(), 1..3))
            .prop_map(|(role, key, all)| write(role, key, &all).0),
    ];
    vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

#[test]
fn sizes_on_the_wire() {
    let key = [1, 2, 3, 4];
    for len in (0..300).chain(65_500..65_600) {
        let payload = vec![7; len];
        let mut out = Vec::new();
        encode(&mut out, Opcode::Binary, &payload);
        assert_eq!(out.len(), encoded_len(len));
        let plain = header(true, Opcode::Binary, len, None);
        assert_eq!(plain.as_bytes(), &out[..out.len() - len]);
        out.clear();
        encode_masked(&mut out, Opcode::Binary, &payload, key);
        assert_eq!(out.len(), encoded_len(len) + 4);
        let masked = header(true, Opcode::Binary, len, Some(key));
        assert_eq!(masked.as_bytes(), &out[..out.len() - len]);
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        role in role(),
        key in any::<MaskKey>(),
        all in vec(sent(), 1..8),
        lens in lens(),
    ) {
        let rules = Rules { role, max_message: LIMIT };
        let (wire, expected) = write(role, key, &all);
        prop_assert_eq!(decode(&rules, [&wire[..]]), (expected.clone(), None), "whole");
        prop_assert_eq!(decode(&rules, pieces(&wire, &lens)), (expected, None), "in pieces");
    }

    #[test]
    fn any_bytes_in_any_pieces_come_to_the_same(
        role in role(),
        wire in hostile(),
        lens in lens(),
        max_message in prop_oneof![Just(LIMIT), 0..200_usize],
    ) {
        let rules = Rules { role, max_message };
        let whole = decode(&rules, [&wire[..]]);
        prop_assert_eq!(decode(&rules, wire.chunks(1)), whole.clone());
        prop_assert_eq!(decode(&rules, pieces(&wire, &lens)), whole);
    }

    #[test]
    fn memory_follows_what_arrived_and_is_bounded(
        role in role(),
        wire in hostile(),
        lens in lens(),
        max_message in prop_oneof![Just(LIMIT), 0..200_usize],
    ) {
        let rules = Rules { role, max_message };
        let mut decoder = Decoder::default();
        let mut arrived = 0;
        for piece in pieces(&wire, &lens) {
            arrived += piece.len();
            let mut piece = piece.to_vec();
            let mut input = &mut piece[..];
            while let Ok(Some(_)) = decoder.next(&rules, &mut input) {
                prop_assert!(decoder.buffered() <= max_message + BESIDE);
            }
            prop_assert!(decoder.buffered() <= max_message + BESIDE);
            prop_assert!(decoder.buffered() <= 2 * arrived + BESIDE);
            prop_assert_eq!(decoder.is_idle(), decoder.buffered() == 0);
        }
    }

    #[test]
    fn close_frames_keep_what_fits_of_the_reason(
        role in role(),
        key in any::<MaskKey>(),
        reason in "\\PC{0,140}",
    ) {
        let mut out = Vec::new();
        let mask = (role == Role::Server).then_some(key);
        encode_close(&mut out, CloseCode::SLOW_CONSUMER, &reason, mask);
        let rules = Rules { role, max_message: 0 };
        let (seen, end) = decode(&rules, [&out[..]]);
        prop_assert_eq!(end, None);
        let [Seen::Close(Some(4002), kept)] = &seen[..] else {
            panic!("not one close: {seen:?}");
        };
        prop_assert!(reason.starts_with(kept.as_str()));
        // Nothing more would have fit.
        let next = reason[kept.len()..].chars().next();
        prop_assert!(next.is_none_or(|next| kept.len() + next.len_utf8() > 123));
    }
}
