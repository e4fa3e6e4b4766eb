//! Beginnings and ends: of clients, of the daemon, and of the daemon while clients are busy.

use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinSet;
use wavekv_client::{Address, Client, ClientError, Code, ConnectOptions, wire};

use super::raw::Raw;
use super::wait_until_arenas_are_free;
use crate::harness::daemon::used_bytes;
use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

/// Calls that outlast a restart.
fn waiting() -> ConnectOptions {
    ConnectOptions {
        wait_for_restart: Duration::from_mins(1),
        ..ConnectOptions::default()
    }
}

async fn stored(client: &Client, sequence: &Sequence) -> Collection {
    let collection = Collection::create(client, sequence.shape).await;
    collection.insert(sequence, 0..sequence.tokens).await;
    collection
}

async fn assert_answers(collection: &Collection, sequence: &Sequence) {
    let answer = collection.attend(sequence, &[7], mode::exact()).await;
    let errors = sequence.errors(&[7], &answer);
    assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
}

#[tokio::test]
async fn after_a_kill_a_call_fails_and_the_next_connects_again() {
    let mut daemon = Daemon::start();
    let client = daemon.shm_client().await;
    let sequence = Sequence::random(Shape::default(), 40, 1);
    let collection = stored(&client, &sequence).await;
    let question = || collection.question(&sequence, &[7], mode::exact());
    let before = client.attend(vec![question()]).await.unwrap().boot_epoch;
    daemon.kill();
    let lost = client.attend_one(question()).await.unwrap_err();
    assert!(
        matches!(lost, ClientError::Lost { .. } | ClientError::Connect { .. }),
        "{lost}"
    );
    let away = client.attend_one(question()).await.unwrap_err();
    assert!(matches!(away, ClientError::Connect { .. }), "{away}");
    daemon.start_again();
    let after = client.attend(vec![question()]).await.unwrap();
    assert!(after.boot_epoch > before);
    assert_answers(&collection, &sequence).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_may_wait_go_on_after_a_restart() {
    let mut daemon = Daemon::start();
    let socket = Address::Unix(daemon.socket());
    let clients = [
        daemon.shm_client_with(waiting()).await,
        Client::connect_with(&socket, waiting()).await.unwrap(),
    ];
    let mut writers = JoinSet::new();
    for (client, seed) in clients.into_iter().zip(1..) {
        let sequence = Sequence::random(Shape::default(), 400, seed);
        let collection = Collection::create(&client, sequence.shape).await;
        writers.spawn(async move {
            // Whether a token was stored before the daemon ended, nobody knows; to repeat it is right either way.
            for token in 0..400 {
                collection.insert(&sequence, token..token + 1).await;
                if token % 50 == 7 {
                    assert_answers(&collection, &sequence).await;
                }
            }
            (collection, sequence)
        });
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        daemon.restart();
    }
    for (collection, sequence) in writers.join_all().await {
        collection.assert_has(&sequence, 400).await;
    }
}

#[tokio::test]
async fn a_daemon_that_stays_away_is_waited_for_no_longer_than_was_said() {
    let mut daemon = Daemon::start();
    let options = ConnectOptions {
        wait_for_restart: Duration::from_millis(100),
        ..ConnectOptions::default()
    };
    let client = daemon.shm_client_with(options).await;
    let sequence = Sequence::random(Shape::default(), 40, 1);
    let collection = stored(&client, &sequence).await;
    let question = collection.question(&sequence, &[7], mode::exact());
    daemon.kill();
    let away = client.attend_one(question.clone()).await.unwrap_err();
    assert!(matches!(away, ClientError::Connect { .. }), "{away}");
    let hasty = daemon_less(&client).attend_one(question).await.unwrap_err();
    assert_eq!(hasty.code(), Some(Code::DeadlineExceeded), "{hasty}");
}

/// The same client, whose deadline passes before it gives up.
fn daemon_less(client: &Client) -> Client {
    client.clone().with_deadline(Some(Duration::from_millis(1)))
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_waits_for_calls_only() {
    let mut daemon = Daemon::start();
    let client = daemon.shm_client().await;
    let sequence = Sequence::random(Shape::default(), 40, 1);
    let collection = stored(&client, &sequence).await;
    // One that will never read that the daemon stops.
    let frozen = Raw::connect(&daemon);
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().await.success(), "{}", daemon.log());
    assert!(!daemon.shm_socket().exists());
    assert!(frozen.is_cut_off().await);
    let question = collection.question(&sequence, &[7], mode::exact());
    let stopped = client.attend_one(question).await.unwrap_err();
    assert!(matches!(stopped, ClientError::Connect { .. }), "{stopped}");
    assert!(!daemon.log().contains("cut off"), "{}", daemon.log());
}

#[tokio::test]
async fn what_a_client_had_is_free_when_it_ends() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let before = used_bytes(&client).await;
    let over_shm = daemon.shm_client().await;
    let with_arena = used_bytes(&client).await;
    assert!(with_arena >= before + (32 << 20), "{with_arena}, {before}");
    over_shm
        .segment_cluster(vec![wire::LayerRef::default()])
        .await
        .unwrap();
    drop(over_shm);
    daemon.wait_until_it_uses(&client, before).await;
}

/// In the middle of calls too, whose answers then nobody reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ends_in_the_middle_of_calls_leaves_nothing() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), 2000, 1);
    let collection = stored(&client, &sequence).await;
    collection.settle().await;
    let before = used_bytes(&client).await;
    for _ in 0..20 {
        let over_shm = daemon.shm_client().await;
        let tasks: JoinSet<_> = (0..8)
            .map(|_| {
                let question = collection.question(&sequence, &[1999; 64], mode::exact());
                let over_shm = over_shm.clone();
                async move { over_shm.attend_one(question).await.is_ok() }
            })
            .collect();
        tokio::task::yield_now().await;
        drop(tasks);
    }
    wait_until_arenas_are_free(&client, before, 32 << 20).await;
    assert_answers(&collection, &sequence).await;
    let log = daemon.log();
    assert!(
        !log.contains("ERROR") && !log.contains("breaks the contract"),
        "{log}"
    );
}
