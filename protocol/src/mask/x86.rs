//! The kernels of x86-64: AVX-512, AVX2, SSE2.

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_loadu_si128, _mm_set1_epi32, _mm_storeu_si128, _mm_xor_si128,
    _mm256_loadu_si256, _mm256_set1_epi32, _mm256_storeu_si256, _mm256_xor_si256,
    _mm512_loadu_si512, _mm512_set1_epi32, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::super::{Isa, turn};

/// Up to this length, in bytes, a payload is taken to lie in the first-level cache. Beyond it memory is the limit, and
/// narrow vectors are 3 to 7 % faster in place than wide ones.
const WIDE_UP_TO: usize = 32 * 1024;

/// # Safety
/// As [`super::xor`], and `len` must be at least [`super::LONG`].
#[inline(always)]
pub(super) unsafe fn long(isa: Isa, from: *const u8, to: *mut u8, len: usize, key: u32) {
    // SAFETY: as the caller promises.
    unsafe {
        match isa {
            Isa::Avx512 if len <= WIDE_UP_TO => avx512(from, to, len, key),
            Isa::Avx2 if len <= WIDE_UP_TO => avx2(from, to, len, key),
            _ => sse2(from, to, len, key),
        }
    }
}

/// The key for a [`piece`].
#[inline(always)]
pub(super) fn wide(key: u32) -> __m128i {
    // SAFETY: every x86-64 has SSE2.
    unsafe { _mm_set1_epi32(key as i32) }
}

/// XORs the 16 bytes at `at`.
///
/// # Safety
/// 16 bytes must be readable at `from + at` and writable at `to + at`.
#[inline(always)]
pub(super) unsafe fn piece(from: *const u8, to: *mut u8, at: usize, key: __m128i) {
    // SAFETY: as the caller promises; every x86-64 has SSE2.
    unsafe {
        let bytes = _mm_loadu_si128(from.add(at).cast());
        _mm_storeu_si128(to.add(at).cast(), _mm_xor_si128(bytes, key));
    }
}

/// One function `$name` over vectors of type `$vector`.
///
/// A long payload is worked through in vectors that are aligned in the destination, because a store over two cache
/// lines costs twice. What is before the first of them is done by a vector that overlaps it, so it is loaded first
/// and stored last.
macro_rules! kernel {
    ($name:ident, $features:literal, $vector:ty, $set:ident, $load:ident, $store:ident, $xor:ident) => {
        /// # Safety
        /// `from` must be readable and `to` writable for `len` bytes, the two the same or apart, and `len` at least a
        /// vector. The machine must have the instruction set.
        #[target_feature(enable = $features)]
        #[inline(never)]
        unsafe fn $name(from: *const u8, to: *mut u8, len: usize, key: u32) {
            const WIDTH: usize = size_of::<$vector>();
            // SAFETY: `at` is at most `len - WIDTH`, here and below.
            let load = |at| unsafe { $load(from.add(at).cast()) };
            // SAFETY: the same.
            let store = |at, vector| unsafe { $store(to.add(at).cast(), vector) };

            let first = $xor(load(0), $set(key as i32));
            let align = len >= ALIGN_FROM;
            let mut at = if align {
                (to as usize).wrapping_neg() % WIDTH
            } else {
                0
            };
            let keys = $set(turn(key, at) as i32);
            while at + 4 * WIDTH <= len {
                let (a, b) = (load(at), load(at + WIDTH));
                let (c, d) = (load(at + 2 * WIDTH), load(at + 3 * WIDTH));
                store(at, $xor(a, keys));
                store(at + WIDTH, $xor(b, keys));
                store(at + 2 * WIDTH, $xor(c, keys));
                store(at + 3 * WIDTH, $xor(d, keys));
                at += 4 * WIDTH;
            }
            while at + WIDTH <= len {
                store(at, $xor(load(at), keys));
                at += WIDTH;
            }
            if align {
                store(0, first);
            }
            // SAFETY: less than a vector is left, and no vector is longer than LONG.
            unsafe { super::short(from.add(at), to.add(at), len - at, turn(key, at)) };
        }
    };
}

/// From this length on, in bytes, aligned stores pay for the vector that it takes to get there.
const ALIGN_FROM: usize = 1024;

kernel!(
    avx512,
    "avx512f,avx512bw",
    __m512i,
    _mm512_set1_epi32,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_xor_si512
);
kernel!(
    avx2,
    "avx2",
    __m256i,
    _mm256_set1_epi32,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_xor_si256
);
kernel!(
    sse2,
    "sse2",
    __m128i,
    _mm_set1_epi32,
    _mm_loadu_si128,
    _mm_storeu_si128,
    _mm_xor_si128
);
