//! The middle zone: what the codes of the coded clusters say, and which of their tokens are worth more bytes than that.
//!
//! The codes of the keys give every token of these clusters its weight. The error identity then holds token by token: with
//! weight `w` of the answer, a token whose value is taken to be its cluster's mean may be wrong by `w tau`, and one whose
//! value comes from its codes, or whose weight does, by what codes are usually off by. So a token's value codes are read
//! where that gains the price or more, the token itself where even the codes are not good enough, and the rest is left
//! with the mean value of the cluster. On real traces 2 % of the tokens as value codes and 0.3 % exactly made answers as
//! good as all of the coded tokens read.

use wavekv_kernels::{
    Accumulator, AddValues, CodedKeys, CodedValues, Judge, Judgement, Queries4, Run, ShapeError,
    Weigh, WeighedTokens,
};

use crate::index::error_estimate::Doubt;
use crate::index::ladder::Ladder;
use crate::index::segment::{HeadCodes, ReadError};
use crate::index::survey::Survey;
use crate::index::zones::{Place, Zone};

/// Above this variance the weight of a token says nothing about its error any more: it is read exactly, or has no weight.
const LARGEST_VARIANCE: f32 = 16.0;

/// Tokens that are looked at together.
const TOGETHER: usize = 16;

/// What reading must gain: the squared error a byte, and the part of an error that counts once for all its kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Squared relative error of the answer that a byte must save.
    pub square_a_byte: f32,
    /// An error `e` that is one of many alike counts `e (e + linear)`.
    pub linear: f32,
    /// The estimated error at which reading may stop: where the price leaves more than that, it is lowered.
    pub aim: f32,
}

/// What the codes of one segment's coded clusters say.
#[derive(Debug)]
pub struct Weighed {
    /// Place of the segment.
    pub segment: usize,
    /// Payload rows of the tokens that must be computed exactly, ascending.
    pub exact_rows: Vec<u32>,
    /// Payload rows of the tokens whose value codes are read.
    value_rows: Vec<u32>,
    /// `[group, value_rows]`.
    value_weights: Vec<f32>,
}

/// What the codes of all coded clusters say.
#[derive(Debug)]
pub struct Middle {
    /// Segment after segment.
    pub segments: Vec<Weighed>,
    /// A weight of 1 is a mass of `exp(reference)`, one a query head.
    references: Vec<f32>,
    /// Codes that were read.
    pub bytes: u64,
    /// Tokens that were weighed and are not to be computed exactly.
    pub tokens: u64,
}

/// The coded clusters of one segment with the weights of their tokens.
#[derive(Debug)]
struct Keys {
    segment: usize,
    clusters: Vec<usize>,
    runs: Vec<Run>,
    /// `[group, tokens]`.
    weights: Vec<f32>,
    /// `[clusters, group]`: what a weight of 1 is wrong by with the mean value.
    by_mean: Vec<f32>,
    /// `[clusters, group]`: the same with codes.
    by_codes: Vec<f32>,
    /// What reading each token's value is worth.
    values: Vec<f32>,
    /// What reading all of each token is worth.
    exacts: Vec<f32>,
    /// `[clusters, group]`: weights of the tokens that are not exact.
    left: Vec<f32>,
    /// Of codes: of a token's key, and of its value.
    key_row_bytes: usize,
    value_row_bytes: usize,
}

/// The coded clusters of one segment.
#[derive(Debug)]
struct Coded {
    segment: usize,
    clusters: Vec<usize>,
    runs: Vec<Run>,
}

impl<'a> Survey<'a> {
    /// Reads the codes of the coded clusters out of `codes`, which has those of the survey's segments; `exact_bytes` is what a
    /// token costs to compute exactly. The survey's masses of these clusters are from then on what is left of them.
    ///
    /// # Errors
    /// [`ReadError`] when the codes are not those of the segments, or the disk does not give them.
    pub fn read_codes(
        &mut self,
        price: Price,
        exact_bytes: usize,
        codes: &HeadCodes<'a>,
    ) -> Result<Middle, ReadError> {
        let Some(doubt) = self.doubt.take() else {
            return Ok(Middle {
                segments: vec![],
                references: vec![],
                bytes: 0,
                tokens: 0,
            });
        };
        let coded = self.coded();
        for Coded { segment, runs, .. } in &coded {
            codes.expect_keys(*segment, runs);
        }
        let keys = coded
            .into_iter()
            .map(|coded| self.weigh(coded, codes, &doubt));
        let mut keys = keys.collect::<Result<Vec<_>, _>>()?;
        let mut at = price.square_a_byte;
        let mut left = self.judge(&mut keys, price.linear, at, exact_bytes, &doubt)?;
        if left.worst() > price.aim {
            at = lowered(price, &keys, exact_bytes, &doubt);
            left = self.judge(&mut keys, price.linear, at, exact_bytes, &doubt)?;
        }
        let mut middle = Middle {
            segments: Vec::with_capacity(keys.len()),
            references: doubt.answer().lse.clone(),
            bytes: 0,
            tokens: 0,
        };
        for keys in &keys {
            let weighed = self.settle(keys, at, exact_bytes, &middle.references);
            codes.expect_values(weighed.segment, &weighed.value_rows);
            let (coded, valued) = (keys.tokens(), weighed.value_rows.len());
            let bytes = coded * keys.key_row_bytes + valued * keys.value_row_bytes;
            middle.bytes += bytes as u64;
            middle.tokens += (coded - weighed.exact_rows.len()) as u64;
            middle.segments.push(weighed);
        }
        self.doubt = Some(left);
        Ok(middle)
    }

    /// The segments that have coded clusters.
    fn coded(&self) -> Vec<Coded> {
        let coded = (0..self.segments.len()).map(|segment| {
            let head = &self.segments[segment];
            let zones = self.zones[self.clusters(segment)].iter().enumerate();
            let clusters = zones.filter(|(_, zone)| **zone == Zone::Coded);
            let clusters: Vec<usize> = clusters.map(|(cluster, _)| cluster).collect();
            let run = |cluster: &usize| Run {
                first: head.first_rows[*cluster],
                count: head.counts[*cluster],
            };
            Coded {
                segment,
                runs: clusters.iter().map(run).collect(),
                clusters,
            }
        });
        coded.filter(|coded| !coded.clusters.is_empty()).collect()
    }

    /// Weighs the tokens of the coded clusters of a segment.
    fn weigh(&self, coded: Coded, codes: &HeadCodes<'a>, doubt: &Doubt) -> Result<Keys, ReadError> {
        let Coded {
            segment,
            clusters,
            runs,
        } = coded;
        let head = &self.segments[segment];
        let mut centres = Vec::with_capacity(clusters.len() * self.group);
        let mut by_mean = Vec::with_capacity(centres.capacity());
        let mut by_codes = Vec::with_capacity(centres.capacity());
        for cluster in &clusters {
            let place = Place {
                segment,
                cluster: *cluster,
            };
            centres.extend((0..self.group).map(|row| self.scores[self.at(row, place)]));
            self.put_errors(place, doubt, &mut by_mean, &mut by_codes);
        }
        // They may leave memory as soon as they have told the weights.
        let held = codes.keys(segment, &runs)?;
        let mut keys = Keys {
            segment,
            clusters,
            weights: vec![],
            by_mean,
            by_codes,
            values: vec![],
            exacts: vec![],
            left: vec![],
            key_row_bytes: held.codes.row_bytes(),
            value_row_bytes: codes.value_row_bytes(),
            runs,
        };
        keys.weights = vec![0.0; self.group * keys.tokens()];
        let queries = Queries4::new(self.query.queries, head.key_profile, self.query.scale)?;
        let coded = CodedKeys {
            queries: &queries,
            codes: held.codes,
            runs: &keys.runs,
            centres: &centres,
            references: &doubt.answer().lse,
        };
        self.kernels.weigh(Weigh::new(coded, &mut keys.weights)?);
        Ok(keys)
    }

    /// Judges all tokens at a price; returns `doubt` with what they leave.
    fn judge(
        &self,
        keys: &mut [Keys],
        linear: f32,
        square_a_byte: f32,
        exact_bytes: usize,
        doubt: &Doubt,
    ) -> Result<Doubt, ShapeError> {
        let mut found = doubt.clone();
        let (mut squares, mut sums) = (vec![0.0; self.group], vec![0.0; self.group]);
        for keys in keys {
            let [least_value, least_exact] = keys.least(square_a_byte, exact_bytes);
            let count = keys.tokens();
            keys.values.resize(count, 0.0);
            keys.exacts.resize(count, 0.0);
            keys.left.resize(keys.runs.len() * self.group, 0.0);
            let tokens = WeighedTokens {
                runs: &keys.runs,
                weights: &keys.weights,
                by_mean: &keys.by_mean,
                by_codes: &keys.by_codes,
                linear,
                least_value,
                least_exact,
            };
            let to = Judgement {
                values: &mut keys.values,
                exacts: &mut keys.exacts,
                left: &mut keys.left,
                squares: &mut squares,
                sums: &mut sums,
            };
            self.kernels.judge(Judge::new(tokens, to)?);
            for row in 0..self.group {
                found.add_many(row, squares[row], sums[row]);
            }
        }
        Ok(found)
    }

    /// Names the tokens that are read at a price, and keeps in the survey what mass each cluster has left.
    fn settle(
        &mut self,
        keys: &Keys,
        square_a_byte: f32,
        exact_bytes: usize,
        references: &[f32],
    ) -> Weighed {
        let mut weighed = Weighed {
            segment: keys.segment,
            exact_rows: vec![],
            value_rows: vec![],
            value_weights: vec![],
        };
        let [least_value, least_exact] = keys.least(square_a_byte, exact_bytes);
        let mut value_tokens = vec![];
        let mut rows = RowsOfTokens::new(&keys.runs);
        for token in keys.worth_reading(least_value, least_exact) {
            let row = rows.of(token);
            if keys.exacts[token] >= least_exact {
                weighed.exact_rows.push(row);
            } else {
                weighed.value_rows.push(row);
                value_tokens.push(token);
            }
        }
        for (cluster, left) in keys.clusters.iter().zip(keys.left.chunks_exact(self.group)) {
            let place = Place {
                segment: keys.segment,
                cluster: *cluster,
            };
            for (row, (left, reference)) in left.iter().zip(references).enumerate() {
                let at = self.at(row, place);
                self.log_mass[at] = if *left > 0.0 {
                    left.ln() + reference
                } else {
                    f32::NEG_INFINITY
                };
            }
        }
        for weights in keys.weights.chunks_exact(keys.values.len()) {
            let of_values = value_tokens.iter().map(|token| weights[*token]);
            weighed.value_weights.extend(of_values);
        }
        weighed
    }

    /// What the tokens of a cluster may be wrong by for each query head, times their weight, as a share of the length of
    /// the answer: with the mean value of the cluster, and with their codes.
    fn put_errors(
        &self,
        place: Place,
        doubt: &Doubt,
        by_mean: &mut Vec<f32>,
        by_codes: &mut Vec<f32>,
    ) {
        let head = &self.segments[place.segment];
        let spread = head.value_spreads[place.cluster];
        let norm = head.value_mean_norms[place.cluster];
        let [of_keys, of_values] = head.code_errors;
        for (row, answer) in doubt.answer().norms.iter().enumerate() {
            let of_row = self.row_spreads[place.segment * self.group + row];
            let variance = (head.key_spreads[place.cluster] * of_row).min(LARGEST_VARIANCE);
            let distance = (spread * spread + norm * norm + answer * answer).sqrt();
            let wrong = of_values * spread + of_keys * variance.sqrt() * distance;
            by_mean.push(spread / answer);
            by_codes.push(wrong / answer);
        }
    }
}

impl Middle {
    /// Adds the tokens whose value codes are read, out of `codes`, to `acc`, which has their mass and the means of their
    /// clusters.
    ///
    /// # Errors
    /// [`ReadError`] when `acc` is not `[group, value_dim]`, or the disk does not give the codes.
    pub fn add_values(
        &self,
        survey: &Survey<'_>,
        codes: &HeadCodes<'_>,
        acc: &mut Accumulator,
    ) -> Result<(), ReadError> {
        for segment in &self.segments {
            let held = codes.values(segment.segment, &segment.value_rows)?;
            let values = CodedValues {
                codes: held.codes,
                tokens: &segment.value_rows,
                weights: &segment.value_weights,
                references: &self.references,
            };
            survey.kernels.add_values(AddValues::new(values, acc)?);
        }
        Ok(())
    }
}

impl Keys {
    fn tokens(&self) -> usize {
        self.runs.iter().map(|run| run.count as usize).sum()
    }

    /// What a token must be worth at a price, for the codes of its value and for all of it.
    fn least(&self, square_a_byte: f32, exact_bytes: usize) -> [f32; 2] {
        let bytes = [self.value_row_bytes, exact_bytes];
        bytes.map(|bytes| square_a_byte * bytes as f32)
    }

    /// The tokens that are worth reading at all, ascending: few of many, so that sixteen are looked at together.
    fn worth_reading(&self, least_value: f32, least_exact: f32) -> impl Iterator<Item = usize> {
        let values = self.values.chunks(TOGETHER);
        let chunks = values.zip(self.exacts.chunks(TOGETHER)).enumerate();
        chunks.flat_map(move |(chunk, (values, exacts))| {
            let mut worth: u32 = 0;
            for (at, (value, exact)) in values.iter().zip(exacts).enumerate() {
                worth |=
                    (u32::from(*value >= least_value) | u32::from(*exact >= least_exact)) << at;
            }
            std::iter::from_fn(move || {
                let at = (worth != 0).then(|| worth.trailing_zeros() as usize)?;
                worth &= worth - 1;
                Some(chunk * TOGETHER + at)
            })
        })
    }

    /// Puts every token on a ladder of worths a byte, twice: for its value and for all of it.
    fn climb(&self, group: usize, exact_bytes: usize, ladder: &mut Ladder) {
        let all = self.tokens();
        let bytes = [self.value_row_bytes, exact_bytes].map(|bytes| bytes as f32);
        let mut token = 0;
        for (index, run) in self.runs.iter().enumerate() {
            for _ in 0..run.count {
                let wrong = |errors: &'_ [f32], row: usize| {
                    self.weights[row * all + token] * errors[index * group + row]
                };
                let by_mean = (0..group).map(|row| wrong(&self.by_mean, row));
                let by_codes = (0..group).map(|row| wrong(&self.by_codes, row));
                let (value, exact) = (self.values[token] / bytes[0], self.exacts[token] / bytes[1]);
                ladder.add(value, by_mean.map(|wrong| [wrong * wrong, wrong]));
                ladder.add(exact, by_codes.map(|wrong| [wrong * wrong, 0.0]));
                token += 1;
            }
        }
    }
}

/// The payload rows of tokens of some runs, which are asked for in order.
struct RowsOfTokens<'a> {
    runs: std::slice::Iter<'a, Run>,
    run: Run,
    /// Tokens before those of the run.
    before: usize,
}

impl<'a> RowsOfTokens<'a> {
    fn new(runs: &'a [Run]) -> Self {
        Self {
            runs: runs.iter(),
            run: Run { first: 0, count: 0 },
            before: 0,
        }
    }

    fn of(&mut self, token: usize) -> u32 {
        while token >= self.before + self.run.count as usize {
            let Some(next) = self.runs.next() else {
                break;
            };
            self.before += self.run.count as usize;
            self.run = *next;
        }
        self.run.first + (token - self.before) as u32
    }
}

/// A price at which what stays unread is within the aim, where that of the clusters is too high: where a few clusters are
/// all that matters, the least gainful of them may have been a bargain that no token is.
fn lowered(price: Price, keys: &[Keys], exact_bytes: usize, doubt: &Doubt) -> f32 {
    let group = doubt.answer().lse.len();
    let mut ladder = Ladder::new(group);
    for keys in keys {
        keys.climb(group, exact_bytes, &mut ladder);
    }
    let least = ladder.least_worth(&mut doubt.clone(), price.aim);
    least.map_or(price.square_a_byte, |least| least.min(price.square_a_byte))
}
