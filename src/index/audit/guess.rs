//! What is guessed of the tokens that an answer did not compute exactly: attention over their codes, keys and values,
//! whatever the answer read of them.
//!
//! That is a quarter of the bytes of K and V, for which no token that matters stays unseen and little is left to chance.
//! Guesses from the meta index alone cost as much in the end: on real traces single clusters weighed thousands of times what
//! their statistics said, and samples that missed them called bad answers good.

use std::ops::Range;

use wavekv_kernels::{
    Accumulator, AddValues, CodedKeys, CodedValues, Estimate, Queries4, Run, Weigh,
};

use crate::index::audit::sample::Given;
use crate::index::segment::{HeadCodes, ReadError};
use crate::index::survey::Survey;
use crate::index::zones::{Place, Zone};

/// Below this share of the answer a token is not looked at closer.
const LIGHT: f32 = 1e-7;
/// Where an answer is of no token at all, weights are relative to the exponential of this.
const LEAST_REFERENCE: f32 = -1e6;

/// The guesses of one answer.
#[derive(Debug)]
pub(super) struct Guess<'a> {
    pub(super) survey: &'a Survey<'a>,
    pub(super) given: Given<'a>,
    /// Of the survey's segments.
    codes: HeadCodes<'a>,
    /// Weights of tokens are relative to the exponential of these, one a query head.
    pub(super) references: Vec<f32>,
}

/// The tokens of some clusters of one segment, with their weights by the codes of their keys.
pub(super) struct Weighed<'a> {
    segment: usize,
    clusters: &'a [usize],
    runs: Vec<Run>,
    /// Payload rows, run after run.
    rows: Vec<u32>,
    /// `[group, rows]`; 0 where a token was computed exactly.
    weights: Vec<f32>,
    /// `[clusters, group]`: scores of the centroids.
    centres: Vec<f32>,
}

impl<'a> Guess<'a> {
    pub(super) fn new(survey: &'a Survey<'a>, given: Given<'a>, codes: HeadCodes<'a>) -> Self {
        let references = given.lse.iter().map(|lse| lse.max(LEAST_REFERENCE));
        Self {
            survey,
            given,
            codes,
            references: references.collect(),
        }
    }

    /// The clusters of a segment that have tokens which were not computed exactly.
    pub(super) fn unknown(&self, segment: usize) -> Vec<usize> {
        let zones = &self.survey.zones[self.survey.clusters(segment)];
        let clusters = zones.iter().enumerate().filter(|(cluster, zone)| {
            let cluster = *cluster;
            match zone {
                Zone::Estimation | Zone::Ignored => true,
                Zone::Coded => self.tokens_left(Place { segment, cluster }) > 0,
                Zone::Hidden | Zone::Steady | Zone::Retrieval => false,
            }
        });
        clusters.map(|(cluster, _)| cluster).collect()
    }

    /// Tokens of a cluster that were not computed exactly.
    pub(super) fn tokens_left(&self, place: Place) -> usize {
        self.survey.tokens_at(place) as usize - self.exact_rows(place).len()
    }

    /// Their payload rows.
    pub(super) fn rows_left(&self, place: Place) -> Vec<u32> {
        let rows = self.survey.segments[place.segment].rows(place.cluster);
        let exact = self.exact_rows(place);
        let rows = rows.start as u32..rows.end as u32;
        rows.filter(|row| exact.binary_search(row).is_err())
            .collect()
    }

    /// The payload rows of a cluster that were computed exactly, ascending.
    fn exact_rows(&self, place: Place) -> &'a [u32] {
        let of_segment = self.given.middle.and_then(|middle| {
            let mut segments = middle.segments.iter();
            segments.find(|weighed| weighed.segment == place.segment)
        });
        let Some(weighed) = of_segment else {
            return &[];
        };
        let rows = self.survey.segments[place.segment].rows(place.cluster);
        let before = |end: usize| move |row: &u32| (*row as usize) < end;
        let first = weighed.exact_rows.partition_point(before(rows.start));
        let end = weighed.exact_rows.partition_point(before(rows.end));
        &weighed.exact_rows[first..end]
    }

    /// Weighs the tokens of some clusters.
    pub(super) fn weigh<'c>(
        &self,
        segment: usize,
        clusters: &'c [usize],
    ) -> Result<Weighed<'c>, ReadError> {
        let survey = self.survey;
        let head = &survey.segments[segment];
        let mut weighed = Weighed {
            segment,
            clusters,
            runs: vec![],
            rows: vec![],
            weights: vec![],
            centres: vec![],
        };
        let mut known = vec![];
        for cluster in clusters {
            let place = Place {
                segment,
                cluster: *cluster,
            };
            let rows = head.rows(*cluster);
            for row in self.exact_rows(place) {
                known.push(weighed.rows.len() + *row as usize - rows.start);
            }
            weighed.runs.push(Run {
                first: rows.start as u32,
                count: rows.len() as u32,
            });
            weighed.rows.extend(rows.start as u32..rows.end as u32);
            let centres = (0..survey.group).map(|row| survey.score(row, place));
            weighed.centres.extend(centres);
        }
        let count = weighed.rows.len();
        weighed.weights = vec![0.0; survey.group * count];
        let scale = survey.query.scale;
        let queries = Queries4::new(survey.query.queries, head.key_profile, scale)?;
        let held = self.codes.keys(segment, &weighed.runs)?;
        let keys = CodedKeys {
            queries: &queries,
            codes: held.codes,
            runs: &weighed.runs,
            centres: &weighed.centres,
            references: &self.references,
        };
        let task = Weigh::new(keys, &mut weighed.weights)?;
        survey.kernels.weigh(task);
        for of_row in weighed.weights.chunks_exact_mut(count.max(1)) {
            for token in &known {
                of_row[*token] = 0.0;
            }
        }
        Ok(weighed)
    }

    /// Adds what is guessed of clusters to `to`; returns the bytes that this reads, with those of weighing.
    pub(super) fn add(
        &self,
        weighed: &Weighed<'_>,
        to: &mut Accumulator,
    ) -> Result<u64, ReadError> {
        let means = self.survey.segments[weighed.segment].value_means;
        let count = weighed.rows.len();
        let rows = weighed.weights.chunks_exact(count.max(1));
        let masses = rows
            .zip(&self.references)
            .flat_map(|(weights, reference)| {
                let masses = weighed
                    .tokens()
                    .map(|tokens| weights[tokens].iter().sum::<f32>());
                masses.map(move |mass| mass.ln() + reference)
            })
            .collect::<Vec<f32>>();
        let clusters = weighed.clusters.iter();
        let picks: Vec<u32> = clusters.map(|cluster| *cluster as u32).collect();
        let kernels = self.survey.kernels;
        kernels.estimate(Estimate::new(&masses, &picks, means, to)?);
        let held = self.codes.values(weighed.segment, &weighed.rows)?;
        let values = CodedValues {
            codes: held.codes,
            tokens: &weighed.rows,
            weights: &weighed.weights,
            references: &self.references,
        };
        kernels.add_values(AddValues::new(values, to)?);
        let token = self.codes.row_bytes();
        Ok((count * token + picks.len() * means.row_bytes()) as u64)
    }

    /// Of each cluster, `[clusters, group]`, the square of what the codes of its tokens may be wrong by, in masses of the
    /// references: of a token, its weight times what its value and its score are usually off by. A score far from the
    /// centroid's is off by more.
    pub(super) fn squares(&self, weighed: &Weighed<'_>) -> Vec<f64> {
        let survey = self.survey;
        let head = &survey.segments[weighed.segment];
        let [of_keys, of_values] = head.code_errors;
        let count = weighed.rows.len();
        let answers = self.given.out.chunks_exact(self.given.exact.value_dim());
        let answers: Vec<f32> = answers.map(length).collect();
        let mut squares = Vec::with_capacity(weighed.centres.len());
        let clusters = weighed.clusters.iter().zip(weighed.tokens());
        for (index, (cluster, tokens)) in clusters.enumerate() {
            let spread = head.value_spreads[*cluster];
            let norm = head.value_mean_norms[*cluster];
            for (row, answer) in answers.iter().enumerate() {
                let of_row = survey.row_spreads[weighed.segment * survey.group + row];
                let usual = (head.key_spreads[*cluster] * of_row).sqrt();
                let centre = weighed.centres[index * survey.group + row] - self.references[row];
                let distance = spread.hypot(norm) + answer;
                let wrong = |weight: &f32| {
                    let beside = if *weight > LIGHT {
                        usual.max((weight.ln() - centre).abs())
                    } else {
                        usual
                    };
                    let wrong = weight * (of_values * spread + of_keys * beside * distance);
                    f64::from(wrong).powi(2)
                };
                let weights = &weighed.weights[row * count..][tokens.clone()];
                squares.push(weights.iter().map(wrong).sum());
            }
        }
        squares
    }
}

impl Weighed<'_> {
    /// Which of the rows are of each cluster.
    fn tokens(&self) -> impl Iterator<Item = Range<usize>> {
        self.runs.iter().scan(0, |end, run| {
            let first = *end;
            *end += run.count as usize;
            Some(first..*end)
        })
    }
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}
