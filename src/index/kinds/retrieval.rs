//! Which tokens a query reads where its segments are searched: those that the searches of its query heads find, one
//! union for the group. The others are ignored; what they may weigh is estimated from the ranks of those found.
//!
//! | mode | tokens |
//! | --- | --- |
//! | `adaptive` | of each query head as many of the best as leave about the target error, found by searches that grow |
//! | `budget` | the share of the tokens that weigh most, mean over the group |
//! | `retroinfer` | the same with its share |

use wavekv_kernels::Accumulator;

use super::ignored::{Appraised, DISTANCE};
use super::tail::{self, Ranks};
use super::{KeySearch, SearchError};
use crate::index::survey::HeadQuery;
use crate::model::Mode;

/// Tokens that a search asks for at least: what is ignored is estimated from their ranks.
const FEWEST: usize = 64;
/// Where a query head wants more than one token in this many, everything is read: a search would read as much.
const SEARCHED_SHARE: usize = 8;
/// Where it seems to want more than one in this many, after any search, no larger one is tried: what seems is mostly on the
/// high side.
const HOPELESS_SHARE: usize = 2;
/// Searches of `adaptive` ask for this many times the tokens of the one before.
const GROWTH: usize = 4;

/// One segment to search for one KV head.
#[derive(Clone, Copy, Debug)]
pub struct Searched<'a> {
    /// Over its keys.
    pub keys: &'a dyn KeySearch,
    /// Of the segment.
    pub tokens: usize,
    /// Length of the mean value of the segment.
    pub value_mean_norm: f32,
}

/// A query and what is searched for it.
#[derive(Debug)]
pub struct Question<'a> {
    /// Sees every segment whole.
    pub query: HeadQuery<'a>,
    /// Those that are searched.
    pub segments: Vec<Searched<'a>>,
}

/// What to read.
#[derive(Debug)]
pub struct Retrieval {
    /// Rows of each segment, ascending; none for all of them.
    pub rows: Option<Vec<Vec<u32>>>,
    /// About what the searches read.
    pub bytes: u64,
    /// What each query head's searches say of its tokens; empty where everything is read.
    pub(super) ranks: Vec<Ranks>,
    /// Logarithm of what was computed before, of each query head.
    pub(super) steady: Vec<f32>,
    /// Of all segments.
    pub(super) tokens: usize,
    /// Of a token of any segment.
    pub(super) value_mean_norm: f32,
}

/// A token of any segment, counted over all of them, and its logit.
type Ranked = (u32, f32);

impl Question<'_> {
    /// Searches as `mode` asks for, given what the steady zone came to.
    ///
    /// # Errors
    /// [`SearchError`] of any search.
    pub fn retrieve(&self, mode: Mode, steady: &Accumulator) -> Result<Retrieval, SearchError> {
        self.retrieve_at(mode, steady, &vec![DISTANCE; steady.rows()])
    }

    /// Searches once more where, given the answer `exact` that `before` led to, the estimated error of a query head is over
    /// the target: its values are then known to be farther from what is ignored than was thought.
    ///
    /// # Errors
    /// [`SearchError`] of any search.
    pub fn retrieve_more(
        &self,
        mode: Mode,
        steady: &Accumulator,
        before: &Retrieval,
        exact: &Accumulator,
    ) -> Result<Option<Retrieval>, SearchError> {
        let Mode::Adaptive { target_error } = mode else {
            return Ok(None);
        };
        let Appraised {
            errors, distances, ..
        } = before.appraise(exact)?;
        if errors.iter().all(|error| *error <= target_error) {
            return Ok(None);
        }
        self.retrieve_at(mode, steady, &distances).map(Some)
    }

    fn retrieve_at(
        &self,
        mode: Mode,
        steady: &Accumulator,
        distances: &[f32],
    ) -> Result<Retrieval, SearchError> {
        let tokens = self.tokens();
        let rows = 0..self.query.queries.rows();
        let mut retrieval = Retrieval {
            rows: None,
            bytes: 0,
            ranks: vec![],
            steady: rows.clone().map(|row| steady.log_sum(row)).collect(),
            tokens,
            value_mean_norm: self.value_mean_norm(),
        };
        let share = match mode {
            Mode::Exact => return Ok(retrieval),
            Mode::Adaptive { target_error } => {
                return self.retrieve_adaptive(target_error, distances, retrieval);
            }
            Mode::Budget(rule) => rule.retrieve_share,
        };
        let budget = (tokens as f64 * f64::from(share)).ceil() as usize;
        if budget >= tokens {
            return Ok(retrieval);
        }
        let mut weighed = vec![];
        for row in rows {
            let found = self.search(row, budget.max(FEWEST), &mut retrieval.bytes)?;
            let ranks = Ranks::new(&logits(&found), tokens);
            let all = tail::add(ranks.all(), retrieval.steady[row]);
            let best = found.iter().take(budget);
            weighed.extend(best.map(|(token, logit)| (*token, (logit - all).exp())));
            retrieval.ranks.push(ranks);
        }
        let mut chosen = union(weighed);
        if chosen.len() > budget {
            chosen.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.total_cmp(of_a).then(a.cmp(b)));
            chosen.truncate(budget);
        }
        let chosen = chosen.into_iter().map(|(token, _)| token);
        retrieval.rows = Some(self.by_segment(chosen.collect()));
        Ok(retrieval)
    }

    fn retrieve_adaptive(
        &self,
        target_error: f32,
        distances: &[f32],
        mut retrieval: Retrieval,
    ) -> Result<Retrieval, SearchError> {
        let tokens = retrieval.tokens;
        let mut chosen = vec![];
        for (row, distance) in distances.iter().enumerate() {
            let (mut most, mut wanted) = (FEWEST, 0);
            loop {
                if most * SEARCHED_SHARE > tokens || wanted * HOPELESS_SHARE > tokens {
                    retrieval.ranks.clear();
                    return Ok(retrieval);
                }
                let found = self.search(row, most, &mut retrieval.bytes)?;
                let ranks = Ranks::new(&logits(&found), tokens);
                wanted = ranks.enough(target_error / distance, retrieval.steady[row]);
                if let Some(found) = found.get(..wanted) {
                    chosen.extend(found.iter().map(|(token, _)| *token));
                    retrieval.ranks.push(ranks);
                    break;
                }
                most *= GROWTH;
            }
        }
        retrieval.rows = Some(self.by_segment(chosen));
        Ok(retrieval)
    }

    /// The `most` best tokens of all segments for a query head, the best first.
    fn search(&self, row: usize, most: usize, bytes: &mut u64) -> Result<Vec<Ranked>, SearchError> {
        let query = self.query.queries.row(row);
        let mut found = vec![];
        let mut first = 0;
        for segment in &self.segments {
            let hits = segment.keys.search(query, most)?;
            *bytes += segment.keys.bytes_read(most);
            found.extend(
                hits.iter()
                    .map(|hit| (first + hit.row, self.query.scale * hit.product)),
            );
            first += segment.tokens as u32;
        }
        found.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.total_cmp(of_a).then(a.cmp(b)));
        found.truncate(most);
        Ok(found)
    }

    fn tokens(&self) -> usize {
        self.segments.iter().map(|segment| segment.tokens).sum()
    }

    /// Of a token of any segment.
    fn value_mean_norm(&self) -> f32 {
        let segments = self.segments.iter();
        let sum: f32 = segments
            .map(|segment| segment.value_mean_norm * segment.tokens as f32)
            .sum();
        sum / self.tokens().max(1) as f32
    }

    /// The rows of each segment, ascending, each once.
    fn by_segment(&self, mut tokens: Vec<u32>) -> Vec<Vec<u32>> {
        tokens.sort_unstable();
        tokens.dedup();
        let mut rest = &tokens[..];
        let mut first = 0;
        let of_segment = |segment: &Searched<'_>| {
            let end = first + segment.tokens as u32;
            let (own, after) = rest.split_at(rest.partition_point(|token| *token < end));
            let rows = own.iter().map(|token| token - first).collect();
            (rest, first) = (after, end);
            rows
        };
        self.segments.iter().map(of_segment).collect()
    }
}

fn logits(found: &[Ranked]) -> Vec<f32> {
    found.iter().map(|(_, logit)| *logit).collect()
}

/// Each token once, with the sum of its weights.
fn union(mut weighed: Vec<Ranked>) -> Vec<Ranked> {
    weighed.sort_unstable_by_key(|(token, _)| *token);
    weighed.dedup_by(|(token, weight), (kept, sum)| {
        let same = token == kept;
        if same {
            *sum += *weight;
        }
        same
    });
    weighed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::kinds::{Hit, ignored};
    use crate::model::TokenRange;
    use wavekv_kernels::Queries;

    /// Finds exactly, over keys of one number.
    #[derive(Debug)]
    struct Exhaustive(Vec<f32>);

    impl KeySearch for Exhaustive {
        fn search(&self, query: &[f32], most: usize) -> Result<Vec<Hit>, SearchError> {
            let keys = self.0.iter().enumerate();
            let hit = |(row, key): (usize, &f32)| Hit {
                row: row as u32,
                product: query[0] * key,
            };
            let mut hits: Vec<Hit> = keys.map(hit).collect();
            hits.sort_by(|a, b| b.product.total_cmp(&a.product));
            hits.truncate(most);
            Ok(hits)
        }

        fn bytes_read(&self, most: usize) -> u64 {
            most as u64
        }
    }

    /// Two segments whose best keys, for a positive query, are the last of the first and the first of the second.
    fn segments() -> [Exhaustive; 2] {
        let rising = (0..1000_u16).map(|at| f32::from(at) / 20.0).collect();
        let falling = (0..600_u16).map(|at| 50.0 - f32::from(at) / 20.0).collect();
        [Exhaustive(rising), Exhaustive(falling)]
    }

    fn retrieve(queries: &[f32], mode: Mode) -> Retrieval {
        let segments = segments();
        let searched = segments.iter().map(|keys| Searched {
            keys,
            tokens: keys.0.len(),
            value_mean_norm: 1.0,
        });
        let question = Question {
            query: HeadQuery {
                queries: Queries::new(queries, queries.len(), 1).unwrap(),
                scale: 0.5,
                visible: TokenRange::new(0, 1600),
            },
            segments: searched.collect(),
        };
        let steady = Accumulator::new(queries.len(), 1);
        question.retrieve(mode, &steady).unwrap()
    }

    #[test]
    fn a_budget_is_the_heaviest_tokens_of_all_segments() {
        let found = retrieve(&[2.0], Mode::budget(0.01, 1.0).unwrap());
        let [rising, falling] = &found.rows.unwrap()[..] else {
            panic!("two segments")
        };
        assert_eq!(rising.len() + falling.len(), 16);
        assert_eq!(*rising, [992, 993, 994, 995, 996, 997, 998, 999]);
        assert_eq!(*falling, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_group_shares_the_budget() {
        let found = retrieve(&[2.0, -2.0], Mode::budget(0.0625, 1.0).unwrap());
        let rows = found.rows.unwrap();
        assert_eq!(rows.iter().map(Vec::len).sum::<usize>(), 100);
        // The smallest key is the best of the one query, the largest of the other.
        assert!(rows[0].contains(&0) && rows[1].contains(&0));
    }

    #[test]
    fn nothing_and_everything_are_budgets() {
        let none = retrieve(&[2.0], Mode::budget(0.0, 1.0).unwrap());
        assert!(none.rows.unwrap().iter().all(Vec::is_empty));
        assert!(
            retrieve(&[2.0], Mode::budget(1.0, 1.0).unwrap())
                .rows
                .is_none()
        );
        assert!(retrieve(&[2.0], Mode::Exact).rows.is_none());
    }

    #[test]
    fn a_sharp_head_reads_little_and_a_flat_one_everything() {
        let read = |query: f32, target: f32| {
            let found = retrieve(&[query], Mode::adaptive(target).unwrap());
            let rows = found.rows?;
            Some(rows.iter().map(Vec::len).sum::<usize>())
        };
        let (little, less) = (read(8.0, 0.02).unwrap(), read(8.0, 0.2).unwrap());
        assert!(less < little && little < 100, "{less} and {little}");
        assert_eq!(read(0.01, 0.05), None);
    }

    #[test]
    fn what_is_missing_is_not_underestimated() {
        let found = retrieve(&[2.0], Mode::budget(0.01, 1.0).unwrap());
        let weights = |keys: &Exhaustive| keys.0.iter().map(|key| key.exp()).collect::<Vec<f32>>();
        let weights = segments().map(|keys| weights(&keys));
        let rows = found.rows.as_ref().unwrap();
        let read: f32 = (0..2)
            .flat_map(|of| rows[of].iter().map(move |row| (of, *row)))
            .map(|(of, row)| weights[of][row as usize])
            .sum();
        let all: f32 = weights.iter().flatten().sum();
        let ignored = ignored::weight(&found.ranks[0], f32::NEG_INFINITY, read.ln(), 1584);
        let expected = (all - read) / read;
        assert!(
            ignored > 0.9 * expected && ignored < 2.5 * expected,
            "{ignored}"
        );
    }
}
