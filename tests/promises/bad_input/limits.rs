//! The limits of the settings: what is over one is refused and names the setting, and what was acknowledged stays.

use wavekv_client::Code::{InvalidArgument, ResourceExhausted};
use wavekv_client::wire;

use super::{SHAPE, assert_refused, state};
use crate::harness::collection::SMALL_INDEX;
use crate::harness::{Collection, Daemon, Sequence, Shape};

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let daemon = Daemon::with(&["grpc.max_message_bytes=1MiB"]);
    let client = daemon.client().await;
    let collection = Collection::create(&client, SHAPE).await;
    let sequence = Sequence::random(SHAPE, 8000, 1);
    let whole = client
        .insert_one(collection.entry(&sequence, 0..8000))
        .await;
    // To the byte it depends on the frames of its fields.
    let named = "the message is 1280";
    assert_refused(whole, InvalidArgument, named);
    let over = collection.entry(&sequence, 0..8000);
    let streamed = client.insert_stream(tokio_stream::iter([over]), 1).await;
    assert_refused(streamed, InvalidArgument, named);
    // Far more than the daemon reads before it refuses.
    let mut vast = collection.entry(&sequence, 0..1);
    vast.k.as_mut().unwrap().data = vec![0; 100 << 20].into();
    let vast = client.insert_one(vast).await;
    assert_refused(vast, InvalidArgument, "the message is 104857");
    collection.insert(&sequence, 0..4000).await;
}

#[tokio::test]
async fn collections_and_tokens_over_the_limit_are_refused() {
    let daemon = Daemon::with(&[
        "limits.max_collections=1",
        "limits.max_tokens_per_layer=100",
    ]);
    let client = daemon.client().await;
    let collection = Collection::create(&client, SHAPE).await;
    let second = wire::CreateRequest {
        collection: Some(Collection::unmade(&client).name),
        geometry: Some(SHAPE.geometry(1)),
        ..Default::default()
    };
    let named = "limits.max_collections is 1";
    assert_refused(
        client.create(second.clone()).await,
        ResourceExhausted,
        named,
    );

    let sequence = Sequence::random(SHAPE, 101, 1);
    collection.insert(&sequence, 0..99).await;
    let before = state(&collection).await;
    let over = client
        .insert_one(collection.entry(&sequence, 99..101))
        .await;
    assert_refused(
        over,
        ResourceExhausted,
        "start_position is 99 with 2 tokens",
    );
    assert!(state(&collection).await == before);
    collection.insert(&sequence, 99..100).await;

    collection.delete().await;
    client.create(second).await.unwrap();
}

/// Also clusters need memory: they are built where there is room, and what is not clustered stays exact.
#[tokio::test]
async fn what_was_acknowledged_before_the_memory_was_full_stays() {
    let daemon = Daemon::with(&["memory.budget=16MiB", "storage.durability=none"]);
    let client = daemon.client().await;
    let shape = Shape {
        head_dim: 512,
        value_dim: 512,
        ..SHAPE
    };
    let sequence = Sequence::random(shape, 8192, 1);
    let collection = Collection::create(&client, shape).await;
    let mut stored = 0;
    let full = loop {
        let entry = collection.entry(&sequence, stored..stored + 256);
        match client.insert_one(entry).await {
            Ok(inserted) => stored = inserted.length as usize,
            full => break full,
        }
    };
    assert_refused(full, ResourceExhausted, "memory.budget is 16777216 bytes");
    collection.settle().await;
    let (description, fetched) = state(&collection).await;
    assert_eq!(description.length as usize, stored);
    assert!(sequence.equals(0..stored, &fetched));

    collection.delete().await;
    // A build in the background may still have some of it.
    daemon.wait_until_it_uses(&client, 0).await;
    collection.make(shape, SMALL_INDEX).await;
    collection.insert(&sequence, 0..256).await;
}
