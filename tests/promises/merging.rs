//! Partials merge: whoever computes a part itself, and merges it with what the daemon answers for the rest, has the
//! answer that the daemon or f64 gives for all.

use std::ops::Range;

use proptest::prelude::*;
use wavekv_client::{Client, wire};
use wavekv_trace::compare;
use wavekv_trace::exact::{self, Order, Queries, Stored};

use crate::harness::property::{self, lengths, small_shapes};
use crate::harness::{Collection, EXACT, Partial, Sequence, Shape, mode};

/// More than a test has.
const ALL_CLUSTERS: u32 = 4096;

#[derive(Clone, Copy, Debug)]
struct Case {
    shape: Shape,
    tokens: usize,
    /// Of the query, as a share of the length.
    place: f64,
    /// Of the clustered tokens, retrieved.
    share: f32,
    seed: u64,
}

prop_compose! {
    fn cases()(
        shape in small_shapes(),
        tokens in lengths().prop_map(|tokens| tokens + 1),
        place in 0.0..1.0,
        share in prop_oneof![Just(0.0f32), 0.0f32..1.0, Just(1.0f32)],
        seed in any::<u64>(),
    ) -> Case {
        Case { shape, tokens, place, share, seed }
    }
}

impl Case {
    fn position(&self) -> u32 {
        (self.place * self.tokens as f64) as u32
    }

    async fn stored(&self, client: &Client) -> (Collection, Sequence) {
        let sequence = Sequence::random(self.shape, self.tokens, self.seed);
        let collection = Collection::create(client, self.shape).await;
        collection.insert(&sequence, 0..self.tokens).await;
        collection.cluster().await;
        (collection, sequence)
    }
}

/// The engine takes as many clusters from the top as `budget` does: same zones, so the same answer.
#[test]
fn retrieving_oneself_equals_the_fused_step() {
    property::holds(64, &cases(), &async |client, mut case| {
        case.shape.window = 0;
        let (collection, sequence) = case.stored(client).await;
        let last = case.tokens as u32 - 1;
        let fused = collection
            .attend(&sequence, &[last], mode::budget(case.share))
            .await;
        let fused = Partial::of_answer(fused.out.as_ref(), fused.lse.as_ref());
        let own = Engine::new(&collection, &sequence, last)
            .attend(case.share)
            .await;
        collection.delete().await;
        equal(&own, &fused, case.shape)
    });
}

/// When every cluster is retrieved nothing is left to estimate, wherever the query stands and whatever it sees.
#[test]
fn retrieving_everything_oneself_is_exact() {
    property::holds(64, &cases(), &async |client, case| {
        let (collection, sequence) = case.stored(client).await;
        let own = Engine::new(&collection, &sequence, case.position())
            .attend(1.0)
            .await;
        collection.delete().await;
        let exact = sequence.exact(&[case.position()]).into();
        equal(&own, &exact, case.shape)
    });
}

/// The daemon need not even have the tokens of the window that the engine holds.
#[test]
fn a_window_of_the_engine_merges_with_the_tokens_before_it() {
    property::holds(64, &cases(), &async |client, mut case| {
        case.shape.window = 0;
        let (collection, mut sequence) = case.stored(client).await;
        let (last, split) = (case.tokens as u32 - 1, case.position());
        let question = wire::AttendEntry {
            positions: vec![split],
            ..collection.question(&sequence, &[last], mode::exact())
        };
        let before = collection.client.attend_one(question).await.unwrap();
        let before = Partial::of_answer(before.out.as_ref(), before.lse.as_ref());
        collection.delete().await;
        let exact = sequence.exact(&[last]).into();
        sequence.shape.window = last - split;
        let merged = match sequence.shape.window {
            0 => before,
            _ => before.merge(&sequence.exact(&[last]).into()),
        };
        equal(&merged, &exact, case.shape)
    });
}

fn equal(found: &Partial, expected: &Partial, shape: Shape) -> Result<(), TestCaseError> {
    let out: Vec<f32> = found.out.iter().map(|x| *x as f32).collect();
    let errors = compare::relative_errors(&out, &expected.out, shape.value_dim);
    let worst = errors.into_iter().fold(0.0, f64::max);
    prop_assert!(worst < EXACT, "relative error {worst}");
    for (lse, expected) in found.lse.iter().zip(&expected.lse) {
        prop_assert!((lse - expected).abs() < 1e-4, "{lse} for {expected}");
    }
    Ok(())
}

/// An engine that retrieves by itself, for the query of one token.
struct Engine<'a> {
    collection: &'a Collection,
    shape: Shape,
    q: wire::Tensor,
    queries: Vec<f32>,
    position: u32,
}

/// K and V of the tokens that the engine reads, of one KV head.
#[derive(Clone, Default)]
struct Read {
    k: Vec<u8>,
    v: Vec<u8>,
}

impl<'a> Engine<'a> {
    fn new(collection: &'a Collection, sequence: &Sequence, position: u32) -> Self {
        Self {
            collection,
            shape: sequence.shape,
            q: sequence.queries(&[position]),
            queries: sequence.query_rows(&[position]),
            position,
        }
    }

    /// Ranks, reads the steady ranges and the best clusters, has the rest estimated, and merges.
    async fn attend(&self, share: f32) -> Partial {
        let ranking = self.rank().await;
        let mut read = vec![Read::default(); self.shape.kv_heads];
        for range in &ranking.steady {
            self.read_range(range.start..range.end, &mut read).await;
        }
        let mut retrieved = vec![];
        for (head, read) in ranking.heads.iter().zip(&mut read) {
            for cluster in taken(&head.clusters, share) {
                let payload = cluster.payload.as_ref().unwrap();
                read.k.extend(&payload.k.as_ref().unwrap().data);
                read.v.extend(&payload.v.as_ref().unwrap().data);
                retrieved.extend(cluster.cluster);
            }
        }
        let mut own = Partial {
            out: vec![],
            lse: vec![],
        };
        for (head, read) in read.iter().enumerate() {
            own.extend(self.exact(head, read));
        }
        own.merge(&self.estimate(retrieved).await)
    }

    async fn rank(&self) -> wire::TopClustersOutcome {
        let entry = wire::TopClustersEntry {
            layer: Some(self.collection.layer()),
            q: Some(self.q.clone()),
            position: Some(self.position),
            limit: ALL_CLUSTERS,
            with_payload: true,
        };
        self.collection
            .client
            .top_clusters_one(entry)
            .await
            .unwrap()
    }

    async fn estimate(&self, retrieved: Vec<wire::ClusterRef>) -> Partial {
        let entry = wire::EstimateEntry {
            layer: Some(self.collection.layer()),
            q: Some(self.q.clone()),
            position: Some(self.position),
            retrieved,
        };
        let answer = self.collection.client.estimate_one(entry).await.unwrap();
        Partial::of_answer(answer.out.as_ref(), answer.lse.as_ref())
    }

    async fn read_range(&self, range: Range<u32>, read: &mut [Read]) {
        let fetched = self.collection.fetch(range).await.unwrap();
        let size = self.shape.dtype.size();
        let (k, v) = (fetched.k.unwrap().data, fetched.v.unwrap().data);
        let keys = k.chunks_exact(self.shape.head_dim * size);
        let values = v.chunks_exact(self.shape.value_dim * size);
        for (row, (key, value)) in keys.zip(values).enumerate() {
            let head = &mut read[row % self.shape.kv_heads];
            head.k.extend(key);
            head.v.extend(value);
        }
    }

    /// Attention of the query heads of one KV head over what was read of it.
    fn exact(&self, head: usize, read: &Read) -> Partial {
        let Shape {
            group,
            head_dim,
            value_dim,
            dtype,
            ..
        } = self.shape;
        let tokens = read.k.len() / (head_dim * dtype.size());
        let Some(last) = tokens.checked_sub(1) else {
            return Partial::of_nothing(group, value_dim);
        };
        let stored = Stored {
            k: &read.k,
            v: &read.v,
            dtype,
            order: Order::TokensMajor,
            tokens,
            kv_heads: 1,
            head_dim,
            value_dim,
        };
        let queries = Queries {
            q: &self.queries[head * group * head_dim..][..group * head_dim],
            positions: &[last as u32],
            q_heads: group,
            scale: f64::from(self.shape.scale()),
            sliding_window: 0,
        };
        exact::attend(&stored, &queries).unwrap().into()
    }
}

/// The clusters, best first, until they hold a share of the tokens: the rule of `budget`.
fn taken(ranked: &[wire::RankedCluster], share: f32) -> &[wire::RankedCluster] {
    let tokens: u32 = ranked.iter().map(|cluster| cluster.tokens).sum();
    let wanted = (f64::from(tokens) * f64::from(share)).ceil();
    let mut held = 0;
    let enough = ranked.iter().position(|cluster| {
        let stop = f64::from(held) >= wanted;
        held += cluster.tokens;
        stop
    });
    &ranked[..enough.unwrap_or(ranked.len())]
}
