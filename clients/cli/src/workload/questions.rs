//! Which queries are asked, in which order, and which of them are checked.

use wavekv_trace::exact::{self, Exact, Pieces};

use super::source::{Source, SourceLayer};
use crate::failure::Failure;

/// The queries of one layer, in the order in which they are asked.
#[derive(Debug)]
pub(crate) struct Questions {
    /// `[queries][q_heads * head_dim]`.
    pub(crate) q: Vec<Vec<f32>>,
    /// Of each.
    pub(crate) positions: Vec<u32>,
    /// The exact answers of the first ones; empty when none is checked.
    pub(crate) exact: Option<Exact>,
    /// The first so many are checked.
    pub(crate) checked: usize,
    /// Those, one after the other, for the oracle.
    checked_q: Vec<f32>,
}

impl Questions {
    /// The queries at the end of the source.
    pub(crate) fn new(source: &Source, layer: &SourceLayer<'_>, checked: usize) -> Self {
        let last = source.last_queries();
        let rows: Vec<usize> = spread(last.len())
            .into_iter()
            .map(|row| last.start + row)
            .collect();
        let q: Vec<Vec<f32>> = rows.iter().map(|&row| layer.query(row)).collect();
        let checked = checked.min(rows.len());
        Self {
            checked_q: q[..checked].concat(),
            positions: rows.iter().map(|&row| source.q_positions()[row]).collect(),
            exact: None,
            checked,
            q,
        }
    }

    /// The same while only the first `tokens` tokens are stored, each asked at the last of these. None is checked.
    pub(crate) fn of_first(&self, tokens: usize) -> Self {
        let last = (tokens as u32).saturating_sub(1);
        Self {
            q: self.q.clone(),
            positions: self.positions.iter().map(|&at| at.min(last)).collect(),
            exact: None,
            checked: 0,
            checked_q: vec![],
        }
    }

    /// The oracle for those that are checked; none when none is.
    pub(crate) fn oracle(&self, source: &Source) -> Result<Option<Pieces<'_>>, Failure> {
        if self.checked == 0 {
            return Ok(None);
        }
        let geometry = source.geometry();
        let queries = exact::Queries {
            q: &self.checked_q,
            positions: &self.positions[..self.checked],
            q_heads: geometry.q_heads,
            scale: f64::from(geometry.scale),
            sliding_window: 0,
        };
        let dims = [geometry.kv_heads, geometry.head_dim, geometry.value_dim];
        Ok(Some(Pieces::new(queries, dims)?))
    }
}

/// `0..count` in an order of which every beginning is spread evenly over all of it: steps of the golden section.
fn spread(count: usize) -> Vec<usize> {
    let divisor = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let golden = (count as f64 * 0.618) as usize;
    let step = (golden.max(1)..count).find(|&step| divisor(step, count) == 1);
    (0..count)
        .map(|index| index * step.unwrap_or(1) % count)
        .collect()
}

#[cfg(test)]
mod tests {
    use wavekv_trace::generate::GenerateParameters;

    use super::*;
    use crate::workload::Recipe;

    #[test]
    fn any_beginning_is_spread_over_all_rows_and_none_is_left_out() {
        for count in [1, 2, 7, 60, 64] {
            let mut rows = spread(count);
            rows.sort_unstable();
            assert_eq!(rows, (0..count).collect::<Vec<_>>());
        }
        assert_eq!(spread(64)[..4], [0, 39, 14, 53]);
        assert!(spread(0).is_empty());
        // A sample of 16 has as large a share of the eight needle rows as all 64.
        let needles = spread(64)[..16].iter().filter(|&&row| row % 8 == 0).count();
        assert_eq!(needles, 2);
    }

    #[test]
    fn questions_are_the_last_queries_and_the_first_are_checked() {
        let parameters = GenerateParameters {
            tokens: 200,
            ..Default::default()
        };
        let source = Recipe::Generated(parameters).open().unwrap();
        let layer = source.layer(0);
        let questions = Questions::new(&source, &layer, 3);
        assert_eq!((questions.q.len(), questions.checked), (64, 3));
        assert_eq!(questions.positions[..2], [136, 136 + 39]);
        assert_eq!(questions.checked_q[..512], questions.q[0]);
        assert!(questions.oracle(&source).unwrap().is_some());
        let earlier = questions.of_first(150);
        assert_eq!((earlier.q.len(), earlier.checked), (64, 0));
        assert_eq!(earlier.positions[..2], [136, 149]);
        let none = Questions::new(&source, &layer, 0);
        assert!(none.oracle(&source).unwrap().is_none());
    }
}
