//! Bytes in a register of 256 bits, which AVX2 and AVX-512 have alike.
//!
//! AVX-512 does not take 512 bits here: rows of codes are often 32 or 64 bytes, and a CPU of either
//! kind runs twice as many half instructions.

use std::arch::x86_64::{
    __m256i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_and_si256, _mm256_loadu_si256,
    _mm256_permute2x128_si256, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_setzero_si256,
    _mm256_sign_epi8, _mm256_slli_epi32, _mm256_srli_epi16, _mm256_unpackhi_epi8,
    _mm256_unpackhi_epi16, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi8,
    _mm256_unpacklo_epi16, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
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

/// The sums of sixteen, the first eight and the last: each step adds two parts of a vector and packs two vectors into one.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sums_of_all(ints: &[__m256i; 16]) -> [__m256i; 2] {
    let mut fours = [zero(); 4];
    for (four, to) in ints.as_chunks::<4>().0.iter().zip(&mut fours) {
        let [a, b, c, d] = *four;
        let ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        // Either half now holds half of the sums of a, b, c and d.
        *to = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
    }
    let [a, b, c, d] = fours;
    [add_halves(a, b), add_halves(c, d)]
}

/// The halves of `a` added, then those of `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn add_halves(a: __m256i, b: __m256i) -> __m256i {
    _mm256_add_epi32(
        _mm256_permute2x128_si256::<0x20>(a, b),
        _mm256_permute2x128_si256::<0x31>(a, b),
    )
}

/// Four vectors of bytes as vectors of their quads: places 0 to 3 and 16 to 19, then four further on, and so forth.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn interleave([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
    let (ab_above, cd_above) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
    [
        _mm256_unpacklo_epi16(ab, cd),
        _mm256_unpackhi_epi16(ab, cd),
        _mm256_unpacklo_epi16(ab_above, cd_above),
        _mm256_unpackhi_epi16(ab_above, cd_above),
    ]
}

/// What [`interleave`] leaves as the first and the last sixteen places, each in two vectors.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn in_order([a, b, c, d]: [__m256i; 4]) -> [[__m256i; 2]; 2] {
    [
        [
            _mm256_permute2x128_si256::<0x20>(a, b),
            _mm256_permute2x128_si256::<0x20>(c, d),
        ],
        [
            _mm256_permute2x128_si256::<0x31>(a, b),
            _mm256_permute2x128_si256::<0x31>(c, d),
        ],
    ]
}

/// Four bytes, again and again.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn splat_four(bytes: [u8; 4]) -> __m256i {
    _mm256_set1_epi32(i32::from_le_bytes(bytes))
}
