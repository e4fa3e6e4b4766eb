//! The middle zone: what the codes of the coded clusters say, and which of their tokens are worth more bytes than that.
//!
//! The codes of the keys give every token of these clusters its weight. The error identity then holds token by token: with
//! weight `w` of the answer, a token whose value is taken to be its cluster's mean may be wrong by `w tau`, and one whose
//! value comes from its codes, or whose weight does, by what codes are usually off by. So a token's value codes are read
//! where that gains the price or more, the token itself where even the codes are not good enough, and the rest is left
//! with the mean value of the cluster. On real traces 2 % of the tokens as value codes and 0.3 % exactly made answers as
//! good as all of the coded tokens read.

use std::ops::Range;

use wavekv_kernels::{
    Accumulator, AddValues, CodedKeys, CodedValues, Codes4, Queries4, Run, ShapeError, Weigh,
};

use crate::index::error_estimate::Doubt;
use crate::index::ladder::Ladder;
use crate::index::segment::HeadCodes;
use crate::index::survey::Survey;
use crate::index::zones::{Place, Zone};

/// Above this variance the weight of a token says nothing about its error any more: it is read exactly, or has no weight.
const LARGEST_VARIANCE: f32 = 16.0;

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
pub struct Weighed<'a> {
    /// Place of the segment.
    pub segment: usize,
    /// Payload rows of the tokens that must be computed exactly, ascending within a cluster.
    pub exact_rows: Vec<u32>,
    /// Payload rows of the tokens whose value codes are read.
    value_rows: Vec<u32>,
    /// `[group, value_rows]`.
    value_weights: Vec<f32>,
    /// Of the values.
    codes: Codes4<'a>,
}

/// What the codes of all coded clusters say.
#[derive(Debug)]
pub struct Middle<'a> {
    /// Segment after segment.
    pub segments: Vec<Weighed<'a>>,
    /// A weight of 1 is a mass of `exp(reference)`, one a query head.
    references: Vec<f32>,
    /// Codes that were read.
    pub bytes: u64,
    /// Tokens that were weighed and are not to be computed exactly.
    pub tokens: u64,
}

/// The coded clusters of one segment with the weights of their tokens.
#[derive(Debug)]
struct Keys<'a> {
    segment: usize,
    clusters: Vec<usize>,
    runs: Vec<Run>,
    /// `[group, tokens]`.
    weights: Vec<f32>,
    /// What a token may be wrong by, cluster after cluster.
    wrong: Vec<Wrong>,
    /// What reading is worth, token after token.
    worths: Vec<Worth>,
    codes: HeadCodes<'a>,
}

impl<'a> Survey<'a> {
    /// Reads the codes of the coded clusters. `codes` has those of the segment at a place, `exact_bytes` is what a token
    /// costs to compute exactly. The survey's masses of these clusters are from then on what is left of them.
    ///
    /// # Errors
    /// [`ShapeError`] when the codes are not those of the segments.
    pub fn read_codes(
        &mut self,
        price: Price,
        exact_bytes: usize,
        codes: impl Fn(usize) -> Result<HeadCodes<'a>, ShapeError>,
    ) -> Result<Middle<'a>, ShapeError> {
        let Some(mut doubt) = self.doubt.take() else {
            return Ok(Middle {
                segments: vec![],
                references: vec![],
                bytes: 0,
                tokens: 0,
            });
        };
        let mut keys = vec![];
        for segment in 0..self.segments.len() {
            if self.zones[self.clusters(segment)].contains(&Zone::Coded) {
                keys.push(self.weigh(segment, codes(segment)?, &doubt)?);
            }
        }
        let scales = self.scales(&keys, &doubt);
        for keys in &mut keys {
            keys.appraise(&scales, exact_bytes, price.linear);
        }
        let square_a_byte = lowered(price, &keys, &scales, &doubt);
        let mut middle = Middle {
            segments: Vec::with_capacity(keys.len()),
            references: doubt.answer().lse.clone(),
            bytes: 0,
            tokens: 0,
        };
        for keys in &keys {
            keys.doubt(square_a_byte, &scales, &mut doubt);
            let weighed = self.settle(keys, square_a_byte, &middle.references);
            let (coded, valued) = (keys.tokens(), weighed.value_rows.len());
            let bytes =
                coded * keys.codes.keys.row_bytes() + valued * keys.codes.values.row_bytes();
            middle.bytes += bytes as u64;
            middle.tokens += (coded - weighed.exact_rows.len()) as u64;
            middle.segments.push(weighed);
        }
        self.doubt = Some(doubt);
        Ok(middle)
    }

    /// Weighs the tokens of the coded clusters of a segment.
    fn weigh(
        &self,
        segment: usize,
        codes: HeadCodes<'a>,
        doubt: &Doubt,
    ) -> Result<Keys<'a>, ShapeError> {
        let head = &self.segments[segment];
        let zones = self.zones[self.clusters(segment)].iter().enumerate();
        let coded = zones.filter(|(_, zone)| **zone == Zone::Coded);
        let clusters: Vec<usize> = coded.map(|(cluster, _)| cluster).collect();
        let run = |cluster: &usize| Run {
            first: head.first_rows[*cluster],
            count: head.counts[*cluster],
        };
        let runs: Vec<Run> = clusters.iter().map(run).collect();
        let mut centres = Vec::with_capacity(clusters.len() * self.group);
        let mut wrong = Vec::with_capacity(clusters.len());
        for cluster in &clusters {
            let place = Place {
                segment,
                cluster: *cluster,
            };
            centres.extend((0..self.group).map(|row| self.scores[self.at(row, place)]));
            wrong.push(self.wrong(place, doubt));
        }
        let mut keys = Keys {
            segment,
            clusters,
            runs,
            weights: vec![],
            wrong,
            worths: vec![],
            codes,
        };
        keys.weights = vec![0.0; self.group * keys.tokens()];
        let queries = Queries4::new(self.query.queries, head.key_profile, self.query.scale)?;
        let coded = CodedKeys {
            queries: &queries,
            codes: codes.keys,
            runs: &keys.runs,
            centres: &centres,
            references: &doubt.answer().lse,
        };
        self.kernels.weigh(Weigh::new(coded, &mut keys.weights)?);
        Ok(keys)
    }

    /// What a weight is multiplied with to be a share of the length of the answer, for each query head: the answer's
    /// mass is now known better than its estimate.
    fn scales(&self, keys: &[Keys<'_>], doubt: &Doubt) -> Vec<f32> {
        let answer = doubt.answer();
        let scale = |row: usize| {
            let mut mass = 1.0;
            for keys in keys {
                let tokens = keys.tokens();
                let found: f32 = keys.weights[row * tokens..][..tokens].iter().sum();
                let estimated = keys.clusters.iter().map(|cluster| {
                    let place = Place {
                        segment: keys.segment,
                        cluster: *cluster,
                    };
                    (self.log_mass[self.at(row, place)] - answer.lse[row]).exp()
                });
                mass += found - estimated.sum::<f32>();
            }
            1.0 / (mass.max(f32::EPSILON) * answer.norms[row])
        };
        (0..self.group).map(scale).collect()
    }

    /// Names the tokens that are read at a price, and keeps in the survey what mass each cluster has left.
    fn settle(&mut self, keys: &Keys<'a>, square_a_byte: f32, references: &[f32]) -> Weighed<'a> {
        let mut weighed = Weighed {
            segment: keys.segment,
            exact_rows: vec![],
            value_rows: vec![],
            value_weights: vec![],
            codes: keys.codes.values,
        };
        let all = keys.tokens();
        let mut value_tokens = vec![];
        for (cluster, tokens) in keys.clusters.iter().zip(keys.ranges()) {
            let place = Place {
                segment: keys.segment,
                cluster: *cluster,
            };
            let mut left = vec![0.0; self.group];
            let first_row = self.segments[keys.segment].first_rows[*cluster];
            for token in tokens.clone() {
                let row = first_row + (token - tokens.start) as u32;
                match keys.worths[token].verdict(square_a_byte) {
                    Verdict::Exact => {
                        weighed.exact_rows.push(row);
                        continue;
                    }
                    Verdict::Value => {
                        weighed.value_rows.push(row);
                        value_tokens.push(token);
                    }
                    Verdict::Mean => {}
                }
                for (left, weights) in left.iter_mut().zip(keys.weights.chunks_exact(all)) {
                    *left += weights[token];
                }
            }
            for (row, left) in left.into_iter().enumerate() {
                let at = self.at(row, place);
                self.log_mass[at] = if left > 0.0 {
                    left.ln() + references[row]
                } else {
                    f32::NEG_INFINITY
                };
            }
        }
        for weights in keys.weights.chunks_exact(all) {
            let of_values = value_tokens.iter().map(|token| weights[*token]);
            weighed.value_weights.extend(of_values);
        }
        weighed
    }

    /// What the tokens of a cluster may be wrong by, times their weight.
    fn wrong(&self, place: Place, doubt: &Doubt) -> Wrong {
        let head = &self.segments[place.segment];
        let spread = head.value_spreads[place.cluster];
        let norm = head.value_mean_norms[place.cluster];
        let [of_keys, of_values] = head.code_errors;
        let by_codes = (0..self.group).map(|row| {
            let of_row = self.row_spreads[place.segment * self.group + row];
            let variance = (head.key_spreads[place.cluster] * of_row).min(LARGEST_VARIANCE);
            let answer = doubt.answer().norms[row];
            let distance = (spread * spread + norm * norm + answer * answer).sqrt();
            of_values * spread + of_keys * variance.sqrt() * distance
        });
        Wrong {
            by_mean: spread,
            by_codes: by_codes.collect(),
        }
    }
}

impl Middle<'_> {
    /// Adds the tokens whose value codes are read to `acc`, which has their mass and the means of their clusters.
    ///
    /// # Errors
    /// [`ShapeError`] when `acc` is not `[group, value_dim]`.
    pub fn add_values(&self, survey: &Survey<'_>, acc: &mut Accumulator) -> Result<(), ShapeError> {
        for segment in &self.segments {
            let values = CodedValues {
                codes: segment.codes,
                tokens: &segment.value_rows,
                weights: &segment.value_weights,
                references: &self.references,
            };
            survey.kernels.add_values(AddValues::new(values, acc)?);
        }
        Ok(())
    }
}

/// What a token of a cluster may be wrong by, times its weight.
#[derive(Debug)]
struct Wrong {
    /// With the mean value of the cluster.
    by_mean: f32,
    /// With its codes, for each query head.
    by_codes: Vec<f32>,
}

/// How much of a token is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing more than its weight.
    Mean,
    /// The codes of its value.
    Value,
    /// All of it.
    Exact,
}

/// What reading a token would take from the squared error of the answer, a byte.
#[derive(Clone, Copy, Debug, Default)]
struct Worth {
    value: f32,
    exact: f32,
}

impl Worth {
    fn verdict(self, square_a_byte: f32) -> Verdict {
        if self.exact >= square_a_byte {
            Verdict::Exact
        } else if self.value >= square_a_byte {
            Verdict::Value
        } else {
            Verdict::Mean
        }
    }
}

impl Keys<'_> {
    fn tokens(&self) -> usize {
        self.runs.iter().map(|run| run.count as usize).sum()
    }

    /// The tokens of each cluster.
    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.runs.iter().scan(0, |end, run| {
            let start = *end;
            *end += run.count as usize;
            Some(start..*end)
        })
    }

    /// Finds what reading each token is worth. A weight times its row's scale is a share of the answer's length.
    fn appraise(&mut self, scales: &[f32], exact_bytes: usize, linear: f32) {
        let all = self.tokens();
        let mut worths = vec![Worth::default(); all];
        for (wrong, tokens) in self.wrong.iter().zip(self.ranges()) {
            for (row, scale) in scales.iter().enumerate() {
                let weights = &self.weights[row * all..][tokens.clone()];
                let (by_mean, by_codes) = (scale * wrong.by_mean, scale * wrong.by_codes[row]);
                for (worth, weight) in worths[tokens.clone()].iter_mut().zip(weights) {
                    worth.value += weight * by_mean * (weight * by_mean + linear);
                    worth.exact += (weight * by_codes).powi(2);
                }
            }
        }
        let of_value = 1.0 / self.codes.values.row_bytes() as f32;
        let of_token = 1.0 / exact_bytes as f32;
        for worth in &mut worths {
            worth.value *= of_value;
            worth.exact *= of_token;
        }
        self.worths = worths;
    }

    /// Adds to `doubt` what is not read at a price.
    fn doubt(&self, square_a_byte: f32, scales: &[f32], doubt: &mut Doubt) {
        let all = self.tokens();
        for (wrong, tokens) in self.wrong.iter().zip(self.ranges()) {
            for (row, scale) in scales.iter().enumerate() {
                let weights = &self.weights[row * all..][tokens.clone()];
                let (by_mean, by_codes) = (scale * wrong.by_mean, scale * wrong.by_codes[row]);
                let (mut squares, mut sum) = (0.0, 0.0);
                for (worth, weight) in self.worths[tokens.clone()].iter().zip(weights) {
                    match worth.verdict(square_a_byte) {
                        Verdict::Exact => {}
                        Verdict::Value => squares += (weight * by_codes).powi(2),
                        Verdict::Mean => {
                            squares += (weight * by_codes).powi(2) + (weight * by_mean).powi(2);
                            sum += weight * by_mean;
                        }
                    }
                }
                doubt.add_many(row, squares, sum);
            }
        }
    }

    /// Puts every token on a ladder, twice: for its value and for all of it.
    fn climb(&self, scales: &[f32], ladder: &mut Ladder) {
        let all = self.tokens();
        for (wrong, tokens) in self.wrong.iter().zip(self.ranges()) {
            for token in tokens {
                let share = |row: usize| self.weights[row * all + token] * scales[row];
                let rows = 0..scales.len();
                let by_mean = rows.clone().map(|row| share(row) * wrong.by_mean);
                let by_codes = rows.map(|row| share(row) * wrong.by_codes[row]);
                let worth = self.worths[token];
                ladder.add(worth.value, by_mean.map(|wrong| [wrong * wrong, wrong]));
                ladder.add(worth.exact, by_codes.map(|wrong| [wrong * wrong, 0.0]));
            }
        }
    }
}

/// The price, or a lower one where it would leave an estimated error over the aim: where a few clusters are all that
/// matters, the least gainful of them may have been a bargain that no token is.
fn lowered(price: Price, keys: &[Keys<'_>], scales: &[f32], doubt: &Doubt) -> f32 {
    let mut left = doubt.clone();
    for keys in keys {
        keys.doubt(price.square_a_byte, scales, &mut left);
    }
    if (0..scales.len()).all(|row| left.error(row) <= price.aim) {
        return price.square_a_byte;
    }
    let mut ladder = Ladder::new(scales.len());
    for keys in keys {
        keys.climb(scales, &mut ladder);
    }
    let least = ladder.least_worth(doubt, price.aim);
    least.map_or(price.square_a_byte, |least| least.min(price.square_a_byte))
}
