//! What all heads of a generated trace share: which topic each token is about, which positions ask, where needles lie.

use rand::RngExt as _;
use rand_distr::{Distribution as _, LogNormal, Zipf};
use rand_pcg::Pcg64;

use super::GenerateParameters;
use crate::Planted;

/// Tokens at the start that heads with a sink attend to.
pub(super) const SINK_TOKENS: usize = 4;

/// The course of a text.
#[derive(Debug)]
pub(super) struct Text {
    /// Topic of each token.
    pub(super) topics: Vec<u32>,
    /// Topics there are.
    pub(super) topic_count: usize,
    /// Positions of the queries, ascending.
    pub(super) positions: Vec<u32>,
    /// Needles and the query rows that look for them, in order of position.
    pub(super) needles: Vec<Planted>,
}

impl Text {
    pub(super) fn new(p: &GenerateParameters, rng: &mut Pcg64) -> Self {
        let topic_count = (p.tokens / 64).clamp(8, 4096);
        let topics = topics(p.tokens, topic_count, rng);
        let (positions, last) = positions(p.tokens, rng);
        let first_last = positions[positions.len() - last] as usize;
        let span = first_last.saturating_sub(SINK_TOKENS);
        let needles = (0..p.needles)
            .map(|i| Planted {
                position: (SINK_TOKENS.min(first_last) + (2 * i + 1) * span / (2 * p.needles))
                    as u32,
                query: positions.len() - last + i * last / p.needles,
            })
            .collect();
        Self {
            topics,
            topic_count,
            positions,
            needles,
        }
    }
}

/// Runs of tokens, log-normal in length (about 14 on average), on topics drawn from Zipf's law.
fn topics(tokens: usize, count: usize, rng: &mut Pcg64) -> Vec<u32> {
    let mut topics = Vec::with_capacity(tokens);
    let (Ok(rank), Ok(length)) = (Zipf::new(count as f64, 0.9), LogNormal::new(2.3, 0.8)) else {
        return vec![0; tokens]; // Not reached: both have constant, valid parameters.
    };
    while topics.len() < tokens {
        let topic = rank.sample(rng) as u32 - 1;
        let run = (length.sample(rng) as usize).clamp(1, tokens - topics.len());
        topics.resize(topics.len() + run, topic);
    }
    topics
}

/// Up to 64 positions spread over the second half, then the last 64; and how many the last are.
fn positions(tokens: usize, rng: &mut Pcg64) -> (Vec<u32>, usize) {
    let last = tokens.min(64);
    let start = tokens.div_ceil(2).min(tokens - last);
    let length = tokens - last - start;
    let count = length.min(64);
    // One at random of each of `count` equal stretches.
    let mut positions: Vec<u32> = (0..count)
        .map(|i| rng.random_range(i * length / count..(i + 1) * length / count))
        .map(|offset| (start + offset) as u32)
        .collect();
    positions.extend((tokens - last..tokens).map(|p| p as u32));
    (positions, last)
}
