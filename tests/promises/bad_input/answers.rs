//! Answers that would not fit a message: the entries that fit are answered, the others are refused, before anything of
//! them is done.

use wavekv_client::Code::InvalidArgument;
use wavekv_client::{Batch, Client, ClientError, wire};

use super::{SHAPE, assert_refused};
use crate::harness::{Collection, Daemon, Sequence, Shape, mode};

/// A query token of 256 bytes is answered with 4 rows of 2316, a range of one token with 2 of 1184.
const WIDE: Shape = Shape {
    value_dim: 576,
    ..SHAPE
};
const TOKENS: usize = 1000;

/// A collection in a daemon of the smallest messages.
struct Narrow {
    _daemon: Daemon,
    client: Client,
    collection: Collection,
    sequence: Sequence,
}

impl Narrow {
    async fn new() -> Self {
        let daemon = Daemon::with(&["grpc.max_message_bytes=1MiB"]);
        let client = daemon.client().await;
        let collection = Collection::create(&client, WIDE).await;
        let sequence = Sequence::random(WIDE, TOKENS + 1, 1);
        for start in (0..TOKENS).step_by(TOKENS / 4) {
            let end = start + TOKENS / 4;
            collection.insert(&sequence, start..end).await;
        }
        collection.cluster().await;
        Self {
            _daemon: daemon,
            client,
            collection,
            sequence,
        }
    }

    fn top_clusters(&self, limit: u32, with_payload: bool) -> wire::TopClustersEntry {
        wire::TopClustersEntry {
            layer: Some(self.collection.layer()),
            q: Some(self.sequence.queries(&[1])),
            position: None,
            limit,
            with_payload,
        }
    }

    fn fetch(&self, what: wire::fetch_entry::What) -> wire::FetchEntry {
        wire::FetchEntry {
            layer: Some(self.collection.layer()),
            what: Some(what),
        }
    }
}

/// Asserts that of three entries the one in the middle is refused.
fn assert_refused_alone<T>(answer: Result<Batch<T>, ClientError>, named: &str) {
    let mut results = answer.unwrap().results;
    assert_eq!(results.len(), 3);
    assert_refused(results.remove(1), InvalidArgument, named);
    for beside in results {
        beside.map(drop).unwrap();
    }
}

/// Asserts that some entries are answered and the others are refused for want of room.
fn assert_some_refused<T>(answer: Result<Batch<T>, ClientError>, named: &str) {
    let results = answer.unwrap().results;
    let (answered, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert!(!answered.is_empty() && !refused.is_empty(), "{named}");
    for result in refused {
        assert_refused(result, InvalidArgument, named);
    }
}

#[tokio::test]
async fn an_attend_whose_answer_is_too_large_is_refused_alone_and_stores_nothing() {
    let narrow = Narrow::new().await;
    let ask = |tokens: u32| {
        let tokens: Vec<u32> = (0..tokens).collect();
        narrow
            .collection
            .question(&narrow.sequence, &tokens, mode::exact())
    };
    let mut step = ask(60);
    step.insert = Some(narrow.sequence.entry(TOKENS..TOKENS + 1));
    // 60 tokens and 53 fill the room but for a few bytes.
    let batch = vec![ask(60), step, ask(53)];
    let named = "q is 60 tokens, an answer of 555840 bytes: expected at most 491200 bytes";
    assert_refused_alone(narrow.client.attend(batch).await, named);
    let description = narrow.client.get(narrow.collection.name.clone()).await;
    assert_eq!(description.unwrap().length as usize, TOKENS);
}

#[tokio::test]
async fn estimates_that_do_not_fit_together_are_refused_one_by_one() {
    let narrow = Narrow::new().await;
    let entry = wire::EstimateEntry {
        layer: Some(narrow.collection.layer()),
        q: Some(narrow.sequence.queries(&[1])),
        ..Default::default()
    };
    let answer = narrow.client.estimate(vec![entry; 1024]).await;
    assert_some_refused(answer, "q is 1 token, an answer of 9232 bytes");
}

#[tokio::test]
async fn a_ranking_whose_payload_is_too_large_is_refused_alone() {
    let narrow = Narrow::new().await;
    let batch = vec![
        narrow.top_clusters(4096, false),
        narrow.top_clusters(4096, true),
        narrow.top_clusters(2, true),
    ];
    let answer = narrow.client.top_clusters(batch).await;
    let ranked = answer.as_ref().unwrap().results[0].as_ref().unwrap();
    let clusters = ranked.heads.iter().map(|head| head.clusters.len());
    let named = format!(
        "limit is 4096, {} clusters with the payload of",
        clusters.sum::<usize>()
    );
    assert_refused_alone(answer, &named);
}

#[tokio::test]
async fn fetched_tokens_that_do_not_fit_are_refused_alone() {
    let narrow = Narrow::new().await;
    let range = |start, end| {
        let range = wire::TokenRange { start, end };
        narrow.fetch(wire::fetch_entry::What::Range(range))
    };
    let batch = vec![range(0, 300), range(200, 400), range(700, 800)];
    let named = "range is [200, 400), an answer of 474600 bytes";
    assert_refused_alone(narrow.client.fetch(batch).await, named);

    let best = narrow
        .client
        .top_clusters_one(narrow.top_clusters(1, false));
    let best = best.await.unwrap().heads[0].clusters[0].cluster.unwrap();
    let entry = narrow.fetch(wire::fetch_entry::What::Cluster(best));
    let answer = narrow.client.fetch(vec![entry; 1024]).await;
    assert_some_refused(answer, "cluster is segment");
}

/// However long what they quote would be.
#[tokio::test]
async fn a_batch_of_refusals_fits_a_message() {
    let narrow = Narrow::new().await;
    let layer = wire::LayerRef {
        collection: Some(crate::harness::collection::named(&"\u{10ffff}".repeat(150))),
        layer: 0,
    };
    let batch = vec![
        wire::FetchEntry {
            layer: Some(layer),
            what: None,
        };
        1024
    ];
    for refused in narrow.client.fetch(batch).await.unwrap().results {
        assert_refused(refused, InvalidArgument, "collection.name is");
    }
}
