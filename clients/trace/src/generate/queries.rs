//! The queries of one KV head of a generated trace, made so that their scores have the sizes that were measured.
//!
//! A key's sink and phases have length `sqrt(head_dim)`: with `scale = 1 / sqrt(head_dim)` the query's element there is
//! the score itself.

use rand::RngExt as _;
use rand_pcg::Pcg64;

use super::head::{Head, normals, phases};
use super::text::{SINK_TOKENS, Text};
use super::{GenerateParameters, Generator};

/// Tokens so near to a query that its phases give them about the full score.
const NEAR_TOKENS: f32 = 10.0;

/// How one query head attends.
struct Habit {
    /// Standard deviation of the scores over all keys.
    sharpness: f32,
    /// Score of a sink token.
    sink: f32,
    /// Score of each phase at distance 0.
    local: f32,
}

impl Habit {
    /// Sharpness differs evenly over the heads of a group; a third of the heads have no sink.
    fn new(p: &GenerateParameters, head: usize, rng: &mut Pcg64) -> Self {
        let place = (head as f32 + rng.random_range(0.0..1.0)) / p.group as f32;
        let sharpness = 1.2 + 2.8 * place;
        let share: f32 = if rng.random_bool(1.0 / 3.0) {
            0.01
        } else {
            rng.random_range(0.1..0.6)
        };
        let local: f32 = rng.random_range(0.3..4.0);
        // ln of the mass of N normal scores is ln N + s^2/2 for small s, and grows like s * sqrt(2 ln N) for large s.
        let tokens = (p.tokens as f32).ln();
        let limit = (2.0 * tokens).sqrt();
        let far = if sharpness < limit {
            tokens + sharpness * sharpness / 2.0
        } else {
            sharpness * limit
        };
        // The topics that a query is drawn to add to it; tokens nearby may outweigh both.
        let near = 3.0 * local + NEAR_TOKENS.ln() + sharpness / 2.0;
        let rest = (far + 1.0).max(near);
        let sink = rest + (share / (1.0 - share)).ln() - (SINK_TOKENS as f32).ln();
        Self {
            sharpness,
            sink,
            local,
        }
    }
}

/// The queries, `[queries, group, head_dim]`.
pub(super) fn queries(
    head: &Head,
    p: &GenerateParameters,
    text: &Text,
    rng: &mut Pcg64,
) -> Vec<f32> {
    let habits: Vec<Habit> = (0..p.group).map(|g| Habit::new(p, g, rng)).collect();
    let mut q = Vec::with_capacity(text.positions.len() * p.group * p.head_dim);
    for (row, &position) in text.positions.iter().enumerate() {
        let needle = text.needles.iter().position(|needle| needle.query == row);
        for (g, habit) in habits.iter().enumerate() {
            let looked_for = needle.filter(|_| Generator::looks_up(g));
            let key = looked_for.map(|index| {
                let content = head.spectrum.len();
                &head.needles[index * content..(index + 1) * content]
            });
            // A head that looks something up attends to little else.
            let others = if key.is_some() { 0.25 } else { 1.0 };
            let mut content = wandering(
                head,
                text,
                position as usize,
                habit.sharpness * others,
                p,
                rng,
            );
            if let Some(key) = key {
                look_up(&mut content, key, p);
            }
            q.extend(content);
            q.extend(phases(position as usize).map(|phase| phase * habit.local * others));
            q.push(habit.sink * others);
        }
    }
    q
}

/// A query drawn to the topic at its position, to another one, and to nothing in particular, scaled so that the scores
/// of all keys have the standard deviation `sharpness`.
fn wandering(
    head: &Head,
    text: &Text,
    position: usize,
    sharpness: f32,
    p: &GenerateParameters,
    rng: &mut Pcg64,
) -> Vec<f32> {
    let content = head.spectrum.len();
    let topic = |token: usize| {
        let topic = text.topics[token] as usize;
        &head.topics[topic * content..(topic + 1) * content]
    };
    let (here, there) = (topic(position), topic(rng.random_range(0..=position)));
    let mut q: Vec<f32> = normals(content, 1.0, rng);
    for (((x, spread), here), there) in q.iter_mut().zip(&head.spectrum).zip(here).zip(there) {
        *x = *x * spread + 0.4 * here + 0.6 * there;
    }
    let deviation: f32 = q
        .iter()
        .zip(&head.spectrum)
        .map(|(x, spread)| (x * spread).powi(2))
        .sum::<f32>()
        .sqrt();
    let factor = sharpness / (deviation * super::scale(p.head_dim));
    for x in &mut q {
        *x *= factor;
    }
    q
}

/// Adds what gives the needle's key a score that outweighs all tokens together.
fn look_up(content: &mut [f32], key: &[f32], p: &GenerateParameters) {
    let score = 1.5 * (p.tokens as f32).ln() + 5.0;
    let square: f32 = key.iter().map(|x| x * x).sum();
    let already: f32 = content.iter().zip(key).map(|(q, k)| q * k).sum();
    let factor = score / (square * super::scale(p.head_dim)) - already / square;
    content
        .iter_mut()
        .zip(key)
        .for_each(|(q, k)| *q += factor * k);
}
