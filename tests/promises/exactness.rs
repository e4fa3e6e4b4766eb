//! `exact` mode is attention: equal to f64 whatever the geometry, dtype, length, window and number of query tokens.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;
use wavekv_client::{Client, wire};
use wavekv_trace::{Dtype, compare};

use crate::harness::sequence::{collection, floats, layer};
use crate::harness::{Daemon, Sequence, Shape};

/// Segments small enough that a few hundred tokens cross every threshold: sink, window, decode segments, full ones.
const INDEX: wire::IndexParameters = wire::IndexParameters {
    sink_tokens: Some(3),
    recent_tokens: Some(20),
    segment_tokens: Some(128),
    decode_segment_tokens: Some(32),
    cluster_tokens: Some(8),
    kmeans_iterations: None,
    seed: None,
};
/// f32 accumulation over values of size 1, whatever K and V are stored as: the oracle reads the same stored bytes.
const TOLERANCE: f64 = 2e-5;

#[derive(Clone, Copy, Debug)]
struct Case {
    shape: Shape,
    tokens: usize,
    queries: usize,
    seed: u64,
    cluster: bool,
}

prop_compose! {
    fn shapes()(
        kv_heads in 1usize..=4,
        group in prop_oneof![Just(1usize), Just(2), Just(4), Just(7), Just(32)],
        (head_dim, value_dim) in prop_oneof![
            Just((16usize, 16usize)), Just((64, 64)), Just((128, 128)), Just((17, 31)), Just((96, 64)), Just((576, 512)),
        ],
        dtype in prop_oneof![Just(Dtype::Bf16), Just(Dtype::F16), Just(Dtype::F32)],
        window in prop_oneof![Just(0u32), 1u32..64, 64u32..400],
    ) -> Shape {
        Shape { kv_heads, group, head_dim, value_dim, dtype, window }
    }
}

prop_compose! {
    fn cases()(
        shape in shapes(),
        tokens in prop_oneof![0usize..=2, 2usize..60, 60usize..500],
        queries in 1usize..6,
        seed in any::<u64>(),
        cluster in any::<bool>(),
    ) -> Case {
        Case { shape, tokens, queries, seed, cluster }
    }
}

#[test]
fn exact_mode_equals_f64() {
    let daemon = Daemon::start();
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(daemon.client());
    let mut runner = TestRunner::new(Config::with_cases(96));
    runner
        .run(&cases(), |case| runtime.block_on(check(&client, case)))
        .unwrap();
}

async fn check(client: &Client, case: Case) -> Result<(), TestCaseError> {
    let sequence = Sequence::random(case.shape, case.tokens, case.seed);
    let create = wire::CreateRequest {
        collection: Some(collection("c")),
        geometry: Some(case.shape.geometry(1)),
        index: Some(INDEX),
    };
    client.create(create).await.unwrap();
    if case.tokens > 0 {
        let entry = wire::InsertEntry {
            layer: Some(layer("c", 0)),
            ..sequence.entry(0..case.tokens)
        };
        client.insert_one(entry).await.unwrap();
    }
    if case.cluster {
        client.segment_cluster_one(layer("c", 0)).await.unwrap();
    }
    let positions = spread(case);
    let entry = wire::AttendEntry {
        layer: Some(layer("c", 0)),
        q: Some(sequence.queries(&positions)),
        positions: positions.clone(),
        mode: Some(exact()),
        insert: None,
    };
    let checked = if case.tokens == 0 {
        of_nothing(client, case).await
    } else {
        equal(
            &sequence,
            &positions,
            &client.attend_one(entry).await.unwrap(),
        )
    };
    client.delete(collection("c")).await.unwrap();
    checked
}

/// Positions of the queries: the last one, and others over the whole sequence.
fn spread(case: Case) -> Vec<u32> {
    let queries = case.queries.min(case.tokens);
    (1..=queries)
        .map(|i| (i * case.tokens / queries - 1) as u32)
        .collect()
}

fn exact() -> wire::AttendMode {
    wire::AttendMode {
        mode: Some(wire::attend_mode::Mode::Exact(wire::ExactMode {})),
    }
}

fn equal(
    sequence: &Sequence,
    positions: &[u32],
    answer: &wire::AttendOutcome,
) -> Result<(), TestCaseError> {
    let expected = sequence.exact(positions);
    let out = floats(answer.out.as_ref());
    prop_assert_eq!(out.len(), expected.out.len());
    let errors = compare::relative_errors(&out, &expected.out, sequence.shape.value_dim);
    let worst = errors.iter().copied().fold(0.0, f64::max);
    prop_assert!(worst < TOLERANCE, "relative error {worst}");
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
async fn of_nothing(client: &Client, case: Case) -> Result<(), TestCaseError> {
    let any = Sequence::random(case.shape, 1, case.seed);
    let entry = wire::AttendEntry {
        layer: Some(layer("c", 0)),
        q: Some(any.queries(&[0])),
        mode: Some(exact()),
        ..Default::default()
    };
    let answer = client.attend_one(entry).await.unwrap();
    prop_assert!(floats(answer.out.as_ref()).iter().all(|x| *x == 0.0));
    prop_assert!(
        floats(answer.lse.as_ref())
            .iter()
            .all(|lse| *lse == f32::NEG_INFINITY)
    );
    Ok(())
}
