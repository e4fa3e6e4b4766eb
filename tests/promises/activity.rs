//! Activity: counts that grow by what was done, over gRPC and shared memory, and the collections that it was done with.

use wavekv_client::Code::InvalidArgument;
use wavekv_client::{Client, wire};

use crate::bad_input::assert_refused;
use crate::harness::mode::{adaptive, exact};
use crate::harness::poll::{A_MINUTE, until};
use crate::harness::{Collection, Daemon, Sequence, Shape};

/// Calls of a kind that were counted, in all buckets.
fn calls(told: &wire::ActivityResponse, operation: &str, transport: &str, outcome: &str) -> u64 {
    let calls = told.calls.iter().filter(|call| {
        call.operation == operation && call.transport == transport && call.outcome == outcome
    });
    calls.flat_map(|call| &call.counts).sum()
}

/// What is told when so many attends over shared memory are counted: a call is when its answer has left, which may be after its
/// caller has it.
async fn after(client: &Client, attends: u64) -> wire::ActivityResponse {
    let counted = async || {
        let told = client.activity(100).await.unwrap();
        (calls(&told, "attend", "shm", "ok") == attends).then_some(told)
    };
    until(A_MINUTE, counted).await.unwrap()
}

#[tokio::test]
async fn counts_grow_by_what_was_done_over_grpc_and_over_shared_memory() {
    let daemon = Daemon::with(&["audit.share=0"]);
    let (client, shm) = (daemon.client().await, daemon.shm_client().await);
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 400, 1);
    let collection = Collection::create(&client, shape).await;
    let over_shm = collection.on(&shm);
    let nothing = client.activity(100).await.unwrap();
    assert!(nothing.collections.is_empty(), "{nothing:?}");
    assert_eq!((nothing.inserted_tokens, nothing.full_bytes), (0, 0));

    collection.insert(&sequence, 0..300).await;
    over_shm.insert(&sequence, 290..400).await;
    collection.attend(&sequence, &[399], adaptive(0.05)).await;
    over_shm.attend(&sequence, &[399], exact()).await;
    let before = after(&client, 1).await;
    let audited = wire::AttendEntry {
        audit: true,
        ..over_shm.question(&sequence, &[399], exact())
    };
    let report = shm.attend_one(audited).await.unwrap().report.unwrap();
    over_shm.fetch(0..401).await.unwrap_err();
    let now = after(&client, 2).await;

    for (operation, transport, outcome, expected) in [
        ("insert", "grpc_unix", "ok", 1),
        ("insert", "shm", "ok", 1),
        ("attend", "grpc_unix", "ok", 1),
        ("create", "grpc_unix", "ok", 1),
        ("attend", "grpc_tcp", "ok", 0),
    ] {
        let found = calls(&before, operation, transport, outcome);
        assert_eq!(found, expected, "{operation} {transport} {outcome}");
    }
    assert_eq!(before.inserted_tokens, 400);
    assert_eq!(now.inserted_tokens, before.inserted_tokens);
    assert_eq!(now.audits, before.audits + 1);
    assert_eq!(now.read_bytes, before.read_bytes + report.bytes_read);
    assert_eq!(now.full_bytes, before.full_bytes + report.full_bytes);
    for told in [&before, &now] {
        let ends = &told.bucket_seconds;
        assert!(ends.is_sorted() && !ends.is_empty());
        let whole = told.calls.iter();
        assert!(
            whole
                .clone()
                .all(|call| call.counts.len() == ends.len() + 1)
        );
        let stats = told.stats.as_ref().unwrap();
        assert_eq!((stats.collections, stats.boot_epoch), (1, 1));
    }
    let [collection] = &now.collections[..] else {
        panic!("{:?}", now.collections);
    };
    assert_eq!((collection.attends, collection.inserts), (3, 2));
    assert_eq!(collection.inserted_tokens, 400);
    assert_eq!(collection.read_bytes, now.read_bytes);
    assert_eq!(collection.full_bytes, now.full_bytes);
}

#[tokio::test]
async fn the_collections_used_last_are_told_of_and_no_more_than_were_asked_for() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 10, 1);
    let mut made = vec![];
    for _ in 0..3 {
        made.push(Collection::create(&client, shape).await);
    }
    // What was used within one moment is in no order.
    let apart = async || tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    for collection in [&made[1], &made[0]] {
        collection.insert(&sequence, 0..10).await;
        apart().await;
    }
    let names = async |busiest| {
        let told = client.activity(busiest).await.unwrap().collections;
        let names = told.into_iter().map(|told| {
            let collection = told.collection.unwrap();
            assert!(collection.generation.is_some());
            collection.name
        });
        names.collect::<Vec<String>>()
    };
    let name = |number: usize| made[number].name.name.clone();
    // With the third, nothing was done.
    assert_eq!(names(100).await, [name(0), name(1)]);
    assert_eq!(names(1).await, [name(0)]);
    assert!(names(0).await.is_empty());
    made[1].attend(&sequence, &[9], exact()).await;
    assert_eq!(names(1).await, [name(1)]);
    made[1].delete().await;
    assert_eq!(names(100).await, [name(0)]);
    let too_many = client.activity(101).await;
    assert_refused(
        too_many,
        InvalidArgument,
        "busiest is 101: expected at most 100",
    );
}
