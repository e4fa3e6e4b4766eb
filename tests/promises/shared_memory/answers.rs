//! The same daemon asked both ways.

use std::sync::Arc;

use tokio::task::JoinSet;
use wavekv_client::{Client, Code, wire};
use wavekv_trace::Dtype;

use super::sleeping;
use crate::harness::collection::SMALL_INDEX;
use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

const TOKENS: usize = 400;

/// A collection with clusters and a tail, and a client over shared memory.
struct Both {
    daemon: Daemon,
    grpc: Client,
    shm: Client,
    collection: Collection,
    sequence: Sequence,
}

impl Both {
    async fn new(shape: Shape) -> Self {
        let daemon = Daemon::start();
        let (grpc, shm) = (daemon.client().await, daemon.shm_client().await);
        let collection = Collection::create(&grpc, shape).await;
        let sequence = Sequence::random(shape, TOKENS + 8, 1);
        collection.insert(&sequence, 0..TOKENS).await;
        collection.cluster().await;
        Self {
            daemon,
            grpc,
            shm,
            collection,
            sequence,
        }
    }

    fn top(&self, with_payload: bool) -> wire::TopClustersEntry {
        wire::TopClustersEntry {
            layer: Some(self.collection.layer()),
            q: Some(self.sequence.queries(&[399])),
            position: Some(399),
            limit: 5,
            with_payload,
        }
    }
}

fn cluster_of(ranking: &wire::TopClustersOutcome) -> wire::ClusterRef {
    ranking.heads[0].clusters[0].cluster.unwrap()
}

#[tokio::test]
async fn every_operation_answers_as_over_grpc() {
    for dtype in [Dtype::Bf16, Dtype::F32] {
        let shape = Shape {
            dtype,
            ..Shape::default()
        };
        let both = Both::new(shape).await;
        let Both {
            grpc,
            shm,
            collection,
            sequence,
            ..
        } = &both;
        let modes = [
            mode::exact(),
            mode::budget(0.1),
            mode::budget_of_two(0.1, 0.5),
            mode::adaptive(0.05),
            mode::retroinfer(),
        ];
        for mode in modes {
            let asked = collection.question(sequence, &[17, 250, 399], mode);
            let over_grpc = grpc.attend_one(asked.clone()).await.unwrap();
            assert_eq!(shm.attend_one(asked).await.unwrap(), over_grpc);
        }
        for with_payload in [false, true] {
            let over_grpc = grpc.top_clusters_one(both.top(with_payload)).await.unwrap();
            let over_shm = shm.top_clusters_one(both.top(with_payload)).await.unwrap();
            assert_eq!(over_shm, over_grpc);
            let estimate = wire::EstimateEntry {
                layer: Some(collection.layer()),
                q: Some(sequence.queries(&[399])),
                position: None,
                retrieved: vec![cluster_of(&over_grpc)],
            };
            let over_grpc = grpc.estimate_one(estimate.clone()).await.unwrap();
            assert_eq!(shm.estimate_one(estimate).await.unwrap(), over_grpc);
        }
        let cluster = cluster_of(&grpc.top_clusters_one(both.top(false)).await.unwrap());
        let range = wire::TokenRange { start: 3, end: 390 };
        for what in [
            wire::fetch_entry::What::Range(range),
            wire::fetch_entry::What::Cluster(cluster),
        ] {
            let entry = wire::FetchEntry {
                layer: Some(collection.layer()),
                what: Some(what),
            };
            let over_grpc = grpc.fetch_one(entry.clone()).await.unwrap();
            assert_eq!(shm.fetch_one(entry).await.unwrap(), over_grpc);
        }
        let repeated = collection.entry(sequence, 100..TOKENS);
        let over_grpc = grpc.insert_one(repeated.clone()).await.unwrap();
        assert_eq!(shm.insert_one(repeated).await.unwrap(), over_grpc);
        let clustered = grpc.segment_cluster_one(collection.layer()).await.unwrap();
        let over_shm = shm.segment_cluster_one(collection.layer()).await;
        assert_eq!(over_shm.unwrap(), clustered);
    }
}

#[tokio::test]
async fn a_step_inserts_and_attends_and_can_be_audited() {
    let both = Both::new(Shape::default()).await;
    let Both {
        shm,
        collection,
        sequence,
        ..
    } = &both;
    let last = TOKENS as u32;
    let mut step = collection.question(sequence, &[last], mode::exact());
    step.audit = true;
    let mut insert = collection.entry(sequence, TOKENS..TOKENS + 1);
    insert.layer = None;
    step.insert = Some(insert);
    let answer = shm.attend_one(step.clone()).await.unwrap();
    assert_eq!(answer.length, last + 1);
    let errors = sequence.errors(&[last], &answer);
    assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
    assert!(answer.report.unwrap().audit.is_some());
    // A step can be repeated.
    let again = shm.attend_one(step).await.unwrap();
    assert_eq!(again.out, answer.out);
    collection.assert_has(sequence, TOKENS + 1).await;
}

#[tokio::test]
async fn a_stream_is_stored_and_answered_as_over_grpc() {
    let both = Both::new(Shape::default()).await;
    let Both {
        daemon,
        shm,
        sequence,
        ..
    } = &both;
    for client in [&both.grpc, shm] {
        let collection = Collection::create(client, sequence.shape).await;
        let gap = collection.entry(sequence, 50..60);
        let entries = (0..40).map(|token| collection.entry(sequence, token..token + 1));
        let entries: Vec<_> = entries.chain([gap]).collect();
        let stream = tokio_stream::iter(entries);
        let answer = client.insert_stream(stream, 2000).await.unwrap();
        assert_eq!((answer.stored_entries, answer.failed_entries), (40, 1));
        assert_eq!((answer.stored_tokens, answer.failures[0].entry), (40, 40));
        let error = answer.failures[0].error.as_ref().unwrap();
        assert_eq!(error.code, Code::OutOfRange as i32);
        collection.assert_has(sequence, 40).await;
    }
    assert!(!daemon.log().contains("WARN"), "{}", daemon.log());
}

#[tokio::test]
async fn entries_fail_alone_and_keep_their_places() {
    let both = Both::new(Shape::default()).await;
    let good = |token| {
        both.collection
            .question(&both.sequence, &[token], mode::exact())
    };
    let mut absent = good(1);
    absent.layer.as_mut().unwrap().collection = Some(crate::harness::collection::named("absent"));
    let mut nameless = good(1);
    nameless.layer = None;
    let mut no_layer = good(1);
    no_layer.layer.as_mut().unwrap().layer = 7;
    let mut long_name = good(1);
    let name = "x".repeat(500);
    long_name.layer.as_mut().unwrap().collection = Some(crate::harness::collection::named(&name));
    let batch = vec![
        good(5),
        absent.clone(),
        nameless,
        good(6),
        no_layer,
        absent,
        long_name,
        good(7),
    ];
    let over_grpc = both.grpc.attend(batch.clone()).await.unwrap();
    let over_shm = both.shm.attend(batch).await.unwrap();
    assert_eq!(over_shm, over_grpc);
    let answered: Vec<bool> = over_shm.results.iter().map(Result::is_ok).collect();
    let expected = [true, false, false, true, false, false, false, true];
    assert_eq!(answered, expected);
}

#[tokio::test]
async fn a_call_that_fails_as_a_whole_fails_as_over_grpc() {
    let both = Both::new(Shape::default()).await;
    let many = vec![both.collection.entry(&both.sequence, 0..1); 1025];
    for entries in [vec![], many] {
        let over_grpc = both.grpc.insert(entries.clone()).await.unwrap_err();
        assert_eq!(both.shm.insert(entries).await.unwrap_err(), over_grpc);
    }
    let layers = both.grpc.segment_cluster(vec![]).await.unwrap_err();
    let over_shm = both.shm.segment_cluster(vec![]).await;
    assert_eq!(over_shm.unwrap_err(), layers);
}

/// A connection knows what a collection was when it was opened; what it is now is asked at every call.
#[tokio::test]
async fn a_name_that_is_deleted_or_taken_again_is_what_it_is_over_grpc() {
    let both = Both::new(Shape::default()).await;
    let Both {
        grpc,
        shm,
        collection,
        sequence,
        ..
    } = &both;
    let asked = collection.question(sequence, &[9], mode::exact());
    let before = shm.attend_one(asked.clone()).await.unwrap();
    let mut pinned = asked.clone();
    let name = pinned.layer.as_mut().unwrap().collection.as_mut().unwrap();
    name.generation = Some(before.generation);
    assert_eq!(shm.attend_one(pinned.clone()).await.unwrap(), before);

    collection.delete().await;
    for asked in [&asked, &pinned] {
        let over_grpc = grpc.attend_one(asked.clone()).await.unwrap_err();
        assert_eq!(over_grpc.code(), Some(Code::NotFound));
        let over_shm = shm.attend_one(asked.clone()).await;
        assert_eq!(over_shm.unwrap_err(), over_grpc);
    }

    // With answers a hundred times as large.
    let shape = Shape {
        kv_heads: 8,
        group: 8,
        value_dim: 256,
        ..sequence.shape
    };
    let larger = Sequence::random(shape, 20, 2);
    shm.create(collection.request(shape, SMALL_INDEX))
        .await
        .unwrap();
    collection.insert(&larger, 0..20).await;
    let over_grpc = grpc.attend_one(pinned.clone()).await.unwrap_err();
    assert_eq!(over_grpc.code(), Some(Code::FailedPrecondition));
    let over_shm = shm.attend_one(pinned).await;
    assert_eq!(over_shm.unwrap_err(), over_grpc);
    let asked = collection.question(&larger, &[9], mode::exact());
    let answer = shm.attend_one(asked).await.unwrap();
    assert!(answer.generation > before.generation);
    assert!(
        larger
            .errors(&[9], &answer)
            .iter()
            .all(|error| *error < EXACT)
    );
}

/// Whatever is spun or slept, whoever else asks: an answer is that of its own question.
#[tokio::test(flavor = "multi_thread")]
async fn many_who_share_a_connection_never_get_another_s_answer() {
    let both = Both::new(Shape::default()).await;
    for client in [
        both.shm.clone(),
        both.daemon.shm_client_with(sleeping()).await,
    ] {
        let mut tasks = JoinSet::new();
        for seed in 0..8 {
            let client = client.clone();
            tasks.spawn(async move {
                let shape = Shape::default();
                let sequence = Arc::new(Sequence::random(shape, 120, seed));
                let collection = Collection::create(&client, shape).await;
                for token in 0..120 {
                    collection.insert(&sequence, token..token + 1).await;
                    let position = token as u32;
                    let asked = [position / 2, position];
                    let answer = collection.attend(&sequence, &asked, mode::exact()).await;
                    let errors = sequence.errors(&asked, &answer);
                    assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
                }
                collection.assert_has(&sequence, 120).await;
            });
        }
        tasks.join_all().await;
    }
    assert!(!both.daemon.log().contains("WARN"), "{}", both.daemon.log());
}
