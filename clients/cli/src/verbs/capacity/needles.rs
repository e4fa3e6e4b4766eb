//! Planted tokens: each answers one query, so that whoever asks must be told its value.

use wavekv_client::{Client, Mode, wire};
use wavekv_trace::Dtype;
use wavekv_trace::generate::Generator;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::formats::capacity::Needles;
use crate::upload;

/// An answer whose distance from the planted value is less than this part of that value's length has found it: it outweighs
/// all other tokens together.
const NEAR: f64 = 0.5;

/// Asks for every needle among the first `tokens` tokens of the first layer.
///
/// # Errors
/// When the daemon refuses.
pub(super) async fn ask(
    client: &Client,
    generator: &Generator,
    collection: &wire::CollectionRef,
    tokens: usize,
    mode: Mode,
) -> Result<Needles, Failure> {
    let geometry = generator.geometry();
    let group = geometry.group();
    let layer = generator.layer(0);
    let row_bytes = geometry.q_heads * geometry.head_dim * Dtype::F16.size();
    let mut needles = Needles::default();
    for planted in generator.planted() {
        let position = planted.position as usize;
        if position >= tokens {
            continue;
        }
        let q = &layer.q()[planted.query * row_bytes..][..row_bytes];
        let question = upload::question(
            upload::layer(collection, 0),
            &Dtype::F16.decode(q),
            [geometry.q_heads, geometry.head_dim],
            generator.q_positions()[planted.query].min(tokens as u32 - 1),
            mode,
        );
        let outcome = client.attend_one(question).await?;
        let answer = Answer::read(&outcome, geometry.q_heads, geometry.value_dim)?;
        let [_, values] = layer.range(position..position + 1);
        let values = geometry.dtype.decode(&values.tokens_major(0..1));
        let found = (0..geometry.q_heads)
            .filter(|head| Generator::looks_up(head % group))
            .all(|head| {
                let out = &answer.out[head * geometry.value_dim..][..geometry.value_dim];
                let value = &values[head / group * geometry.value_dim..][..geometry.value_dim];
                is_near(out, value)
            });
        needles.asked += 1;
        needles.found += usize::from(found);
    }
    Ok(needles)
}

fn is_near(out: &[f32], value: &[f32]) -> bool {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let distance: f64 = out.iter().zip(value).map(|(o, v)| square(o - v)).sum();
    let length: f64 = value.iter().map(|v| square(*v)).sum();
    distance < NEAR * NEAR * length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_nearer_than_half_the_length() {
        let value = [3.0, 4.0];
        assert!(is_near(&[3.0, 4.0], &value) && is_near(&[3.0, 6.4], &value));
        assert!(!is_near(&[3.0, 6.6], &value) && !is_near(&[0.0, 0.0], &value));
        assert!(!is_near(&[f32::NAN, 4.0], &value));
    }
}
