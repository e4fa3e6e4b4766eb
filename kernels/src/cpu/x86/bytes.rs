//! Bytes in a register of 256 bits, which AVX2 and AVX-512 have alike.
//!
//! AVX-512 does not take 512 bits here: rows of codes are often 32 or 64 bytes, and a CPU of either
//! kind runs twice as many half instructions.

use std::arch::x86_64::{
    __m256i, _mm_add_epi32, _mm_storeu_si128, _mm256_abs_epi8, _mm256_add_epi32, _mm256_and_si256,
    _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_hadd_epi32, _mm256_loadu_si256,
    _mm256_set1_epi8, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_slli_epi32, _mm256_srli_epi16,
    _mm256_xor_si256,
};

use crate::cpu::lanes::BYTES;

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(from: &[u8; BYTES]) -> __m256i {
    // SAFETY: the reference is to 32 bytes.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn low_nibbles(bytes: __m256i) -> __m256i {
    _mm256_and_si256(bytes, _mm256_set1_epi8(15))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn high_nibbles(bytes: __m256i) -> __m256i {
    low_nibbles(_mm256_srli_epi16::<4>(bytes))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn magnitudes(signed: __m256i) -> __m256i {
    _mm256_abs_epi8(signed)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn with_signs(bytes: __m256i, of: __m256i) -> __m256i {
    _mm256_sign_epi8(bytes, of)
}

/// Adds 128 to signed bytes, which makes them unsigned.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn flip_signs(signed: __m256i) -> __m256i {
    _mm256_xor_si256(signed, _mm256_set1_epi8(i8::MIN))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn zero() -> __m256i {
    _mm256_setzero_si256()
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn join(high: __m256i, low: __m256i) -> __m256i {
    _mm256_add_epi32(_mm256_slli_epi32::<7>(high), low)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sums([a, b, c, d]: [__m256i; 4]) -> [i32; 4] {
    let all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let sums = _mm_add_epi32(
        _mm256_castsi256_si128(all),
        _mm256_extracti128_si256::<1>(all),
    );
    let mut out = [0; 4];
    // SAFETY: `out` is 16 bytes.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
    out
}
