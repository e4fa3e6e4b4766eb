//! One KV head of a generated trace: its topics' centres, and the keys and values of all tokens.
//!
//! Dimensions of a key: the last one carries the sink; the six before it three phases that turn with the position, slow
//! enough to make near tokens alike (what rotary embedding does in a model); the rest the content, with a decaying spectrum.
//! All lengths are chosen so that with `scale = 1 / sqrt(head_dim)` scores have the sizes that `queries.rs` asks for.

use std::ops::Range;

use rand::RngExt as _;
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

use super::GenerateParameters;
use super::text::{SINK_TOKENS, Text};

/// Tokens that each phase takes for one turn.
const WAVES: [f32; 3] = [60.0, 400.0, 3000.0];
/// Share of a key's variance that its topic explains; the rest is its own. With 0.55 the scores varied within clusters
/// twice as much as recorded ones do.
const TOPIC_SHARE: f32 = 0.75;
/// Tokens that are drawn one after the other; chunks are independent of each other.
pub(super) const CHUNK_TOKENS: usize = 1024;
/// How far the stream of one chunk begins behind that of the chunk before. Odd, so that no bits of the generator's state
/// are the same in all chunks; large, so that none reaches another.
const CHUNK_STRIDE: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// What the tokens and the queries of a head have in common.
#[derive(Debug)]
pub(super) struct Head {
    /// Standard deviation of each content element.
    pub(super) spectrum: Vec<f32>,
    /// `[topics, content]`.
    pub(super) topics: Vec<f32>,
    /// Keys of the needles, `[needles, content]`.
    pub(super) needles: Vec<f32>,
    mean: Vec<f32>,
    topic_values: Vec<f32>,
    mean_value: Vec<f32>,
}

impl Head {
    pub(super) fn new(p: &GenerateParameters, text: &Text, rng: &mut Pcg64) -> Self {
        let content = content_dim(p.head_dim);
        let mut spectrum: Vec<f32> = (0..content).map(|i| (i as f32 + 1.0).powf(-0.35)).collect();
        let power: f32 = spectrum.iter().map(|s| s * s).sum();
        let unit = (content as f32 / power).sqrt();
        for s in &mut spectrum {
            *s *= unit;
        }
        let mut topics = normals(text.topic_count * content, TOPIC_SHARE.sqrt(), rng);
        for topic in topics.chunks_exact_mut(content) {
            topic.iter_mut().zip(&spectrum).for_each(|(x, s)| *x *= s);
        }
        Self {
            topics,
            needles: needles(p, text.needles.len(), &spectrum, rng),
            spectrum,
            mean: normals(p.head_dim, 0.5, rng),
            topic_values: normals(text.topic_count * p.value_dim, 0.7, rng),
            mean_value: normals(p.value_dim, 0.15, rng),
        }
    }

    /// K and V of the tokens of `range`, which lies in one chunk, as bytes.
    pub(super) fn vectors(
        &self,
        p: &GenerateParameters,
        text: &Text,
        range: Range<usize>,
        stream: &Pcg64,
    ) -> [Vec<u8>; 2] {
        let chunk = range.start / CHUNK_TOKENS;
        let mut rng = stream.clone();
        rng.advance(CHUNK_STRIDE.wrapping_mul(chunk as u128 + 1));
        let (mut k, mut v) = (Vec::new(), Vec::new());
        for token in chunk * CHUNK_TOKENS..range.end {
            if token == range.start {
                // What came before was drawn for its randomness only.
                k.clear();
                v.clear();
            }
            let topic = text.topics[token] as usize;
            let key = k.len();
            self.key(p, token, topic, &mut rng, &mut k);
            if let Some(needle) = self.needle(text, token) {
                let places = k[key..].iter_mut().zip(needle).zip(&self.mean);
                places.for_each(|((x, needle), mean)| *x = needle + mean);
            }
            self.value(p, token, topic, &mut rng, &mut v);
        }
        [p.dtype.encode(&k), p.dtype.encode(&v)]
    }

    /// The key of the needle at this position, if one is.
    fn needle(&self, text: &Text, token: usize) -> Option<&[f32]> {
        let index = text
            .needles
            .binary_search_by_key(&(token as u32), |needle| needle.position)
            .ok()?;
        self.needles.chunks_exact(self.spectrum.len()).nth(index)
    }

    fn key(
        &self,
        p: &GenerateParameters,
        token: usize,
        topic: usize,
        rng: &mut Pcg64,
        k: &mut Vec<f32>,
    ) {
        let content = self.spectrum.len();
        let length = (p.head_dim as f32).sqrt();
        let sink = token < SINK_TOKENS;
        let centre = &self.topics[topic * content..(topic + 1) * content];
        let own = (1.0 - TOPIC_SHARE).sqrt();
        let noise = normals(content, own, rng);
        let kept = if sink { 0.2 } else { 1.0 };
        let body = centre.iter().zip(noise).zip(&self.spectrum);
        k.extend(
            body.zip(&self.mean)
                .map(|(((c, n), s), mean)| kept * (c + n * s) + mean),
        );
        let turned = phases(token)
            .into_iter()
            .chain([if sink { 1.0 } else { 0.0 }]);
        k.extend(
            turned
                .zip(&self.mean[content..])
                .map(|(x, mean)| x * length + mean),
        );
    }

    fn value(
        &self,
        p: &GenerateParameters,
        token: usize,
        topic: usize,
        rng: &mut Pcg64,
        v: &mut Vec<f32>,
    ) {
        let kept = if token < SINK_TOKENS { 0.05 } else { 1.0 };
        let centre = &self.topic_values[topic * p.value_dim..(topic + 1) * p.value_dim];
        let noise = normals(p.value_dim, 0.7, rng);
        let body = centre.iter().zip(noise).zip(&self.mean_value);
        v.extend(body.map(|((c, n), mean)| kept * (c + n + mean)));
    }
}

/// Keys of needles, all equally long, in directions where other keys vary little. They are longer than other keys where
/// that is needed to keep all of those together, along a needle's direction, well below the needle: in few dimensions
/// and among many tokens.
fn needles(p: &GenerateParameters, count: usize, spectrum: &[f32], rng: &mut Pcg64) -> Vec<f32> {
    let largest_of_all = (2.0 * (p.tokens as f32).ln()).sqrt();
    let length = (2.5 * largest_of_all).max(1.5 * (spectrum.len() as f32).sqrt());
    let mut needles = normals(count * spectrum.len(), 1.0, rng);
    for needle in needles.chunks_exact_mut(spectrum.len()) {
        for (x, spread) in needle.iter_mut().zip(spectrum) {
            *x /= spread;
        }
        let factor = length / needle.iter().map(|x| x * x).sum::<f32>().sqrt();
        for x in needle {
            *x *= factor;
        }
    }
    needles
}

/// Elements of a key that carry content.
pub(super) fn content_dim(head_dim: usize) -> usize {
    head_dim - 2 * WAVES.len() - 1
}

/// Cosine and sine of each wave at a position. The product of two positions' phases is largest when they are near.
pub(super) fn phases(position: usize) -> [f32; 6] {
    let mut phases = [0.0; 6];
    for (pair, wave) in phases.chunks_exact_mut(2).zip(WAVES) {
        let turn = (position as f32 / wave).fract() * std::f32::consts::TAU;
        pair.copy_from_slice(&[turn.cos(), turn.sin()]);
    }
    phases
}

/// Independent normal numbers.
pub(super) fn normals(count: usize, deviation: f32, rng: &mut Pcg64) -> Vec<f32> {
    (0..count)
        .map(|_| deviation * rng.sample::<f32, _>(StandardNormal))
        .collect()
}
