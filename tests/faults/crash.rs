//! The process ends exactly at each point, under load: what was acknowledged is there after a start, what was not is there
//! whole or not at all, and nothing is left over.

use std::path::PathBuf;
use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use tokio::task::JoinSet;
use wavekv_client::{Client, ClientError, wire};

use crate::faulty::Faulty;
use crate::harness::poll::{A_MINUTE, until};
use crate::harness::written::Written;
use crate::harness::{Collection, Sequence, Shape};

/// Ends at each point; `WAVEKV_ROUNDS` has another number.
const ROUNDS: usize = 2;

pub(crate) fn rounds() -> usize {
    let given = std::env::var_os("WAVEKV_ROUNDS");
    given.map_or(ROUNDS, |rounds| rounds.to_str().unwrap().parse().unwrap())
}

/// Makes collections, stores in them and deletes them, until a call fails.
async fn come_and_go(client: Client) -> ClientError {
    let sequence = Sequence::random(Shape::default(), 200, 1);
    loop {
        let collection = Collection::unmade(&client);
        let request = wire::CreateRequest {
            collection: Some(collection.name.clone()),
            geometry: Some(Shape::default().geometry(1)),
            durability: wire::Durability::Power.into(),
            ..Default::default()
        };
        let made = client.create(request).await.err();
        let entry = collection.entry(&sequence, 0..200);
        let stored = client.insert_one(entry).await.err();
        let deleted = client.delete(collection.name).await.err();
        if let Some(error) = made.or(stored).or(deleted) {
            return error;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_there_wherever_the_process_ends() {
    let points = Faulty::points();
    let mut rng = Pcg64::seed_from_u64(1);
    let mut daemon = Faulty::start();
    let client = daemon.client().await;
    let mut written = vec![];
    for (seed, durability) in [
        (0, wire::Durability::Power),
        (1, wire::Durability::Power),
        (2, wire::Durability::Process),
    ] {
        written.push(Arc::new(Written::create(&client, durability, seed).await));
    }
    let mut seed = 0;
    // Those of a start and of healing have tests of their own.
    let under_load = |point: &&String| {
        !point.starts_with("number.")
            && *point != "catalog.probe"
            && *point != "catalog.open"
            && !Faulty::is_of_sharing(point)
    };
    for point in points.iter().filter(under_load) {
        for _ in 0..rounds() {
            let client = daemon.client().await;
            let passes = rng.random_range(0..4);
            daemon.set(point, &format!("{passes}*off->1*return(KILL)"));
            let mut writers = JoinSet::new();
            for written in &written {
                seed += 1;
                writers.spawn(Arc::clone(written).write(client.clone(), seed));
            }
            writers.spawn(come_and_go(client));
            let ended = until(2 * A_MINUTE, async || daemon.has_ended().then_some(())).await;
            assert!(
                ended.is_some(),
                "nobody comes to {point}:\n{}",
                daemon.log()
            );
            for error in writers.join_all().await {
                assert!(
                    matches!(error, ClientError::Lost { .. }),
                    "{point}: {error}"
                );
            }
            daemon = daemon.start_again();
            let client = daemon.client().await;
            for written in &mut written {
                Arc::get_mut(written).unwrap().check(&client).await;
            }
        }
    }
    nothing_is_left_over(daemon).await;
}

/// Deletes every collection, and looks after a start.
pub(crate) async fn nothing_is_left_over(daemon: Faulty) {
    let client = daemon.client().await;
    for described in client.list_all("*", "").await.unwrap() {
        let name = wire::CollectionRef {
            namespace: described.namespace,
            name: described.name,
            generation: None,
        };
        client.delete(name).await.unwrap();
    }
    let stats = client.stats(None).await.unwrap();
    assert_eq!(stats.disk.unwrap().used_bytes, 0);
    let daemon = daemon.start_again();
    daemon.client().await;
    assert_eq!(daemon.collection_files(), [] as [PathBuf; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_ends_at_any_point_harms_nothing() {
    let mut daemon = Faulty::start();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), 400, 2);
    let mut collection = Collection::create(&client, Shape::default()).await;
    collection.insert(&sequence, 0..400).await;
    collection.settle().await;
    let mut epoch = client.stats(None).await.unwrap().boot_epoch;
    for point in Faulty::points() {
        if !point.starts_with("number.") && point != "catalog.open" {
            continue;
        }
        for action in ["return(KILL)", "return(EIO)", "return(ENOSPC)"] {
            daemon = daemon.begin_again();
            daemon.set(&point, action);
            daemon.say("go");
            let status = daemon.ended().await.unwrap();
            assert!(!status.success(), "{point}");
            if action != "return(KILL)" {
                let log = daemon.log();
                let said = log.lines().last().unwrap();
                assert!(said.starts_with("wavekvd: data_dir: "), "{point}: {said}");
            }
            daemon = daemon.start_again();
            collection.client = daemon.client().await;
            let now = collection.client.stats(None).await.unwrap().boot_epoch;
            assert!(now > epoch, "{point}: boot epoch {now} after {epoch}");
            epoch = now;
            collection.assert_has(&sequence, 400).await;
        }
    }
}
