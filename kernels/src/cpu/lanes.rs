//! The sixteen lanes that every family is written in, and the bytes that codes are read in.
//!
//! A sum over a dimension is defined, not left to the level: lane `l` takes the elements `l`,
//! `l + 16`, … in order, each by one fused multiply-add, and the lanes are added as a tree (`l` and
//! `l + 8`, then `l + 4`, `l + 2`, `l + 1`). AVX-512 holds the lanes in one register, AVX2 in two,
//! the portable level in an array; all give the same bits. Products of codes are integers, and exact
//! in any order. The one exception is [`Simd::add_dots`], for answers alone: nothing that is stored
//! comes from it.

use half::{bf16, f16};

/// Width of a vector, on every level.
pub(crate) const LANES: usize = 16;

/// Bytes that are multiplied at once, on every level.
pub(crate) const BYTES: usize = 32;

/// Rows whose products with as many query rows fill a vector, and that are summed at once.
pub(super) const FOUR: usize = 4;

/// Elements of `bf16` that fill a vector: a pair a lane.
pub(crate) const PAIRS: usize = 2 * LANES;

/// Operations on sixteen `f32` lanes and on bytes. A value of an implementing type proves that the CPU
/// has them.
pub(super) trait Simd: Copy {
    /// Sixteen `f32`.
    type Lanes: Copy;
    /// [`BYTES`] bytes.
    type Bytes: Copy;
    /// Signed bytes as a factor of products.
    type Signed: Copy;
    /// Eight `i32` sums.
    type Ints: Copy;
    /// Sixteen pairs of `i16`.
    type Pairs: Copy;
    /// Sixteen `i32`.
    type Sums: Copy;
    /// An `i32` for each place of a vector of bytes.
    type Columns: Copy;

    /// What is added to signed bytes before they are multiplied.
    const BIAS: i32;

    /// Whether there are registers for sixteen sums beside their operands; if not, for four.
    const WIDE: bool;

    /// Runs `task` compiled for this level.
    fn run<T: Task>(self, task: T);

    fn splat(self, value: f32) -> Self::Lanes;
    fn load(self, from: &[f32; LANES]) -> Self::Lanes;
    fn load_bf16(self, from: &[bf16; LANES]) -> Self::Lanes;
    fn load_f16(self, from: &[f16; LANES]) -> Self::Lanes;
    fn load_i8(self, from: &[i8; LANES]) -> Self::Lanes;
    /// The low halves of the bytes as lanes, then the high halves.
    fn load_nibbles(self, from: &[u8; LANES]) -> [Self::Lanes; 2];
    fn store(self, lanes: Self::Lanes, to: &mut [f32; LANES]);

    fn add(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    fn sub(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    fn mul(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    fn div(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    fn max(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    fn min(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    fn sqrt(self, x: Self::Lanes) -> Self::Lanes;
    /// `x` where `a >= b`, zero elsewhere.
    fn where_ge(self, a: Self::Lanes, b: Self::Lanes, x: Self::Lanes) -> Self::Lanes;
    /// `a * b + c`, rounded once.
    fn mul_add(self, a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes;

    /// Asks for a cache line that will be read soon. Any address will do: nothing is read here.
    fn prefetch(self, address: *const u8);

    /// The lanes' bits shifted left into the exponent, plus those of 1.0: `2^n` where the low bits of
    /// a lane hold the integer `n` (-127 gives zero).
    fn power_of_two(self, low_bits: Self::Lanes) -> Self::Lanes;
    /// `(e, m)` with `x = 2^e m` and `m` between `sqrt(1/2)` and `sqrt(2)`, for normal `x > 0`.
    fn split_exponent(self, x: Self::Lanes) -> (Self::Lanes, Self::Lanes);

    /// The sums of the lanes of four vectors, each by the tree.
    fn sums(self, lanes: [Self::Lanes; 4]) -> [f32; 4];

    /// The sums of the lanes of sixteen vectors, each by the tree.
    #[inline(always)]
    fn sums_of_all(self, lanes: &[Self::Lanes; LANES]) -> Self::Lanes {
        let mut all = [0.0; LANES];
        for (four, to) in lanes.as_chunks().0.iter().zip(all.as_chunks_mut().0) {
            *to = self.sums(*four);
        }
        self.load(&all)
    }

    /// `sums` and, in each lane, the two products of a pair of elements: first that of the second elements, then that of
    /// the first, each rounded once. What is denormal may count as zero.
    #[inline(always)]
    fn add_dots(self, sums: Self::Lanes, a: &[bf16; PAIRS], b: &[bf16; PAIRS]) -> Self::Lanes {
        add_pairs_in_turn(self, sums, a, b)
    }

    /// Elements in an order that is the level's own: see [`Simd::reorder`].
    #[inline(always)]
    fn load_two_bf16(self, from: &[bf16; 2 * LANES]) -> [Self::Lanes; 2] {
        let (two, _) = from.as_chunks();
        [self.load_bf16(&two[0]), self.load_bf16(&two[1])]
    }

    /// From the elements' order to that of [`Simd::load_two_bf16`].
    #[inline(always)]
    fn reorder(self, two: [Self::Lanes; 2]) -> [Self::Lanes; 2] {
        two
    }

    /// The inverse of [`Simd::reorder`].
    #[inline(always)]
    fn restore(self, two: [Self::Lanes; 2]) -> [Self::Lanes; 2] {
        two
    }

    /// Zeros.
    fn no_bytes(self) -> Self::Bytes;
    fn load_bytes(self, from: &[u8; BYTES]) -> Self::Bytes;
    /// The low halves of the bytes, 0 to 15.
    fn low_nibbles(self, bytes: Self::Bytes) -> Self::Bytes;
    /// The high halves of the bytes, 0 to 15.
    fn high_nibbles(self, bytes: Self::Bytes) -> Self::Bytes;
    /// Signed bytes above -128 in the form that is multiplied.
    fn signed(self, bytes: Self::Bytes) -> Self::Signed;
    fn no_ints(self) -> Self::Ints;
    /// `sums` and the products of bytes up to 15 with signed bytes above -128; which of the eight sums a
    /// product goes to, is the level's.
    fn add_products(
        self,
        sums: Self::Ints,
        nibbles: Self::Bytes,
        signed: Self::Bytes,
    ) -> Self::Ints;
    /// The same of signed bytes, to each of which [`Simd::BIAS`] was added, with bytes from -64 to 64.
    fn add_signed_products(
        self,
        sums: Self::Ints,
        biased: Self::Signed,
        signed: Self::Bytes,
    ) -> Self::Ints;
    /// `128 high + low`.
    fn join_ints(self, high: Self::Ints, low: Self::Ints) -> Self::Ints;
    /// The sum of each of sixteen, in order.
    fn sums_of_ints(self, ints: &[Self::Ints; LANES]) -> Self::Sums;

    /// The bytes of four vectors, the four of each place side by side, in an order of the level's own.
    fn interleave(self, four: [Self::Bytes; 4]) -> [Self::Bytes; 4];
    fn no_columns(self) -> Self::Columns;
    /// `columns` and, for each place, the sum of its four bytes, which are up to 15, each times its weight.
    fn add_quads(
        self,
        columns: Self::Columns,
        quads: [Self::Bytes; 4],
        weights: [u8; 4],
    ) -> Self::Columns;
    /// In the order of the places.
    fn in_order(self, columns: Self::Columns) -> [Self::Sums; 2];

    fn load_pairs(self, from: &[[i16; 2]; LANES]) -> Self::Pairs;
    fn splat_pair(self, pair: [i16; 2]) -> Self::Pairs;
    fn splat_sum(self, value: i32) -> Self::Sums;
    fn load_sums(self, from: &[i32; LANES]) -> Self::Sums;
    fn sub_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// Rounded to nearest.
    fn sums_as_lanes(self, sums: Self::Sums) -> Self::Lanes;
    fn store_sums(self, sums: Self::Sums, to: &mut [i32; LANES]);
    /// `sums` and the two products of each pair; none may overflow.
    fn add_pairs(self, sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums;
    /// The larger of two values with what is known of it, `(value, mark)`; the first where they are equal.
    fn larger(
        self,
        a: (Self::Sums, Self::Sums),
        b: (Self::Sums, Self::Sums),
    ) -> (Self::Sums, Self::Sums);

    /// Bytes of two numbers from 0 to below 16, rounded down: the first in the low half.
    fn store_nibbles(self, low: Self::Lanes, high: Self::Lanes, to: &mut [u8; LANES]);
    /// Numbers within `i16`, rounded to nearest, ties to even.
    fn store_i16(self, lanes: Self::Lanes, to: &mut [i16; LANES]);

    /// Stores as many lanes as there is room for.
    #[inline(always)]
    fn store_first(self, lanes: Self::Lanes, to: &mut [f32]) {
        if let Some(whole) = to.first_chunk_mut() {
            return self.store(lanes, whole);
        }
        let mut padded = [0.0; LANES];
        self.store(lanes, &mut padded);
        to.copy_from_slice(&padded[..to.len()]);
    }

    /// The sum of the lanes, by the tree.
    #[inline(always)]
    fn sum(self, lanes: Self::Lanes) -> f32 {
        let mut tree = [0.0; LANES];
        self.store(lanes, &mut tree);
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for lane in 0..width {
                tree[lane] += tree[lane + width];
            }
        }
        tree[0]
    }

    /// The largest lane.
    #[inline(always)]
    fn largest(self, lanes: Self::Lanes) -> f32 {
        let mut tree = [0.0; LANES];
        self.store(lanes, &mut tree);
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for lane in 0..width {
                tree[lane] = if tree[lane + width] > tree[lane] {
                    tree[lane + width]
                } else {
                    tree[lane]
                };
            }
        }
        tree[0]
    }
}

/// [`Simd::add_dots`] by two products.
#[inline(always)]
pub(super) fn add_pairs_in_turn<S: Simd>(
    simd: S,
    mut sums: S::Lanes,
    a: &[bf16; PAIRS],
    b: &[bf16; PAIRS],
) -> S::Lanes {
    for place in [1, 0] {
        let (mut x, mut y) = ([bf16::ZERO; LANES], [bf16::ZERO; LANES]);
        for lane in 0..LANES {
            x[lane] = a[2 * lane + place];
            y[lane] = b[2 * lane + place];
        }
        sums = simd.mul_add(simd.load_bf16(&x), simd.load_bf16(&y), sums);
    }
    sums
}

/// Asks for what lies as far behind `now` as the next tile does, whether or not there is one.
///
/// Without, the time of a tile is nearly that of reading it plus that of computing on it in cache.
/// With it, `attend` of a group of 4 over `bf16` went from 59 % to about 69 % of the read bandwidth
/// (`benches/attend.rs`); into the first-level cache instead of the second it was 64 %, perhaps since
/// this tile and the next, keys and values, are more than the first holds.
#[inline(always)]
pub(super) fn prefetch_next<S: Simd, E>(simd: S, now: &[E], tile_elements: usize) {
    let next = now.as_ptr().wrapping_add(tile_elements).cast::<u8>();
    prefetch_bytes(simd, next, size_of_val(now));
}

/// Asks for some bytes that will be read soon.
#[inline(always)]
pub(super) fn prefetch_bytes<S: Simd>(simd: S, from: *const u8, bytes: usize) {
    const LINE_BYTES: usize = 64;
    let mut offset = 0;
    while offset < bytes {
        simd.prefetch(from.wrapping_add(offset));
        offset += LINE_BYTES;
    }
}

/// A vector of bytes; zeros behind the last where there are fewer.
#[inline(always)]
pub(super) fn load_first<S: Simd>(simd: S, from: &[u8]) -> S::Bytes {
    if let Some(whole) = from.first_chunk() {
        return simd.load_bytes(whole);
    }
    let mut padded = [0; BYTES];
    padded[..from.len()].copy_from_slice(from);
    simd.load_bytes(&padded)
}

/// The largest of some numbers that are not negative.
#[inline(always)]
pub(super) fn largest<S: Simd>(simd: S, numbers: &[f32]) -> f32 {
    let mut largest = simd.splat(0.0);
    for part in numbers.chunks(LANES) {
        largest = simd.max(largest, f32::load_first(simd, part));
    }
    simd.largest(largest)
}

/// A number of each of at most four query rows, for the products of its row with four others: see [`FOUR`].
#[inline(always)]
pub(super) fn in_fours<T: Copy + Default>(of_rows: &[T]) -> [T; LANES] {
    let mut lanes = [T::default(); LANES];
    for (four, of_row) in lanes.as_chunks_mut::<FOUR>().0.iter_mut().zip(of_rows) {
        *four = [*of_row; FOUR];
    }
    lanes
}

/// A kernel, generic over the level it runs on.
pub(super) trait Task {
    /// Does the work. Implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S);
}

/// A type of element that loads as `f32` lanes.
pub(super) trait Element: Copy {
    /// Zero.
    const ZERO: Self;

    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Lanes;

    /// Two vectors, in an order of the element's and the level's own.
    #[inline(always)]
    fn load_two<S: Simd>(simd: S, from: &[Self; 2 * LANES]) -> [S::Lanes; 2] {
        let (two, _) = from.as_chunks();
        [Self::load(simd, &two[0]), Self::load(simd, &two[1])]
    }

    /// From the elements' order to that of `load_two`.
    #[inline(always)]
    fn reorder<S: Simd>(_: S, two: [S::Lanes; 2]) -> [S::Lanes; 2] {
        two
    }

    /// The inverse of `reorder`.
    #[inline(always)]
    fn restore<S: Simd>(_: S, two: [S::Lanes; 2]) -> [S::Lanes; 2] {
        two
    }

    /// Loads as many elements as there are, a vector at most; the other lanes are zero, and add nothing to a sum.
    #[inline(always)]
    fn load_first<S: Simd>(simd: S, from: &[Self]) -> S::Lanes {
        if let Some(whole) = from.first_chunk() {
            return Self::load(simd, whole);
        }
        let mut padded = [Self::ZERO; LANES];
        for (to, from) in padded.iter_mut().zip(from) {
            *to = *from;
        }
        Self::load(simd, &padded)
    }
}

impl Element for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Lanes {
        simd.load(from)
    }
}

impl Element for bf16 {
    const ZERO: Self = Self::ZERO;

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Lanes {
        simd.load_bf16(from)
    }

    #[inline(always)]
    fn load_two<S: Simd>(simd: S, from: &[Self; 2 * LANES]) -> [S::Lanes; 2] {
        simd.load_two_bf16(from)
    }

    #[inline(always)]
    fn reorder<S: Simd>(simd: S, two: [S::Lanes; 2]) -> [S::Lanes; 2] {
        simd.reorder(two)
    }

    #[inline(always)]
    fn restore<S: Simd>(simd: S, two: [S::Lanes; 2]) -> [S::Lanes; 2] {
        simd.restore(two)
    }
}

impl Element for f16 {
    const ZERO: Self = Self::ZERO;

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Lanes {
        simd.load_f16(from)
    }
}

impl Element for i8 {
    const ZERO: Self = 0;

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Lanes {
        simd.load_i8(from)
    }
}
