//! `exact` mode is attention: equal to f64 whatever the geometry, dtype, kind of index, length, window and number of query
//! tokens.

use proptest::prelude::*;
use wavekv_client::{Client, wire};
use wavekv_trace::Dtype;

use crate::harness::collection::SMALL_INDEX;
use crate::harness::property::{self, kinds, lengths, shapes};
use crate::harness::sequence::floats;
use crate::harness::{Collection, Daemon, EXACT, Partial, Sequence, Shape, mode};

#[derive(Clone, Copy, Debug)]
struct Case {
    shape: Shape,
    kind: wire::IndexKind,
    tokens: usize,
    queries: usize,
    seed: u64,
    cluster: bool,
}

prop_compose! {
    fn cases()(
        shape in shapes(),
        kind in kinds(),
        tokens in lengths(),
        queries in 1usize..6,
        seed in any::<u64>(),
        cluster in any::<bool>(),
    ) -> Case {
        Case { shape, kind, tokens, queries, seed, cluster }
    }
}

#[test]
fn exact_mode_equals_f64() {
    property::holds(96, &cases(), &check);
}

async fn check(client: &Client, case: Case) -> Result<(), TestCaseError> {
    let sequence = Sequence::random(case.shape, case.tokens, case.seed);
    let collection = Collection::create_as(client, case.shape, case.kind).await;
    collection.insert(&sequence, 0..case.tokens).await;
    if case.cluster {
        collection.cluster().await;
    }
    if case.tokens == 0 {
        of_nothing(&collection, case).await?;
    } else {
        let positions = spread(case);
        let answer = collection
            .attend(&sequence, &positions, mode::exact())
            .await;
        equal(&sequence, &positions, &answer)?;
    }
    collection.delete().await;
    Ok(())
}

#[tokio::test]
async fn exact_mode_equals_f64_over_many_tokens() {
    let shape = Shape {
        kv_heads: 1,
        group: 2,
        head_dim: 16,
        value_dim: 16,
        dtype: Dtype::Bf16,
        window: 0,
    };
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let mut sequence = Sequence::random(shape, 300_000, 3);
    // All tokens weigh alike, so the answer is the mean of values that nearly cancel: what rounds shows.
    sequence.q.fill(0.0);
    let collection = Collection::create_as(&client, shape, wire::IndexKind::Flat).await;
    for start in (0..sequence.tokens).step_by(50_000) {
        collection.insert(&sequence, start..start + 50_000).await;
    }
    collection.cluster().await;
    let positions = [sequence.tokens as u32 - 1];
    let answer = collection
        .attend(&sequence, &positions, mode::exact())
        .await;
    let worst = sequence
        .errors(&positions, &answer)
        .into_iter()
        .fold(0.0, f64::max);
    // 1.4e-6 where all tokens are summed in one go.
    assert!(worst < 5e-7, "{worst}");
}

/// Every score of a head is its logarithm of a weight: `softcap tanh(scale q.k / softcap)`.
#[tokio::test]
async fn capped_scores_are_capped_in_every_mode_and_no_index_is_made_of_them() {
    const CAP: f64 = 3.0;
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), 400, 5);
    let collection = Collection::unmade(&client);
    let request = collection.request(sequence.shape, SMALL_INDEX);
    let mut geometry = request.geometry.clone().unwrap();
    geometry.softcap = CAP as f32;
    let asked = |kind: wire::IndexKind| wire::CreateRequest {
        geometry: Some(geometry.clone()),
        index: Some(wire::IndexParameters {
            kind: kind.into(),
            ..SMALL_INDEX
        }),
        ..request.clone()
    };
    let refused = client
        .create(asked(wire::IndexKind::Wave))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("geometry.softcap"),
        "{refused}"
    );
    let made = client
        .create(asked(wire::IndexKind::Unspecified))
        .await
        .unwrap();
    assert_eq!(made.index.unwrap().kind(), wire::IndexKind::Flat);
    assert_eq!(made.geometry.unwrap(), geometry);

    collection.insert(&sequence, 0..400).await;
    collection.cluster().await;
    let expected = capped(&sequence, 399, CAP);
    for mode in [mode::exact(), mode::adaptive(0.1)] {
        let answer = collection.attend(&sequence, &[399], mode).await;
        let out = floats(answer.out.as_ref());
        assert_eq!(out.len(), expected.len());
        for (found, expected) in out.iter().zip(&expected) {
            assert!(
                (f64::from(*found) - expected).abs() < EXACT,
                "{found} {expected}"
            );
        }
    }
    collection.delete().await;
}

/// Attention from a position in f64, `[q_heads, value_dim]`, with scores `cap tanh(scale q.k / cap)`.
fn capped(sequence: &Sequence, position: usize, cap: f64) -> Vec<f64> {
    let shape = sequence.shape;
    let [k, v] = [&sequence.k, &sequence.v].map(|bytes| Dtype::F32.decode(bytes));
    let of_heads = (0..shape.q_heads()).map(|head| {
        let q = &sequence.q[(position * shape.q_heads() + head) * shape.head_dim..];
        let row = |rows: &'_ [f32], dim: usize, token: usize| {
            rows[(token * shape.kv_heads + head / shape.group) * dim..][..dim].to_vec()
        };
        let weight = |token: usize| {
            let pairs = q.iter().zip(row(&k, shape.head_dim, token));
            let dot: f64 = pairs.map(|(q, k)| f64::from(*q) * f64::from(k)).sum();
            (cap * (f64::from(shape.scale()) * dot / cap).tanh()).exp()
        };
        let weights: Vec<f64> = (0..=position).map(weight).collect();
        let mass: f64 = weights.iter().sum();
        let mut out = vec![0.0; shape.value_dim];
        for (token, weight) in weights.iter().enumerate() {
            for (out, v) in out.iter_mut().zip(row(&v, shape.value_dim, token)) {
                *out += weight / mass * f64::from(v);
            }
        }
        out
    });
    of_heads.flatten().collect()
}

/// Positions of the queries: the last one, and others over the whole sequence.
fn spread(case: Case) -> Vec<u32> {
    let queries = case.queries.min(case.tokens);
    (1..=queries)
        .map(|i| (i * case.tokens / queries - 1) as u32)
        .collect()
}

fn equal(
    sequence: &Sequence,
    positions: &[u32],
    answer: &wire::AttendOutcome,
) -> Result<(), TestCaseError> {
    let errors = sequence.errors(positions, answer);
    let worst = errors.into_iter().fold(0.0, f64::max);
    prop_assert!(worst < EXACT, "relative error {worst}");
    let expected = sequence.exact(positions);
    for (lse, expected) in floats(answer.lse.as_ref()).iter().zip(&expected.lse) {
        prop_assert!(
            (f64::from(*lse) - expected).abs() < 1e-4,
            "{lse} for {expected}"
        );
    }
    let report = answer.report.as_ref().unwrap();
    let rows = expected.lse.len();
    prop_assert_eq!(&report.exact_mass, &vec![1.0; rows]);
    prop_assert_eq!(&report.error_estimate, &vec![0.0; rows]);
    Ok(())
}

/// An empty layer answers with no mass: zeros, and minus infinity for the lse.
async fn of_nothing(collection: &Collection, case: Case) -> Result<(), TestCaseError> {
    let any = Sequence::random(case.shape, 1, case.seed);
    let entry = wire::AttendEntry {
        positions: vec![],
        ..collection.question(&any, &[0], mode::exact())
    };
    let answer = collection.client.attend_one(entry).await.unwrap();
    let found = Partial::of_answer(answer.out.as_ref(), answer.lse.as_ref());
    let shape = case.shape;
    prop_assert_eq!(found, Partial::of_nothing(shape.q_heads(), shape.value_dim));
    Ok(())
}
