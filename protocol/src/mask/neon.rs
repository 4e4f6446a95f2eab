//! The kernel of 64-bit Arm: NEON.

use std::arch::aarch64::{uint8x16_t, veorq_u8, vld1q_u8, vst1q_u8};

use super::super::{Isa, turn};

const WIDTH: usize = size_of::<uint8x16_t>();

/// The first and the last vector are taken as they lie, and the middle in vectors that are aligned in the
/// destination. The three may overlap, so the ends are loaded before anything is stored, and stored last.
///
/// # Safety
/// As [`super::xor`], and `len` must be at least [`super::LONG`].
#[inline]
pub(super) unsafe fn long(_: Isa, from: *const u8, to: *mut u8, len: usize, key: u32) {
    let keys = |at| {
        let [a, b, c, d] = turn(key, at).to_le_bytes();
        let bytes = [a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d];
        // SAFETY: 16 bytes are there.
        unsafe { vld1q_u8(bytes.as_ptr()) }
    };
    // SAFETY: `at` is at most `len - WIDTH`, here and below; every 64-bit Arm has NEON.
    let load = |at| unsafe { vld1q_u8(from.add(at)) };
    // SAFETY: the same.
    let store = |at, vector| unsafe { vst1q_u8(to.add(at), vector) };
    // SAFETY: every 64-bit Arm has NEON.
    let xor = |a, b| unsafe { veorq_u8(a, b) };

    let first = xor(load(0), keys(0));
    let last = xor(load(len - WIDTH), keys(len - WIDTH));
    let mut at = (to as usize).wrapping_neg() % WIDTH;
    let keys = keys(at);
    while at + 4 * WIDTH <= len {
        let (a, b) = (load(at), load(at + WIDTH));
        let (c, d) = (load(at + 2 * WIDTH), load(at + 3 * WIDTH));
        store(at, xor(a, keys));
        store(at + WIDTH, xor(b, keys));
        store(at + 2 * WIDTH, xor(c, keys));
        store(at + 3 * WIDTH, xor(d, keys));
        at += 4 * WIDTH;
    }
    while at + WIDTH <= len {
        store(at, xor(load(at), keys));
        at += WIDTH;
    }
    store(0, first);
    store(len - WIDTH, last);
}
