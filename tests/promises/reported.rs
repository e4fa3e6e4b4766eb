//! Failures that users of other KV stores report, each by its name. Others are promises of their own: a cached prompt that
//! answers differently after a restart (`durability.rs`), a crash or a hang when the disk is full (`full_disk.rs`, and
//! `tests/faults` for one that fails), a sequence that has another's tokens under its name or in its batch (`isolation.rs`).

use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use rustix::process::Signal;
use tokio::task::JoinSet;
use wavekv_client::Code::{
    AlreadyExists, FailedPrecondition, InvalidArgument, OutOfRange, ResourceExhausted,
};
use wavekv_client::{Address, Client, ClientError, ConnectOptions, wire};
use wavekv_trace::Dtype;

use crate::bad_input::assert_refused;
use crate::harness::{Collection, Daemon, EXACT, Sequence, Shape, mode};

/// Longer than any call takes, however busy the machine: one that takes longer hangs.
const A_MINUTE: Duration = Duration::from_mins(1);

/// A KiB a token.
const SHAPE: Shape = Shape {
    kv_heads: 2,
    group: 2,
    head_dim: 64,
    value_dim: 64,
    dtype: Dtype::F32,
    window: 0,
};

/// A store that failed but stays visible to look-ups and serves garbage.
#[tokio::test]
async fn what_failed_to_store_is_visible_to_nobody() {
    let mut daemon = Daemon::with(&["disk.budget=2MiB"]);
    let mut collection = Collection::create(&daemon.client().await, SHAPE).await;
    let sequence = Sequence::random(SHAPE, 4000, 1);
    let (stored, refused) = collection.fill(&sequence, 0, 100).await;
    assert_eq!(refused.code(), Some(ResourceExhausted), "{refused}");
    // In one batch with what is stored, and with a token that is no number.
    let mut broken = collection.entry(&sequence, stored..stored + 1);
    let data = &mut broken.v.as_mut().unwrap().data;
    *data = f32::NAN.to_le_bytes().repeat(data.len() / 4).into();
    let entries = vec![collection.entry(&sequence, 0..10), broken];
    let answers = collection.client.insert(entries).await.unwrap().results;
    assert!(answers[0].is_ok());
    assert_eq!(
        answers[1].as_ref().unwrap_err().code(),
        Some(InvalidArgument)
    );
    for restarted in [false, true] {
        if restarted {
            daemon.restart();
            collection = collection.on(&daemon.client().await);
        }
        assert_eq!(collection.length().await, stored);
        collection.assert_has(&sequence, stored).await;
        let (last, next) = (stored as u32 - 1, stored as u32);
        let answer = collection.attend(&sequence, &[last], mode::exact()).await;
        let errors = sequence.errors(&[last], &answer);
        assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
        let beyond = collection.fetch(last..next + 1).await;
        assert_refused(beyond, OutOfRange, "range.end is");
        let question = collection.question(&sequence, &[next], mode::exact());
        let beyond = collection.client.attend_one(question).await;
        assert_refused(beyond, OutOfRange, "positions");
    }
}

/// A sequence that comes back from disk with another sequence's KV under concurrency.
#[tokio::test(flavor = "multi_thread")]
async fn sequences_that_come_back_from_disk_at_once_are_their_own() {
    const SEQUENCES: u64 = 6;
    const TOKENS: usize = 4096;
    // A third of what is stored.
    let mut daemon = Daemon::with(&["memory.budget=16MiB"]);
    let client = daemon.client().await;
    let mut stored = vec![];
    for seed in 0..SEQUENCES {
        let sequence = Sequence::random(SHAPE, TOKENS, seed);
        let collection = Collection::create(&client, SHAPE).await;
        for start in (0..TOKENS).step_by(512) {
            collection.insert(&sequence, start..start + 512).await;
        }
        collection.settle().await;
        stored.push(Arc::new((collection, sequence)));
    }
    for _ in 0..2 {
        daemon.restart();
        let mut readers = JoinSet::new();
        for reader in 0..4 {
            let client = daemon.client().await;
            readers.spawn(read(client, stored.clone(), reader));
        }
        readers.join_all().await;
    }
}

async fn read(client: Client, stored: Vec<Arc<(Collection, Sequence)>>, reader: u64) {
    let mut rng = Pcg64::seed_from_u64(reader);
    for _ in 0..24 {
        let (collection, sequence) = &*stored[rng.random_range(0..stored.len())];
        let collection = collection.on(&client);
        let start = rng.random_range(0..sequence.tokens - 300);
        let fetched = collection.fetch(start as u32..start as u32 + 300).await;
        assert!(sequence.equals(start..start + 300, &fetched.unwrap()));
        let position = rng.random_range(0..sequence.tokens as u32);
        let answer = collection
            .attend(sequence, &[position], mode::exact())
            .await;
        let errors = sequence.errors(&[position], &answer);
        assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
    }
}

/// A changed layout, dtype or model that is accepted silently.
#[tokio::test]
async fn another_model_layout_or_dtype_is_refused_before_and_after_a_restart() {
    let mut daemon = Daemon::start();
    let sequence = Sequence::random(SHAPE, 100, 1);
    let mut collection = Collection::create(&daemon.client().await, SHAPE).await;
    collection.insert(&sequence, 0..50).await;
    let others = [
        Shape {
            dtype: Dtype::Bf16,
            ..SHAPE
        },
        Shape {
            kv_heads: 4,
            group: 1,
            ..SHAPE
        },
        Shape {
            head_dim: 32,
            ..SHAPE
        },
        Shape {
            value_dim: 128,
            ..SHAPE
        },
    ];
    for _ in 0..2 {
        let client = &collection.client;
        let model = client
            .get_of_model(collection.name.clone(), "the next revision")
            .await;
        assert_refused(model, FailedPrecondition, "expected_fingerprint is");
        let own = SHAPE.geometry(1).fingerprint;
        client
            .get_of_model(collection.name.clone(), &own)
            .await
            .unwrap();
        for shape in others {
            let request = collection.request(shape, crate::harness::collection::SMALL_INDEX);
            assert_refused(client.create(request).await, AlreadyExists, "name is");
            let other = Sequence::random(shape, 100, 1);
            let insert = client.insert_one(collection.entry(&other, 50..60)).await;
            assert_eq!(
                insert.unwrap_err().code(),
                Some(InvalidArgument),
                "{shape:?}"
            );
        }
        let other = Sequence::random(Shape { group: 4, ..SHAPE }, 100, 1);
        let question = collection.question(&other, &[10], mode::exact());
        assert_refused(
            client.attend_one(question).await,
            InvalidArgument,
            "q.shape",
        );
        assert_eq!(collection.length().await, 50);
        daemon.restart();
        collection = collection.on(&daemon.client().await);
    }
    collection.assert_has(&sequence, 50).await;
}

/// A crash or a hang when memory is full.
#[tokio::test]
async fn a_full_memory_refuses_answers_and_goes_on_when_there_is_room() {
    let daemon = Daemon::with(&["memory.budget=16MiB"]);
    let client = daemon.client().await.with_deadline(Some(A_MINUTE));
    let sequence = Sequence::random(SHAPE, 20_000, 1);
    for durability in [wire::Durability::None, wire::Durability::Process] {
        let index = wire::IndexParameters {
            kind: wire::IndexKind::Flat.into(),
            ..Default::default()
        };
        let [first, second] = [(); 2].map(|()| Collection::unmade(&client));
        for collection in [&first, &second] {
            let request = wire::CreateRequest {
                durability: durability.into(),
                ..collection.request(SHAPE, index)
            };
            client.create(request).await.unwrap();
        }
        first.insert(&sequence, 0..2000).await;
        let (stored, refused) = second.fill(&sequence, 0, 250).await;
        let ClientError::Entry { code, message, .. } = refused else {
            panic!("{refused}");
        };
        assert_eq!(code, ResourceExhausted, "{message}");
        assert!(message.contains("memory.budget is"), "{message}");
        // It answers, and what it has is what was acknowledged.
        second.assert_has(&sequence, stored).await;
        let last = stored as u32 - 1;
        let answer = second.attend(&sequence, &[last], mode::exact()).await;
        let errors = sequence.errors(&[last], &answer);
        assert!(errors.iter().all(|error| *error < EXACT), "{errors:?}");
        first.delete().await;
        second.insert(&sequence, stored..stored + 250).await;
        second.assert_has(&sequence, stored + 250).await;
        second.delete().await;
    }
}

/// A client that hangs for ever when the daemon restarts.
#[tokio::test(flavor = "multi_thread")]
async fn no_client_hangs_when_the_daemon_goes_freezes_or_comes_back() {
    let mut daemon = Daemon::start();
    let address = Address::Unix(daemon.socket());
    let options = ConnectOptions {
        silence: Duration::from_millis(300),
        ..ConnectOptions::default()
    };
    let client = Client::connect_with(&address, options).await.unwrap();
    let collection = Collection::create(&client, SHAPE).await;
    let sequence = Sequence::random(SHAPE, 4000, 1);
    let before = client.stats(None).await.unwrap().boot_epoch;

    // It ends in the middle of a call without a deadline.
    let busy = collection.clone();
    let tokens = sequence.clone();
    let writing = tokio::spawn(async move { busy.fill(&tokens, 0, 1).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    daemon.kill();
    let (stored, lost) = ends(writing).await.unwrap();
    assert!(matches!(lost, ClientError::Lost { .. }), "{lost}");
    // Nobody is there.
    let absent = ends(client.stats(None)).await.unwrap_err();
    assert!(matches!(absent, ClientError::Lost { .. }), "{absent}");
    assert!(ends(Client::connect(&address)).await.is_err());

    // The same client goes on when it is back, and is told that it is another start.
    daemon.start_again();
    let after = ends(client.stats(None)).await.unwrap().boot_epoch;
    assert!(after > before);
    let length = collection.length().await;
    assert!(
        length == stored || length == stored + 1,
        "{length} of {stored}"
    );
    collection.assert_has(&sequence, length).await;

    // It freezes: a call with a deadline ends at it, one without when the silence is too long.
    daemon.freeze();
    let hasty = client
        .clone()
        .with_deadline(Some(Duration::from_millis(50)));
    assert!(ends(hasty.stats(None)).await.is_err());
    let silent = ends(client.stats(None)).await.unwrap_err();
    assert!(matches!(silent, ClientError::Lost { .. }), "{silent}");
    daemon.signal(Signal::CONT);
    ends(client.stats(None)).await.unwrap();
}

/// What a call comes to, which it does.
async fn ends<T>(call: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(A_MINUTE, call).await;
    ended.unwrap_or_else(|_| panic!("a call hangs"))
}
