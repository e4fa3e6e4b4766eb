//! Exponential and logarithm on lanes, after the Cephes library (Moshier), within two units in the
//! last place.

use super::lanes::Simd;

/// `ln 2` in two parts: the first has few bits, so that a small integer times it is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// Adding it pushes the fraction of a small float out of the mantissa: what stays is the nearest
/// integer, in the low bits.
const ROUND: f32 = 12_582_912.0;

/// The nearest integer of a number below 2^22 in magnitude, ties to even, without the call that `f32::round` is
/// where the target has no instruction for it.
#[inline]
pub(crate) fn round(x: f32) -> f32 {
    (x + ROUND) - ROUND
}

/// Below, `exp` is zero rather than denormal: a weight that small adds nothing to a sum of one.
const LOWEST: f32 = -88.0;

/// `exp(x)` for `x <= 0`, as all softmax weights relative to the largest are.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::Lanes) -> S::Lanes {
    let x = simd.max(x, simd.splat(LOWEST));
    let rounded = simd.mul_add(x, simd.splat(std::f32::consts::LOG2_E), simd.splat(ROUND));
    let n = simd.sub(rounded, simd.splat(ROUND));
    let rest = simd.mul_add(n, simd.splat(-LN2_HIGH), x);
    let rest = simd.mul_add(n, simd.splat(-LN2_LOW), rest);
    let mut series = simd.splat(1.987_569_1e-4);
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        series = simd.mul_add(series, rest, simd.splat(coefficient));
    }
    let square = simd.mul(rest, rest);
    let fraction = simd.add(simd.mul_add(series, square, rest), simd.splat(1.0));
    simd.mul(fraction, simd.power_of_two(rounded))
}

/// `tanh(x)`, within three ten-millionths of 1.
#[inline(always)]
pub(super) fn tanh<S: Simd>(simd: S, x: S::Lanes) -> S::Lanes {
    let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
    let size = simd.max(x, simd.sub(zero, x));
    let small = exp(simd, simd.mul(size, simd.splat(-2.0)));
    let tanh = simd.div(simd.sub(one, small), simd.add(one, small));
    simd.sub(simd.where_ge(x, zero, tanh), simd.where_ge(zero, x, tanh))
}

/// `ln(x)` for normal `x > 0`.
#[inline(always)]
pub(super) fn ln<S: Simd>(simd: S, x: S::Lanes) -> S::Lanes {
    let (exponent, mantissa) = simd.split_exponent(x);
    let rest = simd.sub(mantissa, simd.splat(1.0));
    let mut series = simd.splat(7.037_683_6e-2);
    for coefficient in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        series = simd.mul_add(series, rest, simd.splat(coefficient));
    }
    let square = simd.mul(rest, rest);
    let mut sum = simd.mul(simd.mul(series, rest), square);
    sum = simd.mul_add(exponent, simd.splat(LN2_LOW), sum);
    sum = simd.mul_add(square, simd.splat(-0.5), sum);
    simd.mul_add(exponent, simd.splat(LN2_HIGH), simd.add(rest, sum))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::super::lanes::LANES;
    use super::super::portable::Portable;
    use super::*;

    #[test]
    fn tanh_is_within_three_ten_millionths() {
        for step in -20_000_i16..=20_000 {
            let x = f32::from(step) / 1000.0;
            let error = (f64::from(tanh(Portable, [x; LANES])[0]) - f64::from(x).tanh()).abs();
            assert!(error < 3e-7, "tanh({x}) is off by {error}");
        }
        let ends = [f32::MIN, f32::MAX].map(|x| tanh(Portable, [x; LANES])[0]);
        assert_eq!(ends, [-1.0, 1.0]);
    }

    #[test]
    fn exp_is_within_two_tenths_of_a_millionth() {
        for step in 0..200_000 {
            let x = -87.3 * step as f32 / 200_000.0;
            let truth = f64::from(x).exp();
            let error = (f64::from(exp(Portable, [x; LANES])[0]) / truth - 1.0).abs();
            assert!(error < 2e-7, "exp({x}) is off by {error}");
        }
    }

    #[test]
    fn rounding_goes_to_the_nearest_integer() {
        for (x, nearest) in [(0.4, 0.0), (-0.6, -1.0), (126.5, 126.0), (-8190.7, -8191.0)] {
            assert_eq!(round(x), nearest);
        }
    }

    #[test]
    fn exp_of_nothing_is_one_and_of_far_below_is_zero() {
        assert_eq!(exp(Portable, [0.0; LANES])[0], 1.0);
        for x in [-88.0, -1e4, f32::MIN, f32::NEG_INFINITY] {
            assert_eq!(exp(Portable, [x; LANES])[0], 0.0);
        }
    }

    #[test]
    fn ln_is_exact_to_the_last_places() {
        let mut x = 1.0_f32;
        while x < 1e9 {
            let truth = f64::from(x).ln();
            let error = (f64::from(ln(Portable, [x; LANES])[0]) - truth).abs();
            assert!(error <= 2e-7 * truth.max(0.5), "ln({x}) is off by {error}");
            x *= 1.000_1;
        }
        assert_eq!(ln(Portable, [1.0; LANES])[0], 0.0);
    }
}
