//! The lanes as an array: any CPU.
//!
//! Where the target has no fused multiply-add, `f32::mul_add` is a call, and this level is many
//! times slower than it could be. It is the definition that the other levels are held to, and what
//! runs on CPUs without vectors worth having; it gives up speed for the same bits.

use half::{bf16, f16};

use super::exp::round;
use super::lanes::{BYTES, LANES, Simd, Task};

/// The level that every CPU has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

/// Bits of `sqrt(1/2)`: taken from those of `x`, they leave its exponent rounded as wanted.
const SQRT_HALF: u32 = 0x3f35_04f3;

#[inline(always)]
fn each(mut f: impl FnMut(usize) -> f32) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    for (index, lane) in lanes.iter_mut().enumerate() {
        *lane = f(index);
    }
    lanes
}

impl Simd for Portable {
    type Lanes = [f32; LANES];
    type Bytes = [u8; BYTES];
    type Signed = [i8; BYTES];
    type Ints = i32;
    type Pairs = [[i16; 2]; LANES];
    type Sums = [i32; LANES];
    type Columns = [i32; BYTES];

    const BIAS: i32 = 0;

    const WIDE: bool = false;

    #[inline(always)]
    fn run<T: Task>(self, task: T) {
        task.run(self);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Lanes {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::Lanes {
        *from
    }

    #[inline(always)]
    fn load_bf16(self, from: &[bf16; LANES]) -> Self::Lanes {
        each(|i| f32::from_bits(u32::from(from[i].to_bits()) << 16))
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16; LANES]) -> Self::Lanes {
        each(|i| from[i].to_f32())
    }

    #[inline(always)]
    fn load_i8(self, from: &[i8; LANES]) -> Self::Lanes {
        each(|i| f32::from(from[i]))
    }

    #[inline(always)]
    fn load_nibbles(self, from: &[u8; LANES]) -> [Self::Lanes; 2] {
        [
            each(|i| f32::from(from[i] & 15)),
            each(|i| f32::from(from[i] >> 4)),
        ]
    }

    #[inline(always)]
    fn store(self, lanes: Self::Lanes, to: &mut [f32; LANES]) {
        *to = lanes;
    }

    #[inline(always)]
    fn add(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        each(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        each(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        each(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        each(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn max(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn min(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        each(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn sqrt(self, x: Self::Lanes) -> Self::Lanes {
        x.map(f32::sqrt)
    }

    #[inline(always)]
    fn where_ge(self, a: Self::Lanes, b: Self::Lanes, x: Self::Lanes) -> Self::Lanes {
        each(|i| if a[i] >= b[i] { x[i] } else { 0.0 })
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes {
        each(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn prefetch(self, _: *const u8) {}

    #[inline(always)]
    fn power_of_two(self, low_bits: Self::Lanes) -> Self::Lanes {
        each(|i| f32::from_bits((low_bits[i].to_bits() << 23).wrapping_add(1.0_f32.to_bits())))
    }

    #[inline(always)]
    fn split_exponent(self, x: Self::Lanes) -> (Self::Lanes, Self::Lanes) {
        let offset = x.map(|x| x.to_bits().wrapping_sub(SQRT_HALF));
        let mantissa = each(|i| f32::from_bits((offset[i] & 0x007f_ffff) + SQRT_HALF));
        (each(|i| (offset[i].cast_signed() >> 23) as f32), mantissa)
    }

    #[inline(always)]
    fn sums(self, lanes: [Self::Lanes; 4]) -> [f32; 4] {
        lanes.map(|lanes| self.sum(lanes))
    }
    #[inline(always)]
    fn no_bytes(self) -> Self::Bytes {
        [0; BYTES]
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8; BYTES]) -> Self::Bytes {
        *from
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: Self::Bytes) -> Self::Bytes {
        bytes.map(|byte| byte & 15)
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: Self::Bytes) -> Self::Bytes {
        bytes.map(|byte| byte >> 4)
    }

    #[inline(always)]
    fn signed(self, bytes: Self::Bytes) -> Self::Signed {
        bytes.map(u8::cast_signed)
    }

    #[inline(always)]
    fn no_ints(self) -> Self::Ints {
        0
    }

    #[inline(always)]
    fn add_products(
        self,
        mut sums: Self::Ints,
        nibbles: Self::Bytes,
        signed: Self::Bytes,
    ) -> Self::Ints {
        for (nibble, signed) in nibbles.into_iter().zip(signed) {
            sums += i32::from(nibble) * i32::from(signed.cast_signed());
        }
        sums
    }

    #[inline(always)]
    fn add_signed_products(
        self,
        mut sums: Self::Ints,
        biased: Self::Signed,
        signed: Self::Bytes,
    ) -> Self::Ints {
        for (biased, signed) in biased.into_iter().zip(signed) {
            sums += i32::from(biased) * i32::from(signed.cast_signed());
        }
        sums
    }

    #[inline(always)]
    fn join_ints(self, high: Self::Ints, low: Self::Ints) -> Self::Ints {
        128 * high + low
    }

    #[inline(always)]
    fn sums_of_ints(self, ints: &[Self::Ints; LANES]) -> Self::Sums {
        *ints
    }

    #[inline(always)]
    fn interleave(self, four: [Self::Bytes; 4]) -> [Self::Bytes; 4] {
        four
    }

    #[inline(always)]
    fn no_columns(self) -> Self::Columns {
        [0; BYTES]
    }

    #[inline(always)]
    fn add_quads(
        self,
        mut columns: Self::Columns,
        quads: [Self::Bytes; 4],
        weights: [u8; 4],
    ) -> Self::Columns {
        for (bytes, weight) in quads.iter().zip(weights) {
            for (column, byte) in columns.iter_mut().zip(bytes) {
                *column += i32::from(*byte) * i32::from(weight);
            }
        }
        columns
    }

    #[inline(always)]
    fn in_order(self, columns: Self::Columns) -> [Self::Sums; 2] {
        bytemuck::cast(columns)
    }

    #[inline(always)]
    fn load_pairs(self, from: &[[i16; 2]; LANES]) -> Self::Pairs {
        *from
    }

    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> Self::Pairs {
        [pair; LANES]
    }

    #[inline(always)]
    fn splat_sum(self, value: i32) -> Self::Sums {
        [value; LANES]
    }

    #[inline(always)]
    fn load_sums(self, from: &[i32; LANES]) -> Self::Sums {
        *from
    }

    #[inline(always)]
    fn sub_sums(self, mut a: Self::Sums, b: Self::Sums) -> Self::Sums {
        for (a, b) in a.iter_mut().zip(b) {
            *a -= b;
        }
        a
    }

    #[inline(always)]
    fn sums_as_lanes(self, sums: Self::Sums) -> Self::Lanes {
        each(|i| sums[i] as f32)
    }

    #[inline(always)]
    fn store_sums(self, sums: Self::Sums, to: &mut [i32; LANES]) {
        *to = sums;
    }

    #[inline(always)]
    fn add_pairs(self, mut sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(&b)) {
            *sum += i32::from(a[0]) * i32::from(b[0]) + i32::from(a[1]) * i32::from(b[1]);
        }
        sums
    }

    #[inline(always)]
    fn larger(
        self,
        (mut values, mut marks): (Self::Sums, Self::Sums),
        b: (Self::Sums, Self::Sums),
    ) -> (Self::Sums, Self::Sums) {
        for lane in 0..LANES {
            if b.0[lane] > values[lane] {
                (values[lane], marks[lane]) = (b.0[lane], b.1[lane]);
            }
        }
        (values, marks)
    }

    #[inline(always)]
    fn store_nibbles(self, low: Self::Lanes, high: Self::Lanes, to: &mut [u8; LANES]) {
        for (to, (low, high)) in to.iter_mut().zip(low.iter().zip(&high)) {
            *to = *low as u8 | (*high as u8) << 4;
        }
    }

    #[inline(always)]
    fn store_i16(self, lanes: Self::Lanes, to: &mut [i16; LANES]) {
        for (to, lane) in to.iter_mut().zip(&lanes) {
            *to = round(*lane) as i16;
        }
    }
}
