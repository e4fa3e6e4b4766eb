//! What there is not enough of: one waits for it, or is told.

use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinSet;
use wavekv_client::{Address, Client, ClientError, Code, ConnectOptions, ShmOptions};
use wavekv_shm::handshake::ConnectError;

use super::raw::{ARENA_BYTES, RING_ENTRIES, Raw};
use super::{sleeping, with};
use crate::bad_input::assert_refused;
use crate::harness::poll::{A_MINUTE, until};
use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

#[tokio::test]
async fn sizes_and_connections_have_limits_that_are_named() {
    let daemon = Daemon::with(&[
        "shm.max_connections=2",
        "shm.max_arena_bytes=1MiB",
        "shm.max_ring_entries=8",
        "memory.budget=16MiB",
    ]);
    let connect = |entries, arena| match Raw::try_connect(&daemon, entries, arena) {
        Ok(raw) => Ok(raw),
        Err(ConnectError::Refused { code, sentence }) => Err((code, sentence)),
        Err(error) => panic!("{error}"),
    };
    for (entries, arena, code, said) in [
        (
            16,
            ARENA_BYTES,
            Code::InvalidArgument,
            "ring_entries is 16: expected at most 8, shm.",
        ),
        (
            4,
            2 << 20,
            Code::InvalidArgument,
            "arena_bytes is 2097152: expected at most 1048576",
        ),
    ] {
        let (found, sentence) = connect(entries, arena).err().unwrap();
        assert_eq!(found, code as u32);
        assert!(sentence.starts_with(said), "{sentence}");
    }
    let first = connect(RING_ENTRIES, ARENA_BYTES).ok().unwrap();
    let _second = connect(RING_ENTRIES, ARENA_BYTES).ok().unwrap();
    let options = with(ShmOptions {
        arena_bytes: ARENA_BYTES,
        ring_entries: 8,
        ..ShmOptions::default()
    });
    let address = Address::Shm(daemon.shm_socket());
    let third = Client::connect_with(&address, options).await;
    assert_refused(third, Code::ResourceExhausted, "shm.max_connections is 2");
    // Whoever ends makes room, without being asked.
    drop(first);
    let third = until(A_MINUTE, async || {
        Client::connect_with(&address, options).await.ok()
    });
    assert!(third.await.is_some());
}

#[tokio::test]
async fn an_arena_counts_in_the_memory_budget() {
    let daemon = Daemon::with(&["memory.budget=16MiB"]);
    let address = Address::Shm(daemon.shm_socket());
    let refused = Client::connect(&address).await;
    assert_refused(refused, Code::ResourceExhausted, "memory.budget is 16");
}

#[tokio::test]
async fn a_daemon_may_have_none() {
    let daemon = Daemon::with(&["shm.max_connections=0"]);
    assert!(!daemon.shm_socket().exists());
    let refused = Client::connect(&Address::Shm(daemon.shm_socket())).await;
    assert!(matches!(refused, Err(ClientError::Connect { .. })));
}

/// An arena that has one call at a time, and a ring that has two.
fn narrow() -> ConnectOptions {
    with(ShmOptions {
        arena_bytes: 65_536,
        ring_entries: 2,
        spin: Duration::ZERO,
    })
}

#[tokio::test]
async fn a_batch_that_the_arena_can_never_have_is_refused_at_once() {
    let daemon = Daemon::start();
    let client = daemon.shm_client_with(narrow()).await;
    let collection = Collection::create(&client, Shape::default()).await;
    let sequence = Sequence::random(Shape::default(), 2000, 1);
    let refused = client
        .insert_one(collection.entry(&sequence, 0..2000))
        .await;
    assert_refused(refused, Code::InvalidArgument, "the batch is ");
    // Its pieces fit.
    for start in (0..2000).step_by(100) {
        collection.insert(&sequence, start..start + 100).await;
    }
    let by_others = collection.on(&daemon.client().await);
    by_others.assert_has(&sequence, 2000).await;
    let refused = collection.fetch(0..2000).await;
    assert_refused(refused, Code::InvalidArgument, "the batch is ");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_find_no_room_wait_for_it() {
    let daemon = Daemon::start();
    let client = daemon.shm_client_with(narrow()).await;
    let collection = Collection::create(&client, Shape::default()).await;
    let sequence = Sequence::random(Shape::default(), 100, 1);
    collection.insert(&sequence, 0..100).await;
    let sequence = std::sync::Arc::new(sequence);
    let mut tasks = JoinSet::new();
    for token in 0..100 {
        let (collection, sequence) = (collection.clone(), std::sync::Arc::clone(&sequence));
        tasks.spawn(async move {
            let asked: Vec<u32> = vec![token; 40];
            let answer = collection.attend(&sequence, &asked, mode::exact()).await;
            let errors = sequence.errors(&asked, &answer);
            assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
        });
    }
    tasks.join_all().await;
}

/// A daemon that does not go on, and calls that do not wait for it.
#[tokio::test]
async fn a_deadline_ends_a_call_and_its_room_comes_back_with_the_answer() {
    let daemon = Daemon::start();
    let patient = daemon.shm_client_with(narrow()).await;
    let collection = Collection::create(&patient, Shape::default()).await;
    let sequence = Sequence::random(Shape::default(), 50, 1);
    collection.insert(&sequence, 0..50).await;
    let hasty = patient
        .clone()
        .with_deadline(Some(Duration::from_millis(200)));
    daemon.freeze();
    // More than there is room for: some wait for an answer, the others for room.
    let question = || collection.question(&sequence, &[1; 40], mode::exact());
    let calls: JoinSet<_> = (0..6)
        .map(|_| {
            let (hasty, question) = (hasty.clone(), question());
            async move { hasty.attend_one(question).await }
        })
        .collect();
    for late in calls.join_all().await {
        assert_eq!(late.unwrap_err().code(), Some(Code::DeadlineExceeded));
    }
    daemon.signal(Signal::CONT);
    for token in 0..50 {
        let asked = vec![token; 40];
        let answer = collection.attend(&sequence, &asked, mode::exact()).await;
        let errors = sequence.errors(&asked, &answer);
        assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
    }
}

#[tokio::test]
async fn both_sides_may_always_sleep_and_always_spin() {
    for spin_us in [0, 100_000] {
        let setting = format!("shm.spin_us={spin_us}");
        let daemon = Daemon::with(&[&setting]);
        let spinning = with(ShmOptions {
            spin: Duration::from_millis(100),
            ..ShmOptions::default()
        });
        for options in [sleeping(), spinning] {
            let client = daemon.shm_client_with(options).await;
            let collection = Collection::create(&client, Shape::default()).await;
            let sequence = Sequence::random(Shape::default(), 60, 1);
            for token in 0..60 {
                collection.insert(&sequence, token..token + 1).await;
            }
            collection.assert_has(&sequence, 60).await;
        }
    }
}
