//! `exact` mode is attention: equal to f64 whatever the geometry, dtype, kind of index, length, window and number of query
//! tokens.

use proptest::prelude::*;
use wavekv_client::{Client, wire};
use wavekv_trace::Dtype;

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
