//! Which tokens a query row may see.
//!
//! A causal mask, a sliding window and a chunk boundary are all one interval of positions per query
//! row, so an interval is all this room knows.

use std::ops::Range;

use crate::tensor::{ShapeError, expect_equal};

/// The positions a query row sees: `first..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first position seen.
    pub first: u32,
    /// The position after the last one seen.
    pub end: u32,
}

impl Bounds {
    /// Every position there is.
    pub const ALL: Self = Self {
        first: 0,
        end: u32::MAX,
    };

    /// Whether a token at `position` is seen.
    pub fn contains(self, position: u32) -> bool {
        (self.first..self.end).contains(&position)
    }
}

/// Which of the given tokens each query row sees.
#[derive(Clone, Copy, Debug)]
pub enum Visibility<'a> {
    /// Every row sees every token.
    All,
    /// Tokens stand in a row: token `t` is at `first_position + t`.
    From {
        /// Position of the first token.
        first_position: u32,
        /// What each query row sees.
        bounds: &'a [Bounds],
    },
    /// Tokens stand anywhere, as the members of a cluster do.
    Positions {
        /// Position of each token.
        positions: &'a [u32],
        /// What each query row sees.
        bounds: &'a [Bounds],
    },
}

impl Visibility<'_> {
    /// Whether query row `row` sees token `token`; rows and tokens without an entry are not seen.
    pub fn sees(&self, row: usize, token: usize) -> bool {
        match *self {
            Visibility::All => true,
            Visibility::From {
                first_position,
                bounds,
            } => bounds
                .get(row)
                .zip(u32::try_from(first_position as usize + token).ok())
                .is_some_and(|(bounds, position)| bounds.contains(position)),
            Visibility::Positions { positions, bounds } => bounds
                .get(row)
                .zip(positions.get(token))
                .is_some_and(|(bounds, position)| bounds.contains(*position)),
        }
    }

    pub(crate) fn check(&self, rows: usize, tokens: usize) -> Result<(), ShapeError> {
        match *self {
            Visibility::All => Ok(()),
            Visibility::From {
                first_position: _,
                bounds,
            } => expect_equal("number of bounds", bounds.len(), rows),
            Visibility::Positions { positions, bounds } => {
                expect_equal("number of bounds", bounds.len(), rows)?;
                expect_equal("number of positions", positions.len(), tokens)
            }
        }
    }

    /// Whether no query row sees any of `tokens`, so that their keys need not be read at all.
    pub(crate) fn hides(&self, tokens: &Range<usize>) -> bool {
        match *self {
            Visibility::All => false,
            Visibility::From {
                first_position,
                bounds,
            } => bounds
                .iter()
                .all(|bounds| seen_of_run(*bounds, first_position, tokens.clone()).is_empty()),
            Visibility::Positions { positions, bounds } => {
                let positions = &positions[tokens.clone()];
                bounds
                    .iter()
                    .all(|bounds| !positions.iter().any(|p| bounds.contains(*p)))
            }
        }
    }

    /// Sets the scores of what `row` does not see to minus infinity; `scores` are those of `tokens`.
    pub(crate) fn mask(&self, row: usize, tokens: Range<usize>, scores: &mut [f32]) {
        match *self {
            Visibility::All => {}
            Visibility::From {
                first_position,
                bounds,
            } => {
                let seen = seen_of_run(bounds[row], first_position, tokens.clone());
                scores[..seen.start - tokens.start].fill(f32::NEG_INFINITY);
                scores[seen.end - tokens.start..].fill(f32::NEG_INFINITY);
            }
            Visibility::Positions { positions, bounds } => {
                let bounds = bounds[row];
                for (score, position) in scores.iter_mut().zip(&positions[tokens]) {
                    *score = if bounds.contains(*position) {
                        *score
                    } else {
                        f32::NEG_INFINITY
                    };
                }
            }
        }
    }
}

/// The tokens of `tokens` that `bounds` sees, where token `t` is at `first_position + t`.
fn seen_of_run(bounds: Bounds, first_position: u32, tokens: Range<usize>) -> Range<usize> {
    let token_at = |position: u32| position.saturating_sub(first_position) as usize;
    let start = token_at(bounds.first).clamp(tokens.start, tokens.end);
    let end = token_at(bounds.end).clamp(start, tokens.end);
    start..end
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_run_and_its_written_out_positions_hide_the_same_tokens() {
        let positions: Vec<u32> = (5..15).collect();
        for first in 0..20 {
            for end in 0..20 {
                let bounds = [Bounds { first, end }];
                let run = Visibility::From {
                    first_position: 5,
                    bounds: &bounds,
                };
                let list = Visibility::Positions {
                    positions: &positions,
                    bounds: &bounds,
                };
                let (mut a, mut b) = ([1.0_f32; 6], [1.0_f32; 6]);
                run.mask(0, 2..8, &mut a);
                list.mask(0, 2..8, &mut b);
                assert_eq!(a, b, "{first}..{end}");
                assert_eq!(run.hides(&(2..8)), list.hides(&(2..8)));
                assert_eq!(run.hides(&(2..8)), a.iter().all(|s| *s < 0.0));
                for token in 0..10 {
                    assert_eq!(
                        run.sees(0, token),
                        list.sees(0, token),
                        "{first}..{end} {token}"
                    );
                }
            }
        }
    }

    #[test]
    fn bounds_and_positions_must_be_as_many_as_rows_and_tokens() {
        let bounds = [Bounds::ALL; 2];
        assert!(
            Visibility::From {
                first_position: 0,
                bounds: &bounds
            }
            .check(3, 9)
            .is_err()
        );
        assert!(
            Visibility::Positions {
                positions: &[1],
                bounds: &bounds
            }
            .check(2, 2)
            .is_err()
        );
        assert!(
            Visibility::Positions {
                positions: &[1],
                bounds: &bounds
            }
            .check(2, 1)
            .is_ok()
        );
    }
}
