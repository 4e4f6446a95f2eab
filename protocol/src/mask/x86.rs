//! The kernels of x86-64: AVX-512, AVX2, SSE2.

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_loadu_si128, _mm_set1_epi32, _mm_storeu_si128, _mm_xor_si128,
    _mm256_loadu_si256, _mm256_set1_epi32, _mm256_storeu_si256, _mm256_xor_si256,
    _mm512_loadu_si512, _mm512_set1_epi32, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::super::{Isa, turn};

/// # Safety
/// As [`super::xor`], and `len` must be at least [`super::LONG`].
#[inline(always)]
pub(super) unsafe fn long(isa: Isa, from: *const u8, to: *mut u8, len: usize, key: u32) {
    // SAFETY: as the caller promises.
    unsafe {
        match isa {
            Isa::Avx512 => avx512(from, to, len, key),
            Isa::Avx2 => avx2(from, to, len, key),
            Isa::Sse2 | Isa::Neon | Isa::Portable => sse2(from, to, len, key),
        }
    }
}

/// One function `$name` over vectors of type `$vector`.
///
/// The first and the last vector are taken as they lie, and the middle in vectors that are aligned in the
/// destination, because a store over two cache lines costs twice. The three may overlap, so the ends are loaded before
/// anything is stored, and stored last.
macro_rules! kernel {
    ($name:ident, $features:literal, $vector:ty, $set:ident, $load:ident, $store:ident, $xor:ident) => {
        /// # Safety
        /// `from` must be readable and `to` writable for `len` bytes, the two the same or apart, and `len` at least a
        /// vector. The machine must have the instruction set.
        #[target_feature(enable = $features)]
        unsafe fn $name(from: *const u8, to: *mut u8, len: usize, key: u32) {
            const WIDTH: usize = size_of::<$vector>();
            let keys = |at| $set(turn(key, at) as i32);
            // SAFETY: `at` is at most `len - WIDTH`, here and below.
            let load = |at| unsafe { $load(from.add(at).cast()) };
            // SAFETY: the same.
            let store = |at, vector| unsafe { $store(to.add(at).cast(), vector) };

            let first = $xor(load(0), keys(0));
            let last = $xor(load(len - WIDTH), keys(len - WIDTH));
            // More than two vectors: the ends do not meet.
            if len > 2 * WIDTH {
                let mut at = (to as usize).wrapping_neg() % WIDTH;
                let keys = keys(at);
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
            }
            store(0, first);
            store(len - WIDTH, last);
        }
    };
}

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
