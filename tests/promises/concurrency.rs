//! Nothing is ever wrong while everything happens at once: inserts, clustering, queries, truncations and deletions.
//!
//! The tokens of a sequence are the same whenever they are stored, so whatever state a reader meets, an answer for a
//! position has one right value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use tokio::task::JoinSet;
use wavekv_client::{ClientError, Code, wire};
use wavekv_trace::compare;

use crate::harness::collection::SMALL_INDEX;
use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

const COLLECTIONS: u64 = 6;
const READERS: u64 = 2;
const STEPS: usize = 60;
const TOKENS: usize = 500;
const ADAPTIVE_TARGET: f32 = 0.05;

/// A sequence that one writer and some readers work on.
struct Shared {
    collection: Collection,
    sequence: Sequence,
    written: AtomicBool,
    /// Answers that were right.
    checked: AtomicU64,
}

impl Shared {
    /// Asserts that an answer is the right one for its position, within `tolerance`.
    fn check(&self, position: u32, answer: &wire::AttendOutcome, tolerance: f64) {
        let errors = self.sequence.errors(&[position], answer);
        assert!(
            errors.iter().all(|error| *error < tolerance),
            "at {position}: {errors:?}, {:?}",
            answer.report
        );
        self.checked.fetch_add(1, Ordering::Relaxed);
    }

    /// Asserts that clusters hold what is stored at their positions.
    fn check_clusters(&self, ranking: &wire::TopClustersOutcome) {
        let shape = self.sequence.shape;
        let key_bytes = shape.head_dim * shape.dtype.size();
        for head in &ranking.heads {
            for cluster in &head.clusters {
                let payload = cluster.payload.as_ref().unwrap();
                let keys = payload.k.as_ref().unwrap().data.chunks_exact(key_bytes);
                for (position, key) in payload.positions.iter().zip(keys) {
                    let row = *position as usize * shape.kv_heads + head.kv_head as usize;
                    assert!(key == &self.sequence.k[row * key_bytes..][..key_bytes]);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_while_everything_happens_at_once() {
    let daemon = Daemon::with(&["compute.background_threads=2"]);
    let mut tasks = JoinSet::new();
    let mut all = vec![];
    for seed in 0..COLLECTIONS {
        let client = daemon.client().await;
        let shape = Shape {
            window: if seed % 3 == 2 { 90 } else { 0 },
            ..Shape::default()
        };
        let shared = Arc::new(Shared {
            collection: Collection::create(&client, shape).await,
            sequence: Sequence::random(shape, TOKENS, seed),
            written: AtomicBool::new(false),
            checked: AtomicU64::new(0),
        });
        tasks.spawn(write(Arc::clone(&shared), seed));
        for reader in 0..READERS {
            tasks.spawn(read(
                Arc::clone(&shared),
                COLLECTIONS + seed * READERS + reader,
            ));
        }
        all.push(shared);
    }
    tasks.join_all().await;
    for shared in all {
        let checked = shared.checked.load(Ordering::Relaxed);
        assert!(checked >= STEPS as u64 / 2, "{checked} answers only");
    }
    assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
}

/// The only writer, so it knows what is stored, and its answers never fail.
async fn write(shared: Arc<Shared>, seed: u64) {
    let Shared {
        collection,
        sequence,
        ..
    } = &*shared;
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut stored = 0;
    for _ in 0..STEPS {
        match rng.random_range(0..10) {
            0 => {
                stored = rng.random_range(0..=stored);
                let name = collection.name.clone();
                collection
                    .client
                    .truncate(name, stored as u32)
                    .await
                    .unwrap();
            }
            1 => drop(collection.cluster().await),
            2 if rng.random_bool(0.3) => {
                collection.delete().await;
                collection.make(sequence.shape, SMALL_INDEX).await;
                stored = 0;
            }
            _ => {
                let end = TOKENS.min(stored + rng.random_range(1..60));
                collection.insert(sequence, stored..end).await;
                stored = end;
            }
        }
        if let Some(last) = stored.checked_sub(1) {
            let position = rng.random_range(0..=last) as u32;
            let answer = collection
                .attend(sequence, &[position], mode::exact())
                .await;
            shared.check(position, &answer, EXACT);
            let fetched = collection.fetch(0..stored as u32).await.unwrap();
            assert!(sequence.equals(0..stored, &fetched));
        }
    }
    shared.written.store(true, Ordering::Relaxed);
}

/// Asks for whatever position, stored at the moment or not.
async fn read(shared: Arc<Shared>, seed: u64) {
    let Shared {
        collection,
        sequence,
        ..
    } = &*shared;
    let mut rng = Pcg64::seed_from_u64(seed);
    while !shared.written.load(Ordering::Relaxed) {
        let position = rng.random_range(0..TOKENS as u32);
        let exact = collection.question(sequence, &[position], mode::exact());
        if let Some(answer) = unless_absent(collection.client.attend_one(exact).await) {
            shared.check(position, &answer, EXACT);
        }
        let adaptive = mode::adaptive(ADAPTIVE_TARGET);
        let adaptive = collection.question(sequence, &[position], adaptive);
        if let Some(answer) = unless_absent(collection.client.attend_one(adaptive).await) {
            // Not an estimate of the error but a sign that these are its own tokens.
            shared.check(position, &answer, 0.5);
        }
        if let Some(fetched) = unless_absent(collection.fetch(position..position + 1).await) {
            let token = position as usize;
            assert!(sequence.equals(token..token + 1, &fetched));
        }
        let top = wire::TopClustersEntry {
            layer: Some(collection.layer()),
            q: Some(sequence.queries(&[position])),
            position: Some(position),
            limit: 4,
            with_payload: true,
        };
        if let Some(ranking) = unless_absent(collection.client.top_clusters_one(top).await) {
            shared.check_clusters(&ranking);
        }
        if rng.random_bool(0.1) {
            let clustered = collection.client.segment_cluster_one(collection.layer());
            unless_absent(clustered.await);
        }
    }
}

/// What a position or collection that is not there at the moment may answer.
fn unless_absent<T>(answer: Result<T, ClientError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            let absent = [Code::OutOfRange, Code::NotFound].map(Some);
            assert!(absent.contains(&error.code()), "{error}");
            None
        }
    }
}

/// Before the tail is clustered it is computed exactly, so what may be asked of an answer is the error afterwards.
#[tokio::test]
async fn a_query_during_clustering_is_as_exact_as_one_after_it() {
    const LONG: u32 = 4000;
    const ROUNDS: usize = 50;
    /// Segments of a moment are smaller than those that stay.
    const MARGIN: f64 = 2.0;
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), LONG as usize, 1);
    let positions: Vec<u32> = (LONG - 16..LONG).collect();
    let (mut during, mut after) = (vec![], f64::NAN);
    for _ in 0..ROUNDS {
        let collection = Collection::create(&client, sequence.shape).await;
        collection.insert(&sequence, 0..sequence.tokens).await;
        while collection.waiting().await > 0 {
            let (error, clustered) = adaptive(&collection, &sequence, &positions).await;
            // Else it was met before or after all.
            if 0.0 < clustered && clustered < 0.9 {
                during.push(error);
            }
            let exact = collection.attend(&sequence, &positions, mode::exact());
            let errors = sequence.errors(&positions, &exact.await);
            assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
        }
        after = adaptive(&collection, &sequence, &positions).await.0;
        collection.delete().await;
        if during.len() > 2 {
            break;
        }
    }
    let worst = during.iter().copied().fold(f64::NAN, f64::max);
    assert!(worst < MARGIN * after, "{during:?} during, {after} after");
    assert!(worst < f64::from(ADAPTIVE_TARGET), "{during:?} during");
}

/// The mean error of adaptive mode, and the share of the tokens that were in clusters.
async fn adaptive(collection: &Collection, sequence: &Sequence, positions: &[u32]) -> (f64, f64) {
    let mode = mode::adaptive(ADAPTIVE_TARGET);
    let answer = collection.attend(sequence, positions, mode).await;
    let report = answer.report.as_ref().unwrap();
    let clustered = report.retrieved_tokens + report.coded_tokens + report.estimated_tokens;
    let share = clustered as f64 / report.visible_tokens as f64;
    (compare::mean(&sequence.errors(positions, &answer)), share)
}
