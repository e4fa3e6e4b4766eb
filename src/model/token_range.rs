//! Tokens of one layer by position.

use std::fmt;
use std::ops::Range;

/// Tokens `start..end` of one layer; empty when the two are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenRange {
    /// First position.
    pub start: u32,
    /// One past the last position.
    pub end: u32,
}

impl TokenRange {
    /// No token.
    pub const EMPTY: Self = Self { start: 0, end: 0 };

    /// Tokens `start..end`; `end` below `start` gives an empty range at `start`.
    pub fn new(start: u32, end: u32) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    /// How many tokens.
    pub fn tokens(self) -> u32 {
        self.end - self.start
    }

    /// Whether there is no token in it.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The tokens that both have.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// Whether every token of `other` is in this range.
    pub fn covers(self, other: Self) -> bool {
        self.intersection(other).tokens() == other.tokens()
    }

    /// Whether the token at `position` is in this range.
    pub fn contains(self, position: u32) -> bool {
        (self.start..self.end).contains(&position)
    }

    /// The same tokens in ranges of at most `most`, which is not 0, in order.
    pub fn pieces(self, most: u32) -> impl Iterator<Item = Self> {
        let starts = (self.start..self.end).step_by(most as usize);
        starts.map(move |start| Self::new(start, self.end.min(start.saturating_add(most))))
    }

    /// The rows of these tokens in an array that begins with the token at `origin` (at or before `start`).
    pub fn rows_from(self, origin: u32) -> Range<usize> {
        (self.start - origin) as usize..(self.end - origin) as usize
    }
}

impl fmt::Display for TokenRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intersections_are_never_inverted() {
        let range = TokenRange::new(4, 10);
        assert_eq!(range.intersection(TokenRange::new(20, 30)).tokens(), 0);
        assert_eq!(
            range.intersection(TokenRange::new(8, 30)),
            TokenRange::new(8, 10)
        );
        assert!(range.covers(TokenRange::new(4, 10)) && range.covers(TokenRange::new(7, 7)));
        assert!(!range.covers(TokenRange::new(3, 5)));
        assert_eq!(TokenRange::new(6, 9).rows_from(4), 2..5);
    }

    #[test]
    fn pieces_are_the_range() {
        let pieces: Vec<_> = TokenRange::new(3, 10).pieces(4).collect();
        assert_eq!(pieces, [TokenRange::new(3, 7), TokenRange::new(7, 10)]);
        assert_eq!(TokenRange::new(3, 3).pieces(4).count(), 0);
    }
}
