//! Unmasking equals the scalar loop: every instruction set of this machine, every length up to 600 and around the one
//! from which stores are aligned, every alignment within a cache line, every phase, in place and copying.

use proptest::prelude::*;
use roomcast_protocol::mask::{
    Isa, MaskKey, active_isa, unmask_in_place, unmask_in_place_with, unmask_to_vec,
    unmask_to_vec_with,
};

const KEY: MaskKey = [0x9d, 0x07, 0xe3, 0x58];

/// What stands around the payload and must stay.
const GUARD: u8 = 0xa5;

fn scalar(payload: &[u8], key: MaskKey, phase: usize) -> Vec<u8> {
    payload
        .iter()
        .enumerate()
        .map(|(i, byte)| byte ^ key[(phase + i) % 4])
        .collect()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// A buffer whose first byte lies at a multiple of 64.
#[repr(align(64))]
struct Aligned([u8; ROOM]);

/// The longest payload, an alignment before it, and something behind.
const ROOM: usize = 1100 + 64 + 64;

fn lengths() -> impl Iterator<Item = usize> {
    (0..=600).chain(1000..1100)
}

#[test]
fn in_place_equals_the_scalar_loop() {
    for isa in Isa::available() {
        for len in lengths() {
            let payload = pattern(len);
            for phase in 0..4 {
                let expected = scalar(&payload, KEY, phase);
                for offset in 0..64 {
                    let mut buffer = Aligned([GUARD; ROOM]);
                    buffer.0[offset..offset + len].copy_from_slice(&payload);
                    let part = &mut buffer.0[offset..offset + len];
                    unmask_in_place_with(isa, part, KEY, phase);
                    assert!(
                        part == expected,
                        "{isa:?} len {len} phase {phase} offset {offset}"
                    );
                    let (before, after) = (&buffer.0[..offset], &buffer.0[offset + len..]);
                    let guarded = before.iter().chain(after).all(|byte| *byte == GUARD);
                    assert!(
                        guarded,
                        "{isa:?} len {len} phase {phase} offset {offset}: beyond"
                    );
                }
            }
        }
    }
}

#[test]
fn copying_equals_the_scalar_loop() {
    let source = Aligned(pattern(ROOM).try_into().unwrap());
    for isa in Isa::available() {
        let mut out = Vec::with_capacity(2 * ROOM);
        // The vector's own memory has whatever alignment it has; 64 lengths before it make up all of them.
        for len in lengths() {
            for phase in 0..4 {
                for before in 0..64 {
                    // The offsets in source and destination go through all pairs of remainders over the lengths.
                    let offset = (before * 5 + len) % 64;
                    let payload = &source.0[offset..offset + len];
                    out.clear();
                    out.resize(before, GUARD);
                    unmask_to_vec_with(isa, payload, KEY, phase, &mut out);
                    let (kept, added) = out.split_at(before);
                    assert!(
                        kept.iter().all(|byte| *byte == GUARD),
                        "{isa:?} {len} {before}: before"
                    );
                    let expected = scalar(payload, KEY, phase);
                    assert!(
                        added == expected,
                        "{isa:?} len {len} phase {phase} before {before}"
                    );
                }
            }
        }
    }
}

#[test]
fn long_payloads_equal_the_scalar_loop() {
    for isa in Isa::available() {
        for len in [1000, 4095, 4096, 4097, 10_000, 65_536, 65_599, 1 << 20] {
            let payload = pattern(len);
            for (phase, offset) in [(0, 0), (1, 13), (2, 31), (3, 63)] {
                let expected = scalar(&payload[offset..], KEY, phase);
                let mut in_place = payload.clone();
                unmask_in_place_with(isa, &mut in_place[offset..], KEY, phase);
                assert!(
                    in_place[offset..] == expected,
                    "{isa:?} {len} {phase} {offset}"
                );
                assert!(
                    in_place[..offset] == payload[..offset],
                    "{isa:?} {len}: before"
                );
                let mut copied = vec![GUARD; offset];
                unmask_to_vec_with(isa, &payload[offset..], KEY, phase, &mut copied);
                assert!(
                    copied[offset..] == expected,
                    "{isa:?} {len} {phase} {offset}: copied"
                );
            }
        }
    }
}

#[test]
fn the_active_set_is_the_best_available_and_the_last_is_portable() {
    let available: Vec<_> = Isa::available().collect();
    assert_eq!(available.first(), Some(&active_isa()));
    assert_eq!(available.last(), Some(&Isa::Portable));
    assert!(available.iter().all(|isa| isa.is_available()));
    #[cfg(target_arch = "x86_64")]
    assert!(available.contains(&Isa::Sse2) && !available.contains(&Isa::Neon));
    #[cfg(target_arch = "aarch64")]
    assert!(available.contains(&Isa::Neon) && !available.contains(&Isa::Sse2));
}

#[test]
fn an_unavailable_set_falls_back() {
    for isa in [Isa::Avx512, Isa::Avx2, Isa::Sse2, Isa::Neon, Isa::Portable] {
        let mut payload = pattern(200);
        unmask_in_place_with(isa, &mut payload, KEY, 1);
        assert_eq!(payload, scalar(&pattern(200), KEY, 1), "{}", isa.name());
    }
}

proptest! {
    #[test]
    fn any_payload_in_any_pieces(
        payload in proptest::collection::vec(any::<u8>(), 0..2000),
        key in any::<MaskKey>(),
        phase in any::<usize>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let phase = phase % (1 << 20);
        let expected = scalar(&payload, key, phase);
        let cut = cut.index(payload.len() + 1);

        let mut in_place = payload.clone();
        let (left, right) = in_place.split_at_mut(cut);
        unmask_in_place(left, key, phase);
        unmask_in_place(right, key, phase + cut);
        prop_assert_eq!(&in_place, &expected);

        let mut copied = Vec::new();
        unmask_to_vec(&payload[..cut], key, phase, &mut copied);
        unmask_to_vec(&payload[cut..], key, phase + cut, &mut copied);
        prop_assert_eq!(&copied, &expected);

        unmask_in_place(&mut in_place, key, phase);
        prop_assert_eq!(in_place, payload, "twice is not at all");
    }
}
