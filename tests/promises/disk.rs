//! The disk has a budget: what would pass it is refused and nothing acknowledged is lost; collections go by themselves when
//! their creator said so, and no others do.

use std::time::Duration;

use wavekv_client::Code::{NotFound, ResourceExhausted};
use wavekv_client::{Client, wire};

use crate::bad_input::assert_refused;
use crate::harness::collection::SMALL_INDEX;
use crate::harness::poll::{A_MINUTE, until};
use crate::harness::{Collection, Daemon, Sequence, Shape};

const BUDGET: u64 = 1 << 20;
const SETTING: &str = "disk.budget=1MiB";

/// A KiB a token, so that a few inserts fill the disk.
const SHAPE: Shape = Shape {
    kv_heads: 2,
    group: 1,
    head_dim: 128,
    value_dim: 128,
    dtype: wavekv_trace::Dtype::Bf16,
    window: 0,
};

async fn disk(client: &Client) -> wire::DiskStats {
    client.stats(None).await.unwrap().disk.unwrap()
}

async fn create(client: &Client, retention: (u64, bool)) -> Collection {
    let collection = Collection::unmade(client);
    // Nothing is clustered but by request, so that what is stored is what was inserted.
    let index = wire::IndexParameters {
        segment_tokens: Some(65_536),
        decode_segment_tokens: Some(65_536),
        ..SMALL_INDEX
    };
    let request = wire::CreateRequest {
        ttl_seconds: retention.0,
        expendable: retention.1,
        ..collection.request(SHAPE, index)
    };
    let described = client.create(request).await.unwrap();
    assert_eq!((described.ttl_seconds, described.expendable), retention);
    collection
}

#[tokio::test]
async fn what_passes_the_budget_is_refused_and_fits_when_something_was_deleted() {
    let mut daemon = Daemon::with(&[SETTING]);
    let client = daemon.client().await;
    let sequence = Sequence::random(SHAPE, 4096, 1);
    let mut collection = create(&client, (0, false)).await;
    let other = create(&client, (0, false)).await;
    other.insert(&sequence, 0..200).await;
    // Rows of a file each, then rows that have their tokens.
    let (stored, full) = collection.fill(&sequence, 0, 100).await;
    assert_refused::<()>(Err(full), ResourceExhausted, "disk.budget is 1048576 bytes");
    let (stored, full) = collection.fill(&sequence, stored, 1).await;
    assert_refused::<()>(Err(full), ResourceExhausted, "disk.budget is 1048576 bytes");
    let full = disk(&client).await;
    assert_eq!(full.budget_bytes, BUDGET);
    assert!(
        (BUDGET - 2048..=BUDGET).contains(&full.used_bytes),
        "{full:?}"
    );
    let of = client.stats(Some(other.name.clone())).await.unwrap();
    assert!((200 << 10..BUDGET).contains(&of.disk.unwrap().used_bytes));
    // A truncation needs none.
    client
        .truncate(collection.name.clone(), stored as u32 - 1)
        .await
        .unwrap();
    collection.insert(&sequence, stored - 1..stored).await;

    daemon.restart();
    collection.client = daemon.client().await;
    let client = &collection.client;
    assert_eq!(disk(client).await.used_bytes, full.used_bytes);
    collection.assert_has(&sequence, stored).await;
    let entry = collection.entry(&sequence, stored..stored + 100);
    let refused = client.insert_one(entry).await;
    assert_refused(refused, ResourceExhausted, "disk.budget");
    client.delete(other.name).await.unwrap();
    let (stored, _) = collection.fill(&sequence, stored, 100).await;
    collection.assert_has(&sequence, stored).await;
    assert!(disk(client).await.used_bytes <= BUDGET);
    collection.delete().await;
    assert_eq!(disk(client).await.used_bytes, 0);
}

#[tokio::test]
async fn a_segment_that_finds_no_room_is_built_when_there_is_some() {
    let daemon = Daemon::with(&[SETTING]);
    let client = daemon.client().await;
    let sequence = Sequence::random(SHAPE, 1024, 2);
    let other = create(&client, (0, false)).await;
    other.insert(&sequence, 0..450).await;
    let collection = Collection::unmade(&client);
    let index = wire::IndexParameters {
        segment_tokens: Some(256),
        decode_segment_tokens: Some(256),
        ..SMALL_INDEX
    };
    collection.make(SHAPE, index).await;
    collection.insert(&sequence, 0..500).await;
    let clustered = async || {
        let stats = client.stats(Some(collection.name.clone())).await.unwrap();
        (stats.index.unwrap().clustered_tokens > 0).then_some(())
    };
    let failed = async || {
        let stats = client.stats(None).await.unwrap();
        (stats.clustering.unwrap().builds_failed > 0).then_some(())
    };
    until(2 * A_MINUTE, failed).await.unwrap();
    assert!(clustered().await.is_none());
    let forced = client.segment_cluster_one(collection.layer()).await;
    assert_refused(forced, ResourceExhausted, "disk.budget");
    collection.assert_has(&sequence, 500).await;
    other.delete().await;
    until(2 * A_MINUTE, clustered).await.unwrap();
    collection.assert_has(&sequence, 500).await;
}

#[tokio::test]
async fn a_collection_goes_when_it_was_not_used_for_as_long_as_its_ttl() {
    let mut daemon = Daemon::start();
    let client = daemon.client().await;
    let sequence = Sequence::random(SHAPE, 100, 3);
    let kept = create(&client, (0, false)).await;
    let long = create(&client, (1_000_000, false)).await;
    let brief = create(&client, (1, false)).await;
    for collection in [&kept, &long, &brief] {
        collection.insert(&sequence, 0..100).await;
    }
    let gone = async |client: &Client| {
        let found = client.get(brief.name.clone()).await;
        found.is_err().then_some(())
    };
    until(A_MINUTE, async || gone(&client).await).await.unwrap();
    assert_refused(
        client.get(brief.name.clone()).await,
        NotFound,
        "collection is",
    );
    assert_eq!(disk(&client).await.collections_expired, 1);
    for round in 0..2 {
        let client = daemon.client().await;
        for collection in [&kept, &long] {
            let described = client.get(collection.name.clone()).await.unwrap();
            assert_eq!(described.length, 100);
        }
        // It is made again, and goes after a restart as before it.
        if round == 0 {
            let again = wire::CreateRequest {
                collection: Some(brief.name.clone()),
                geometry: Some(SHAPE.geometry(1)),
                ttl_seconds: 1,
                ..Default::default()
            };
            client.create(again).await.unwrap();
            daemon.restart();
            let client = daemon.client().await;
            until(A_MINUTE, async || gone(&client).await).await.unwrap();
        }
    }
}

#[tokio::test]
async fn expendable_collections_make_room_those_first_that_were_unused_for_longest() {
    let daemon = Daemon::with(&[SETTING]);
    let client = daemon.client().await;
    let sequence = Sequence::random(SHAPE, 1024, 4);
    let kept = create(&client, (0, false)).await;
    kept.insert(&sequence, 0..200).await;
    let mut expendable = vec![];
    for _ in 0..3 {
        let collection = create(&client, (0, true)).await;
        collection.insert(&sequence, 0..250).await;
        expendable.push(collection);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The first is used last.
    expendable[0].assert_has(&sequence, 200).await;
    expendable.rotate_left(1);
    let collection = create(&client, (0, false)).await;
    for deleted in 1..=3 {
        let start = (deleted - 1) * 220;
        collection.insert(&sequence, start..start + 220).await;
        for (at, other) in expendable.iter().enumerate() {
            let found = client.get(other.name.clone()).await;
            assert_eq!(found.is_err(), at < deleted, "{at} after {deleted}");
        }
        let stats = disk(&client).await;
        assert_eq!(stats.collections_deleted_for_room, deleted as u64);
        assert!(stats.used_bytes <= BUDGET);
    }
    let entry = collection.entry(&sequence, 660..1024);
    let refused = client.insert_one(entry).await;
    assert_refused(refused, ResourceExhausted, "disk.budget");
    kept.assert_has(&sequence, 200).await;
    collection.assert_has(&sequence, 660).await;
}
