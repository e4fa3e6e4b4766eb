//! Collections may be larger than memory: they answer the same, the daemon keeps its budget, and what somebody wants in
//! memory is there or refused.

use wavekv_client::Code::{InvalidArgument, NotFound, ResourceExhausted};
use wavekv_client::wire;

use crate::bad_input::assert_refused;
use crate::harness::daemon::used_bytes;
use crate::harness::{Collection, Daemon, Sequence, Shape, mode};

const MIB: u64 = 1 << 20;
const BUDGET: u64 = 48 * MIB;
/// What the allocator and the catalog's tables of two daemons may differ by.
const SLACK: u64 = 8 * MIB;
/// A KiB a token: four times the budget.
const TOKENS: usize = 192 << 10;
/// Half of it is for what a daemon has beside what it counts.
const SMALL: &str = "memory.budget=24MiB";
/// Of one insert, and of a segment.
const PIECE: usize = 4096;
/// What there is of different tokens; they come again and again.
const DIFFERENT: usize = 8192;

const SHAPE: Shape = Shape {
    kv_heads: 2,
    group: 2,
    head_dim: 64,
    value_dim: 64,
    dtype: wavekv_trace::Dtype::F32,
    window: 0,
};

const INDEX: wire::IndexParameters = wire::IndexParameters {
    kind: 0,
    sink_tokens: Some(4),
    recent_tokens: Some(64),
    segment_tokens: Some(PIECE as u32),
    decode_segment_tokens: Some(512),
    cluster_tokens: Some(16),
    kmeans_iterations: Some(2),
    seed: None,
};

/// A collection of so many tokens, each in a segment as soon as there is one for it.
async fn filled(daemon: &Daemon, sequence: &Sequence, tokens: usize) -> Collection {
    let collection = Collection::unmade(&daemon.client().await);
    collection.make(SHAPE, INDEX).await;
    for start in (0..tokens).step_by(PIECE) {
        let from = start % DIFFERENT;
        let entry = wire::InsertEntry {
            start_position: start as u32,
            ..collection.entry(sequence, from..from + PIECE)
        };
        collection.client.insert_one(entry).await.unwrap();
        collection.settle().await;
    }
    collection
}

/// Reads all of its K and V.
async fn scan(collection: &Collection, sequence: &Sequence, tokens: u32) {
    let question = wire::AttendEntry {
        positions: vec![tokens - 1],
        ..collection.question(sequence, &[1], mode::exact())
    };
    collection.client.attend_one(question).await.unwrap();
}

/// What it answers to queries at some positions in every mode, to the bit, and what its K and V are in some places.
async fn answers(
    collection: &Collection,
    sequence: &Sequence,
) -> Vec<(wire::AttendOutcome, wire::FetchOutcome)> {
    let modes = [
        mode::adaptive(0.05),
        mode::budget(0.05),
        mode::exact(),
        mode::retroinfer(),
    ];
    let mut answers = vec![];
    for (mode, number) in modes.into_iter().zip(1..) {
        let position = TOKENS as u32 - number * 777;
        let question = wire::AttendEntry {
            positions: vec![position],
            ..collection.question(sequence, &[number], mode)
        };
        let answer = collection.client.attend_one(question).await.unwrap();
        let first = number * 9000;
        answers.push((answer, collection.fetch(first..first + 300).await.unwrap()));
    }
    answers
}

#[tokio::test]
async fn four_times_the_memory_answers_as_from_memory_and_keeps_the_budget() {
    let sequence = Sequence::random(SHAPE, DIFFERENT, 3);
    let mut small = Daemon::with(&["memory.budget=48MiB"]);
    let large = Daemon::with(&["memory.budget=1GiB"]);
    let (mut cold, warm) = tokio::join!(
        filled(&small, &sequence, TOKENS),
        filled(&large, &sequence, TOKENS)
    );
    let expected = answers(&warm, &sequence).await;
    assert_eq!(warm.residence().await.evictions, 0);
    for restarts in 0..2 {
        for (given, expected) in answers(&cold, &sequence).await.iter().zip(&expected) {
            let (mut answer, fetched) = given.clone();
            answer.generation = expected.0.generation;
            assert_eq!(answer, expected.0, "after {restarts} restarts");
            assert_eq!(
                (fetched.k, fetched.v),
                (expected.1.k.clone(), expected.1.v.clone())
            );
        }
        let found = cold.residence().await;
        assert!(found.misses > 0 && found.evictions > 0, "{found:?}");
        assert!(used_bytes(&cold.client).await <= BUDGET);
        // Beside what they count, both have the same: code, stacks, the catalog's tables, messages.
        let uncounted = large.resident_bytes() - used_bytes(&warm.client).await;
        let counted = small.resident_bytes().saturating_sub(uncounted);
        assert!(
            counted <= BUDGET + BUDGET / 10 + SLACK,
            "{counted} bytes of memory"
        );
        small.restart();
        cold.client = small.client().await;
    }
}

#[tokio::test]
async fn what_is_pinned_is_in_memory_and_stays() {
    let sequence = Sequence::random(SHAPE, DIFFERENT, 4);
    let daemon = Daemon::with(&[SMALL]);
    let [pinned, other] = [
        filled(&daemon, &sequence, 8192).await,
        filled(&daemon, &sequence, 24_576).await,
    ];
    let client = &pinned.client;
    let place = async |collection: &Collection, placement| {
        client.place(collection.name.clone(), placement).await
    };
    let placed = place(&pinned, wire::Placement::Pinned).await.unwrap();
    let whole = placed.residence.unwrap();
    // K and V of what is in segments, at least.
    assert!(whole.pinned && whole.resident_bytes > 4 * MIB, "{whole:?}");
    scan(&other, &sequence, 24_576).await;
    let now = pinned.residence().await;
    assert_eq!(
        (now.resident_bytes, now.misses),
        (whole.resident_bytes, whole.misses)
    );
    // There is no room for all of the other beside it.
    let refused = place(&other, wire::Placement::Pinned).await;
    assert_refused(refused, ResourceExhausted, "memory.budget");
    assert!(!other.residence().await.pinned);
    place(&pinned, wire::Placement::Demoted).await.unwrap();
    let left = pinned.residence().await;
    assert!(!left.pinned && left.resident_bytes < MIB, "{left:?}");
    place(&other, wire::Placement::Demoted).await.unwrap();
    place(&pinned, wire::Placement::Promoted).await.unwrap();
    assert_eq!(
        pinned.residence().await.resident_bytes,
        whole.resident_bytes
    );
    place(&pinned, wire::Placement::Unpinned).await.unwrap();
    scan(&other, &sequence, 24_576).await;
    assert!(pinned.residence().await.evictions > 0);
}

#[tokio::test]
async fn clusters_say_whether_they_are_in_memory() {
    let sequence = Sequence::random(SHAPE, DIFFERENT, 5);
    let daemon = Daemon::with(&[SMALL]);
    let collection = filled(&daemon, &sequence, 8192).await;
    let client = &collection.client;
    for (placement, tier) in [
        (wire::Placement::Demoted, wire::Tier::Disk),
        (wire::Placement::Promoted, wire::Tier::Ram),
    ] {
        let name = collection.name.clone();
        client.place(name, placement).await.unwrap();
        let entry = wire::TopClustersEntry {
            layer: Some(collection.layer()),
            q: Some(sequence.queries(&[9])),
            position: Some(8000),
            limit: 20,
            ..Default::default()
        };
        let ranked = client.top_clusters_one(entry).await.unwrap();
        let clusters: Vec<_> = ranked
            .heads
            .iter()
            .flat_map(|head| &head.clusters)
            .collect();
        assert!(!clusters.is_empty());
        // A page on the border of two columns may be in memory with the one that stays.
        let same = clusters.iter().filter(|cluster| cluster.tier() == tier);
        assert!(same.count() + 2 >= clusters.len());
    }
}

#[tokio::test]
async fn a_placement_that_is_none_is_refused() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let collection = Collection::create(&client, Shape::default()).await;
    let unspecified = client.place(collection.name.clone(), wire::Placement::Unspecified);
    assert_refused(unspecified.await, InvalidArgument, "placement");
    let absent = Collection::unmade(&client).name;
    let placed = client.place(absent, wire::Placement::Pinned).await;
    assert_refused(placed, NotFound, "collection");
    // Of durability `none` all is in memory whatever is wanted; so is what is not in a segment.
    client
        .place(collection.name.clone(), wire::Placement::Demoted)
        .await
        .unwrap();
}
