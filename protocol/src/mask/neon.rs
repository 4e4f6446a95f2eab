//! The kernel of 64-bit Arm: NEON.

use std::arch::aarch64::{uint8x16_t, veorq_u8, vld1q_u8, vst1q_u8};

use super::super::{Isa, turn};

const WIDTH: usize = size_of::<uint8x16_t>();

/// The key for a [`piece`].
#[inline(always)]
pub(super) fn wide(key: u32) -> uint8x16_t {
    let [a, b, c, d] = key.to_le_bytes();
    let bytes = [a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d];
    // SAFETY: 16 bytes are there; every 64-bit Arm has NEON.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

/// XORs the 16 bytes at `at`.
///
/// # Safety
/// 16 bytes must be readable at `from + at` and writable at `to + at`.
#[inline(always)]
pub(super) unsafe fn piece(from: *const u8, to: *mut u8, at: usize, key: uint8x16_t) {
    // SAFETY: as the caller promises; every 64-bit Arm has NEON.
    unsafe { vst1q_u8(to.add(at), veorq_u8(vld1q_u8(from.add(at)), key)) }
}

/// Works in vectors that are aligned in the destination. What is before the first of them is done by a vector that
/// overlaps it, so it is loaded first and stored last.
///
/// # Safety
/// As [`super::xor`], and `len` must be at least [`super::LONG`].
#[inline(never)]
pub(super) unsafe fn long(_: Isa, from: *const u8, to: *mut u8, len: usize, key: u32) {
    // SAFETY: `at` never goes beyond `len`, and less than four vectors are left for the short pieces.
    unsafe {
        let first = veorq_u8(vld1q_u8(from), wide(key));
        let mut at = (to as usize).wrapping_neg() % WIDTH;
        let keys = wide(turn(key, at));
        while at + 4 * WIDTH <= len {
            piece(from, to, at, keys);
            piece(from, to, at + WIDTH, keys);
            piece(from, to, at + 2 * WIDTH, keys);
            piece(from, to, at + 3 * WIDTH, keys);
            at += 4 * WIDTH;
        }
        vst1q_u8(to, first);
        super::short(from.add(at), to.add(at), len - at, turn(key, at));
    }
}
