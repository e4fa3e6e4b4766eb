//! A collection is what was stored in it, not how: inserting in any pieces, or truncating and inserting again, ends in
//! the same bytes, the same clusters and bit-identical answers in every mode.

use proptest::prelude::*;
use wavekv_client::{Client, wire};

use crate::harness::property::{self, kinds, lengths, small_shapes};
use crate::harness::{Collection, Sequence, Shape, mode};

const ALL_CLUSTERS: u32 = 4096;

/// What is done on the way.
#[derive(Clone, Copy, Debug)]
enum Step {
    Insert {
        tokens: usize,
    },
    /// Drops a share of what is stored.
    Truncate {
        share: f64,
    },
    Cluster,
    Settle,
}

#[derive(Clone, Debug)]
struct Case {
    shape: Shape,
    kind: wire::IndexKind,
    tokens: usize,
    steps: Vec<Step>,
    /// Cluster the tail at the end.
    forced: bool,
    seed: u64,
}

fn insert() -> impl Strategy<Value = Step> {
    prop_oneof![1usize..4, 1usize..200].prop_map(|tokens| Step::Insert { tokens })
}

fn truncate() -> impl Strategy<Value = Step> {
    prop_oneof![0.0..1.0f64, 0.0..0.1f64].prop_map(|share| Step::Truncate { share })
}

fn cases(step: impl Strategy<Value = Step>) -> impl Strategy<Value = Case> {
    let steps = prop::collection::vec(step, 0..12);
    (
        small_shapes(),
        kinds(),
        lengths(),
        steps,
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(shape, kind, tokens, steps, forced, seed)| Case {
            shape,
            kind,
            tokens,
            steps,
            forced,
            seed,
        })
}

#[test]
fn inserting_in_any_pieces_ends_in_the_same_collection() {
    let steps = prop_oneof![4 => insert(), 1 => Just(Step::Settle)];
    property::holds(32, &cases(steps), &same);
}

#[test]
fn truncating_and_inserting_again_ends_in_the_same_collection() {
    let steps = prop_oneof![3 => insert(), 3 => truncate(), 1 => Just(Step::Settle)];
    property::holds(48, &cases(steps), &same);
}

/// A tail that was clustered on the way is clustered anew with what came after it.
#[test]
fn clustering_on_the_way_ends_in_the_same_collection() {
    let steps = prop_oneof![3 => insert(), 1 => truncate(), 2 => Just(Step::Cluster)];
    let cases = cases(steps).prop_map(|case| Case {
        forced: true,
        ..case
    });
    property::holds(32, &cases, &same);
}

async fn same(client: &Client, case: Case) -> Result<(), TestCaseError> {
    let sequence = Sequence::random(case.shape, case.tokens, case.seed);
    let at_once = Collection::create_as(client, case.shape, case.kind).await;
    at_once.insert(&sequence, 0..case.tokens).await;
    let by_steps = Collection::create_as(client, case.shape, case.kind).await;
    follow(&by_steps, &sequence, &case.steps).await;
    for collection in [&at_once, &by_steps] {
        collection.settle().await;
        if case.forced {
            collection.cluster().await;
        }
    }
    if case.tokens > 0 {
        let expected = Seen::of(&at_once, &sequence, case.kind).await;
        let found = Seen::of(&by_steps, &sequence, case.kind).await;
        prop_assert_eq!(found.layout, expected.layout);
        prop_assert!(found.fetched == expected.fetched, "other bytes");
        prop_assert!(found.ranked == expected.ranked, "other clusters");
        for (found, expected) in found.attended.iter().zip(&expected.attended) {
            prop_assert_eq!(&found.report, &expected.report);
            prop_assert!(found == expected, "other answers");
        }
    }
    at_once.delete().await;
    by_steps.delete().await;
    Ok(())
}

/// Takes the steps, then inserts what is missing.
async fn follow(collection: &Collection, sequence: &Sequence, steps: &[Step]) {
    let mut stored = 0;
    for step in steps {
        match *step {
            Step::Insert { tokens } => {
                let end = sequence.tokens.min(stored + tokens);
                collection.insert(sequence, stored..end).await;
                stored = end;
            }
            Step::Truncate { share } => {
                stored -= (share * stored as f64) as usize;
                let truncated = collection
                    .client
                    .truncate(collection.name.clone(), stored as u32);
                assert_eq!(truncated.await.unwrap().layer_lengths, [stored as u32]);
            }
            Step::Cluster => drop(collection.cluster().await),
            Step::Settle => collection.settle().await,
        }
    }
    collection.insert(sequence, stored..sequence.tokens).await;
}

/// All that the API shows of a collection, but for the names of collections and segments.
#[derive(PartialEq)]
struct Seen {
    layout: wire::IndexStats,
    fetched: wire::FetchOutcome,
    ranked: Vec<wire::TopClustersOutcome>,
    attended: Vec<wire::AttendOutcome>,
}

impl Seen {
    async fn of(collection: &Collection, sequence: &Sequence, kind: wire::IndexKind) -> Self {
        let length = sequence.tokens as u32;
        let stats = collection.client.stats(Some(collection.name.clone()));
        let mut seen = Self {
            layout: stats.await.unwrap().index.unwrap(),
            fetched: wire::FetchOutcome {
                generation: 0,
                ..collection.fetch(0..length).await.unwrap()
            },
            ranked: vec![],
            attended: vec![],
        };
        for position in [length / 2, length - 1] {
            if kind == wire::IndexKind::Wave {
                let ranked = ranked(collection, sequence, position).await;
                seen.ranked.push(ranked);
            }
            for mode in [
                mode::exact(),
                mode::budget(0.1),
                mode::adaptive(0.05),
                mode::retroinfer(),
            ] {
                let answer = collection.attend(sequence, &[position], mode).await;
                seen.attended.push(wire::AttendOutcome {
                    generation: 0,
                    ..answer
                });
            }
        }
        seen
    }
}

async fn ranked(
    collection: &Collection,
    sequence: &Sequence,
    position: u32,
) -> wire::TopClustersOutcome {
    let entry = wire::TopClustersEntry {
        layer: Some(collection.layer()),
        q: Some(sequence.queries(&[position])),
        position: Some(position),
        limit: ALL_CLUSTERS,
        with_payload: true,
    };
    let mut ranking = collection.client.top_clusters_one(entry).await.unwrap();
    ranking.generation = 0;
    let clusters = ranking.heads.iter_mut().flat_map(|head| &mut head.clusters);
    for cluster in clusters.filter_map(|ranked| ranked.cluster.as_mut()) {
        cluster.segment = 0;
    }
    ranking
}
