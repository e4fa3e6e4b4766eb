//! The disk fails or is full at each point: the call says so with its code, loses nothing, and the next one succeeds.

use wavekv_client::{Client, ClientError, Code, wire};

use crate::faulty::Faulty;
use crate::harness::collection::SMALL_INDEX;
use crate::harness::{Collection, Sequence, Shape};

const TOKENS: usize = 600;
/// More than 64 KiB: a file of its own.
const LARGE: usize = 200;

/// Does `call` until it succeeds, which must be soon; the codes that it was refused with.
async fn insist<T>(
    refusals: &mut Vec<Code>,
    mut call: impl AsyncFnMut() -> Result<T, ClientError>,
) -> T {
    for _ in 0..4 {
        match call().await {
            Ok(answer) => return answer,
            Err(
                ClientError::Refused { code, message } | ClientError::Entry { code, message, .. },
            ) => {
                assert!(message.contains("data_dir: "), "{message}");
                refusals.push(code);
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("refused after the disk works again: {refusals:?}");
}

/// Everything that is stored and removed, each until it is done.
async fn exercise(collection: &Collection, sequence: &Sequence) -> Vec<Code> {
    let mut refusals = vec![];
    let client = &collection.client;
    let request = wire::CreateRequest {
        durability: wire::Durability::Power.into(),
        ..collection.request(Shape::default(), SMALL_INDEX)
    };
    insist(&mut refusals, async || client.create(request.clone()).await).await;
    for range in [0..LARGE, LARGE..LARGE + 5, LARGE + 5..2 * LARGE] {
        let before = collection.length().await;
        assert_eq!(before, range.start);
        insist(&mut refusals, async || {
            let answer = client
                .insert_one(collection.entry(sequence, range.clone()))
                .await;
            if answer.is_err() {
                // What is refused is not there.
                assert_eq!(collection.length().await, before);
            }
            answer
        })
        .await;
        insist(&mut refusals, async || {
            client.segment_cluster_one(collection.layer()).await
        })
        .await;
        collection.assert_has(sequence, range.end).await;
    }
    // Into a segment, and behind all of them.
    for length in [2 * LARGE - 1, LARGE + 3] {
        insist(&mut refusals, async || {
            client
                .truncate(collection.name.clone(), length as u32)
                .await
        })
        .await;
        collection.assert_has(sequence, length).await;
    }
    insist(&mut refusals, async || {
        let entry = collection.entry(sequence, LARGE + 3..TOKENS);
        client.insert_one(entry).await
    })
    .await;
    collection.assert_has(sequence, TOKENS).await;
    collection.settle().await;
    refusals
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_at_any_point_is_said_loses_nothing_and_passes() {
    let mut daemon = Faulty::start();
    let sequence = Sequence::random(Shape::default(), TOKENS, 3);
    let (mut stored, mut failed, mut refused) = (vec![], 0, 0);
    for point in Faulty::points() {
        // Those of a start have a test of their own; behind a commit nothing fails.
        if point.starts_with("number.")
            || point == "catalog.committed"
            || Faulty::is_of_sharing(&point)
        {
            continue;
        }
        for (action, code) in [
            ("EIO", Code::Unavailable),
            ("ENOSPC", Code::ResourceExhausted),
        ] {
            let client = daemon.client().await;
            let collection = Collection::unmade(&client);
            if point == "catalog.probe" || point == "catalog.open" {
                // The catalog is opened anew after a failure only.
                daemon.set("catalog.commit", "1*return(EIO)");
            }
            failed = failed.max(builds_failed(&client).await);
            daemon.set(&point, &format!("1*return({action})"));
            let refusals = exercise(&collection, &sequence).await;
            if point.ends_with(".remove") {
                assert_eq!(refusals, [], "{point}");
            } else {
                // A build in the background may have come first, for which nobody waited.
                let now = builds_failed(&client).await;
                assert!(
                    refusals.contains(&code) || now > failed,
                    "{point}: {refusals:?}"
                );
                refused += usize::from(refusals.contains(&code));
                failed = now;
            }
            daemon.set(&point, "off");
            stored.push(collection.name);
        }
    }
    assert!(refused >= 8, "of {}", stored.len());
    daemon = daemon.start_again();
    let client = daemon.client().await;
    for name in &stored {
        let client = client.clone();
        let name = name.clone();
        let collection = Collection { client, name };
        collection.assert_has(&sequence, TOKENS).await;
    }
    for name in stored {
        client.delete(name).await.unwrap();
    }
    assert!(daemon.collection_files().is_empty());
}

async fn builds_failed(client: &Client) -> u64 {
    let stats = client.stats(None).await.unwrap();
    stats.clustering.unwrap().builds_failed
}

/// The catalog refuses for a while, and every call with it; questions are answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_for_long_refuses_every_change_and_answers_every_question() {
    let mut daemon = Faulty::start();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), TOKENS, 4);
    let collection = Collection::create(&client, Shape::default()).await;
    collection.insert(&sequence, 0..LARGE).await;
    collection.settle().await;
    for (point, action, code) in [
        ("catalog.commit", "EIO", Code::Unavailable),
        ("catalog.probe", "ENOSPC", Code::ResourceExhausted),
        ("catalog.open", "EIO", Code::Unavailable),
    ] {
        daemon.set("catalog.commit", "1*return(EIO)");
        daemon.set(point, &format!("return({action})"));
        for round in 0..5 {
            let entry = collection.entry(&sequence, LARGE..LARGE + 5);
            let refused = client.insert_one(entry).await.unwrap_err();
            let ClientError::Entry {
                code: found,
                message,
                ..
            } = refused
            else {
                panic!("{refused}");
            };
            if round > 0 {
                assert_eq!(found, code, "{message}");
            }
            let refused = client.delete(collection.name.clone()).await;
            assert!(refused.is_err());
            collection.assert_has(&sequence, LARGE).await;
        }
        daemon.set(point, "off");
        collection.insert(&sequence, LARGE..LARGE + 5).await;
        client
            .truncate(collection.name.clone(), LARGE as u32)
            .await
            .unwrap();
    }
    daemon = daemon.start_again();
    let client = daemon.client().await;
    let name = collection.name;
    let collection = Collection { client, name };
    assert_eq!(collection.length().await, LARGE);
    collection.assert_has(&sequence, LARGE).await;
}
