//! What is drawn in one colour and has one line of a legend.

use plotters::style::RGBColor;

/// Told apart by the colour-blind too: the palette of Okabe and Ito, without its yellow, which white swallows, and two
/// dark ones of Tol's.
const COLOURS: [RGBColor; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(136, 34, 85),
    RGBColor(17, 119, 51),
];
pub(in crate::formats) const GREY: RGBColor = RGBColor(130, 130, 130);

/// The colour of the series or the context with this number.
pub(in crate::formats) fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

/// How a point looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Mark {
    None,
    Dot,
    Ring,
    Square,
    Frame,
    Triangle,
    Cross,
}

/// How points are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Join {
    None,
    Line,
    Dashes,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::formats) struct Series {
    pub(in crate::formats) label: String,
    pub(in crate::formats) colour: RGBColor,
    pub(in crate::formats) mark: Mark,
    pub(in crate::formats) join: Join,
    /// In the units of the axes; joined in this order.
    pub(in crate::formats) points: Vec<(f64, f64)>,
}

/// A length in tokens, as short as it can be said.
pub(in crate::formats) fn tokens(count: f64) -> String {
    let count = count.round() as u64;
    if count >= 1 << 20 && count.is_multiple_of(1 << 20) {
        format!("{}M", count >> 20)
    } else if count >= 1 << 10 && count.is_multiple_of(1 << 10) {
        format!("{}K", count >> 10)
    } else {
        count.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        let shown = [8192.0, 4_194_304.0, 8180.0, 1536.0].map(tokens);
        assert_eq!(shown, ["8K", "4M", "8180", "1536"]);
    }
}
