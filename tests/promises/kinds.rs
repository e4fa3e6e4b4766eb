//! The kinds of index beside `wave`: what a search finds is worth what it costs, `flat` reads everything, and what FAISS
//! allocates is counted. That they are exact where they must be, lose no token and are what was stored in them, the
//! promises of every kind say: `exactness`, `zones`, `same_collection`.

use wavekv_client::Code::{FailedPrecondition, InvalidArgument};
use wavekv_client::wire;
use wavekv_trace::compare;

use crate::bad_input::assert_refused;
use crate::harness::collection::SMALL_INDEX;
use crate::harness::daemon::used_bytes;
use crate::harness::property::BUILT_KINDS;
use crate::harness::trace::{self, errors, store_as};
use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

/// Each budget beats the one before by this factor at least.
const GAIN: f64 = 0.9;
/// Of the mean error of the default mode, whose target is 0.05.
const DEFAULT_ERROR: f64 = 0.1;
/// Of a whole budget, with K and V in f16.
const WHOLE: f64 = 1e-3;

fn searched() -> impl Iterator<Item = wire::IndexKind> {
    let searched = [wire::IndexKind::Ivf, wire::IndexKind::Hnsw];
    searched
        .into_iter()
        .filter(|kind| BUILT_KINDS.contains(kind))
}

#[tokio::test]
async fn a_search_finds_what_matters() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let trace = trace::generated(4096);
    let layer = &trace.layers[0];
    let rows = 0..trace.q_positions.len();
    for kind in searched() {
        let collection = Collection::unmade(&client);
        store_as(&collection, &trace, layer, kind).await;
        let of = async |mode| errors(&collection, &trace, layer, rows.clone(), mode).await;
        let mut last = f64::INFINITY;
        for share in [0.0, 0.02, 0.1, 0.3] {
            let mean = compare::mean(&of(Some(mode::budget(share))).await);
            assert!(
                mean < GAIN * last,
                "{mean} at {share}, {last} before it: {kind:?}"
            );
            last = mean;
        }
        let whole = of(Some(mode::budget(1.0))).await;
        assert!(whole.iter().all(|error| *error < WHOLE), "{whole:?}");
        let mean = compare::mean(&of(None).await);
        assert!(mean < DEFAULT_ERROR, "{mean} by default: {kind:?}");
    }
}

#[tokio::test]
async fn a_search_reports_what_it_ignored() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), 2000, 4);
    for kind in searched() {
        let collection = Collection::create_as(&client, sequence.shape, kind).await;
        collection.insert(&sequence, 0..2000).await;
        collection.cluster().await;
        let answer = collection
            .attend(&sequence, &[1999], mode::budget(0.1))
            .await;
        let report = answer.report.unwrap();
        // The sink, the window, and a tenth of the others, of 2 KV heads.
        assert_eq!(report.steady_tokens, 2 * 23);
        assert_eq!(report.retrieved_tokens, 2 * 198);
        assert_eq!((report.estimated_tokens, report.coded_tokens), (0, 0));
        assert_eq!(report.ignored_tokens, 2 * (1977 - 198));
        assert!(
            report
                .exact_mass
                .iter()
                .all(|mass| (0.1..1.0).contains(mass))
        );
        assert!(report.error_estimate.iter().all(|error| *error > 0.0));
    }
}

#[tokio::test]
async fn flat_reads_everything_in_every_mode_and_clusters_nothing() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), 700, 5);
    let collection = Collection::create_as(&client, sequence.shape, wire::IndexKind::Flat).await;
    collection.insert(&sequence, 0..700).await;
    let clustered = collection.cluster().await;
    assert_eq!((clustered.segments, clustered.clusters), (0, 0));
    let stored: u32 = clustered
        .steady
        .iter()
        .map(|range| range.end - range.start)
        .sum();
    assert_eq!(stored, 700);
    for mode in [
        mode::exact(),
        mode::budget(0.01),
        mode::adaptive(0.5),
        mode::retroinfer(),
    ] {
        let answer = collection.attend(&sequence, &[300, 699], mode).await;
        let errors = sequence.errors(&[300, 699], &answer);
        assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
        let report = answer.report.unwrap();
        assert_eq!(report.steady_tokens, 2 * (301 + 700));
        assert_eq!(report.visible_tokens, report.steady_tokens);
    }
}

#[tokio::test]
async fn what_has_no_clusters_neither_ranks_nor_estimates() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), 300, 6);
    for kind in BUILT_KINDS
        .iter()
        .filter(|kind| **kind != wire::IndexKind::Wave)
    {
        let collection = Collection::create_as(&client, sequence.shape, *kind).await;
        collection.insert(&sequence, 0..300).await;
        collection.cluster().await;
        let (layer, q) = (Some(collection.layer()), Some(sequence.queries(&[299])));
        let top = wire::TopClustersEntry {
            layer: layer.clone(),
            q: q.clone(),
            limit: 1,
            ..Default::default()
        };
        let estimate = wire::EstimateEntry {
            layer,
            q,
            ..Default::default()
        };
        let named = "index.kind of the collection is";
        let answer = client.top_clusters_one(top).await;
        assert_refused(answer, FailedPrecondition, named);
        let answer = client.estimate_one(estimate).await;
        assert_refused(answer, FailedPrecondition, named);
    }
}

#[tokio::test]
async fn a_kind_that_is_not_built_in_is_refused() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    for kind in [wire::IndexKind::Ivf, wire::IndexKind::Hnsw] {
        let request = wire::CreateRequest {
            collection: Some(Collection::unmade(&client).name),
            geometry: Some(Shape::default().geometry(1)),
            index: Some(wire::IndexParameters {
                kind: kind.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let answer = client.create(request).await;
        if BUILT_KINDS.contains(&kind) {
            answer.unwrap();
        } else {
            assert_refused(answer, InvalidArgument, "index.kind is");
        }
    }
}

#[tokio::test]
async fn the_operator_chooses_the_kind_where_the_creator_does_not() {
    for kind in BUILT_KINDS {
        let name = kind.as_str_name().trim_start_matches("INDEX_KIND_");
        let daemon = Daemon::with(&[&format!("index.kind={}", name.to_lowercase())]);
        let client = daemon.client().await;
        let unsaid = Collection::unmade(&client);
        let made = unsaid.make(Shape::default(), wire::IndexParameters::default());
        let index = made.await.index.unwrap();
        assert_eq!(index.kind(), *kind);
        let searched = searched().any(|searched| searched == *kind);
        let segment = if searched { 65_536 } else { 8192 };
        assert_eq!(index.segment_tokens, Some(segment));
        let said = Collection::unmade(&client);
        let index = wire::IndexParameters {
            kind: wire::IndexKind::Flat.into(),
            ..SMALL_INDEX
        };
        let made = said.make(Shape::default(), index).await.index.unwrap();
        assert_eq!(made.kind(), wire::IndexKind::Flat);
        assert_eq!(made.segment_tokens, SMALL_INDEX.segment_tokens);
    }
}

#[tokio::test]
async fn what_an_index_holds_is_counted_until_it_goes() {
    let daemon = Daemon::with(&["storage.durability=none"]);
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), 2000, 7);
    let empty = used_bytes(&client).await;
    for kind in searched() {
        let collection = Collection::create_as(&client, sequence.shape, kind).await;
        collection.insert(&sequence, 0..2000).await;
        collection.cluster().await;
        let stats = client.stats(Some(collection.name.clone())).await.unwrap();
        let index = stats.index.unwrap();
        // The keys once more, in f32 as they are stored, beside what finds them.
        let keys = index.clustered_tokens * 2 * 32 * 4;
        assert!(index.meta_index_bytes > keys, "{index:?}");
        assert!(used_bytes(&client).await - empty >= index.payload_bytes + index.meta_index_bytes);
        let shorter = client.truncate(collection.name.clone(), 500).await;
        shorter.unwrap();
        collection.settle().await;
        let stats = client.stats(Some(collection.name.clone())).await.unwrap();
        assert!(stats.index.unwrap().meta_index_bytes < index.meta_index_bytes / 3);
        collection.delete().await;
        daemon.wait_until_it_uses(&client, empty).await;
    }
}
