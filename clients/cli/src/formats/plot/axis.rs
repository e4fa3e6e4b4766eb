//! The axes that plots share, each with its unit.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::scale::Scale;
use super::series::Series;

/// Smaller errors are drawn here: beyond it an answer is as good as exact, and the axis would be mostly empty.
const FLOOR: f64 = 1e-3;

/// A logarithmic axis.
#[derive(Debug, Clone)]
pub(in crate::formats) struct Axis {
    pub(in crate::formats) label: &'static str,
    pub(in crate::formats) scale: Scale,
    /// A value as the label of its tick.
    pub(in crate::formats) shown: fn(f64) -> String,
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let Scale { low, high, .. } = self.scale;
        let place = (value / low).ln() / (high / low).ln();
        from + (place * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            self.scale.lines.clone()
        } else {
            self.scale.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.scale.low..self.scale.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        (self.shown)(*value)
    }
}

/// An error as it is drawn.
pub(in crate::formats) fn floored(error: f64) -> f64 {
    error.max(FLOOR)
}

/// Of floored errors.
pub(in crate::formats) fn error(series: &[Series]) -> Axis {
    Axis {
        label: "mean relative error of the output",
        scale: Scale::around(all(series, |(_, y)| y)),
        shown: |error| {
            if error < FLOOR * 1.01 {
                format!("≤ {}", number(FLOOR))
            } else {
                number(error)
            }
        },
    }
}

pub(in crate::formats) fn milliseconds(scale: Scale) -> Axis {
    Axis {
        label: "time of one attend of one layer, p50, ms",
        scale,
        shown: number,
    }
}

/// One coordinate of all points.
pub(in crate::formats) fn all(
    series: &[Series],
    coordinate: fn((f64, f64)) -> f64,
) -> impl Iterator<Item = f64> {
    series
        .iter()
        .flat_map(|series| &series.points)
        .copied()
        .map(coordinate)
}

/// At most four digits.
pub(in crate::formats) fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_short_labels() {
        assert_eq!([0.05, 0.1 + 0.2, 200.0].map(number), ["0.05", "0.3", "200"]);
        let axis = error(&[]);
        assert_eq!((axis.shown)(floored(3e-7)), "≤ 0.001");
        assert_eq!((axis.shown)(0.002), "0.002");
    }

    #[test]
    fn an_axis_is_logarithmic() {
        let axis = milliseconds(Scale {
            low: 1.0,
            high: 100.0,
            ticks: vec![],
            lines: vec![],
        });
        let places = [1.0, 10.0, 100.0].map(|ms| axis.map(&ms, (400, 0)));
        assert_eq!(places, [400, 200, 0]);
    }
}
