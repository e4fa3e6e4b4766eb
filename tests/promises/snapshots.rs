//! A snapshot is a collection as it was at one moment: it outlives the collection and the daemon, can be restored here, under
//! another name and under another daemon, and answers then as the collection did, to the bit. Where a byte of it is not what
//! it was, nothing is restored.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use wavekv_client::{Address, Client, ClientError, Code, blocking, wire};

use crate::harness::collection::{SMALL_INDEX, named};
use crate::harness::property::BUILT_KINDS;
use crate::harness::{Collection, Daemon, Sequence, Shape, mode};

const TOKENS: usize = 600;
const DURABILITIES: [wire::Durability; 3] = [
    wire::Durability::None,
    wire::Durability::Process,
    wire::Durability::Power,
];

/// A daemon with a directory of snapshots, which another may have too.
struct Archive {
    folder: tempfile::TempDir,
}

impl Archive {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn daemon(&self) -> Daemon {
        self.daemon_with(&[])
    }

    fn daemon_with(&self, settings: &[&str]) -> Daemon {
        let setting = format!("storage.snapshot_dir={}", self.path().display());
        Daemon::with(&[&[setting.as_str()], settings].concat())
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("snapshots")
    }

    /// Names in the directory.
    fn entries(&self) -> Vec<String> {
        entries(&self.path())
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn take(collection: &Collection, name: &str) -> wire::SnapshotDescription {
    let (client, of) = (&collection.client, collection.name.clone());
    client.snapshot(of, name, |_| ()).await.unwrap()
}

/// A collection of a snapshot, under a name of its own.
async fn restore(client: &Client, snapshot: &str) -> Collection {
    let collection = Collection::unmade(client);
    let name = Some(collection.name.clone());
    let restored = client.restore(snapshot, name, |_| ()).await;
    assert_eq!(restored.unwrap().name, collection.name.name);
    collection
}

/// Everything that a collection of `tokens` tokens answers, to the bit: its K and V too.
async fn answers(
    collection: &Collection,
    sequence: &Sequence,
    tokens: usize,
) -> Vec<wire::AttendOutcome> {
    collection.settle().await;
    assert_eq!(collection.length().await, tokens);
    collection.assert_has(sequence, tokens).await;
    let mut answers = vec![];
    let last = tokens as u32 - 1;
    for mode in [mode::exact(), mode::adaptive(0.05), mode::retroinfer()] {
        let mut answer = collection.attend(sequence, &[last, last / 2], mode).await;
        answer.generation = 0;
        answers.push(answer);
    }
    answers
}

fn refused<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> (Code, String) {
    match answer {
        Err(ClientError::Refused { code, message }) => (code, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_restored_collection_answers_as_the_one_that_is_gone_did() {
    let archive = Archive::new();
    let mut daemon = archive.daemon();
    let sequence = Sequence::random(Shape::default(), TOKENS, 1);
    for (number, kind) in BUILT_KINDS.iter().enumerate() {
        for durability in DURABILITIES {
            let client = daemon.client().await;
            let source = Collection::unmade(&client);
            let index = wire::IndexParameters {
                kind: (*kind).into(),
                ..SMALL_INDEX
            };
            let request = wire::CreateRequest {
                durability: durability.into(),
                ttl_seconds: 4000,
                expendable: true,
                ..source.request(Shape::default(), index)
            };
            let created = client.create(request).await.unwrap();
            source.insert(&sequence, 0..500).await;
            source.settle().await;
            // The last ones as a decode inserts them.
            for token in 500..TOKENS {
                source.insert(&sequence, token..token + 1).await;
            }
            let whole = answers(&source, &sequence, TOKENS).await;
            let snapshot = format!("{number}-{}", durability.as_str_name());
            let taken = take(&source, &snapshot).await;
            assert_eq!(
                (taken.layer_lengths, taken.kind),
                (vec![TOKENS as u32], (*kind).into())
            );
            source.delete().await;
            daemon.restart();
            let client = daemon.client().await;

            let other = restore(&client, &snapshot).await;
            assert_eq!(answers(&other, &sequence, TOKENS).await, whole);
            let described = client.restore(&snapshot, None, |_| ()).await.unwrap();
            assert_ne!(described.generation, created.generation);
            let expected = wire::CollectionDescription {
                generation: described.generation,
                length: TOKENS as u32,
                layer_lengths: vec![TOKENS as u32],
                ..created
            };
            assert_eq!(described, expected);
            let again = source.on(&client);
            assert_eq!(answers(&again, &sequence, TOKENS).await, whole);
            // It goes on as any other, and neither harms the other.
            other.delete().await;
            client.truncate(again.name.clone(), 200).await.unwrap();
            again.insert(&sequence, 200..TOKENS).await;
            again.settle().await;
            again.assert_has(&sequence, TOKENS).await;
            if durability != wire::Durability::None {
                daemon.restart();
                let again = again.on(&daemon.client().await);
                again.assert_has(&sequence, TOKENS).await;
                again.delete().await;
            }
        }
    }
    daemon.restart();
    assert_eq!(daemon.collection_files(), [] as [PathBuf; 0]);
    let client = daemon.client().await;
    assert_eq!(
        client.stats(None).await.unwrap().disk.unwrap().used_bytes,
        0
    );
}

#[tokio::test]
async fn a_snapshot_that_is_copied_to_another_daemon_is_restored_there() {
    let (here, there) = (Archive::new(), Archive::new());
    let shape = Shape::default();
    let sequence = Sequence::random(shape, TOKENS, 2);
    let daemon = here.daemon();
    let source = Collection::create(&daemon.client().await, shape).await;
    source.insert(&sequence, 0..TOKENS).await;
    let whole = answers(&source, &sequence, TOKENS).await;
    take(&source, "mine").await;
    fs_err::create_dir(there.path()).unwrap();
    let copied = there.path().join("yours");
    fs_err::create_dir(&copied).unwrap();
    for file in entries(&here.path().join("mine")) {
        fs_err::copy(here.path().join("mine").join(&file), copied.join(&file)).unwrap();
    }
    drop(daemon);
    drop(here);

    let mut other = there.daemon();
    let client = other.client().await;
    // Whose numbers are the same, so that none may be taken for another.
    let own = Collection::create(&client, shape).await;
    let strange = Sequence::random(shape, TOKENS, 3);
    own.insert(&strange, 0..TOKENS).await;
    own.settle().await;
    let name = wire::CollectionRef {
        namespace: "tenant".into(),
        name: "theirs".into(),
        generation: None,
    };
    let restored = client.restore("yours", Some(name.clone()), |_| ());
    assert_eq!(restored.await.unwrap().namespace, "tenant");
    fs_err::remove_dir_all(&copied).unwrap();
    for _ in 0..2 {
        let client = other.client().await;
        let theirs = Collection {
            client: client.clone(),
            name: name.clone(),
        };
        assert_eq!(answers(&theirs, &sequence, TOKENS).await, whole);
        own.on(&client).assert_has(&strange, TOKENS).await;
        let used = client.stats(None).await.unwrap().disk.unwrap().used_bytes;
        other.restart();
        let client = other.client().await;
        let found = client.stats(None).await.unwrap().disk.unwrap().used_bytes;
        assert_eq!(found, used);
    }
}

#[tokio::test]
async fn a_snapshot_is_of_one_moment_whatever_is_inserted_meanwhile() {
    const LAYERS: u32 = 3;
    let archive = Archive::new();
    let daemon = archive.daemon();
    let client = daemon.client().await;
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 4000, 4);
    let collection = Collection::unmade(&client);
    let request = wire::CreateRequest {
        geometry: Some(shape.geometry(LAYERS as usize)),
        ..collection.request(shape, SMALL_INDEX)
    };
    client.create(request).await.unwrap();
    let step = |at: usize| (0..LAYERS).map(move |layer| (layer, at..at + 10));
    let entries = |at: usize, sequence: &Sequence| -> Vec<wire::InsertEntry> {
        let step = step(at);
        step.map(|(layer, range)| {
            let mut entry = collection.entry(sequence, range);
            entry.layer.as_mut().unwrap().layer = layer;
            entry
        })
        .collect()
    };
    let inserting = async {
        for at in (0..sequence.tokens).step_by(10) {
            let inserted = client.insert(entries(at, &sequence)).await.unwrap();
            inserted.all().unwrap();
        }
    };
    let snapping = async {
        let mut lengths = vec![];
        for number in 0..12 {
            let taken = take(&collection, &format!("s{number}")).await;
            lengths.push(taken.layer_lengths);
        }
        lengths
    };
    let ((), lengths) = tokio::join!(inserting, snapping);
    for (number, lengths) in lengths.into_iter().enumerate() {
        let restored = restore(&client, &format!("s{number}")).await;
        let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
        // Layers of a step are inserted side by side.
        assert!(most - least <= 10, "{lengths:?}");
        for (layer, length) in lengths.iter().enumerate() {
            let what = wire::TokenRange {
                start: 0,
                end: *length,
            };
            let entry = wire::FetchEntry {
                layer: Some(wire::LayerRef {
                    collection: Some(restored.name.clone()),
                    layer: layer as u32,
                }),
                what: Some(wire::fetch_entry::What::Range(what)),
            };
            if *length > 0 {
                let fetched = client.fetch_one(entry).await.unwrap();
                assert!(sequence.equals(0..*length as usize, &fetched));
            }
        }
        restored.delete().await;
    }
}

#[tokio::test]
async fn a_snapshot_shares_the_files_of_segments_and_does_not_count_in_the_budget() {
    let archive = Archive::new();
    let data = archive.folder.path();
    let setting = format!("storage.snapshot_dir={}", archive.path().display());
    let daemon = Daemon::within(data, &[&setting]);
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), TOKENS, 5);
    let collection = Collection::create(&client, Shape::default()).await;
    collection.insert(&sequence, 0..TOKENS).await;
    collection.settle().await;
    let used = async || client.stats(None).await.unwrap().disk.unwrap().used_bytes;
    let before = used().await;
    take(&collection, "s").await;
    assert_eq!(used().await, before);
    let inode = |path: &Path| fs_err::metadata(path).unwrap().ino();
    let own: Vec<u64> = daemon
        .collection_files()
        .iter()
        .map(|file| inode(file))
        .collect();
    let files = entries(&archive.path().join("s"));
    let own_files = ["MANIFEST", "tokens"];
    let segments = files
        .iter()
        .filter(|file| !own_files.contains(&file.as_str()));
    let shared: Vec<u64> = segments
        .map(|file| inode(&archive.path().join("s").join(file)))
        .collect();
    assert!(shared.len() > 3 && shared.iter().all(|file| own.contains(file)));
    let restored = restore(&client, "s").await;
    assert!(used().await > before + before / 2);
    restored.delete().await;
    assert_eq!(used().await, before);
}

#[tokio::test]
async fn a_snapshot_on_another_file_system_has_copies() {
    let shm = Path::new("/dev/shm");
    let Ok(folder) = tempfile::tempdir_in(shm) else {
        return;
    };
    let setting = format!("storage.snapshot_dir={}", folder.path().join("s").display());
    let daemon = Daemon::with(&[&setting]);
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), TOKENS, 6);
    let collection = Collection::create(&client, Shape::default()).await;
    collection.insert(&sequence, 0..TOKENS).await;
    let whole = answers(&collection, &sequence, TOKENS).await;
    let files = daemon.collection_files();
    take(&collection, "copied").await;
    // Nothing is left of what was held meanwhile.
    assert_eq!(daemon.collection_files(), files);
    collection.delete().await;
    let restored = restore(&client, "copied").await;
    assert_eq!(answers(&restored, &sequence, TOKENS).await, whole);
}

#[tokio::test]
async fn a_snapshot_with_any_byte_changed_is_refused_by_its_file_and_nothing_is_left() {
    let archive = Archive::new();
    let daemon = archive.daemon();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), 300, 7);
    let source = Collection::create(&client, Shape::default()).await;
    source.insert(&sequence, 0..300).await;
    source.settle().await;
    take(&source, "s").await;
    source.delete().await;
    let folder = archive.path().join("s");
    let mut rng = Pcg64::seed_from_u64(8);
    for file in entries(&folder) {
        let path = folder.join(&file);
        let whole = fs_err::read(&path).unwrap();
        for round in 0..12 {
            let mut bytes = whole.clone();
            match round {
                0 => bytes.clear(),
                1 => drop(bytes.pop()),
                2 => bytes.push(0),
                _ => {
                    // Past what says which version it is.
                    let at = rng.random_range(12..bytes.len());
                    bytes[at] ^= 1 << rng.random_range(0..8);
                }
            }
            fs_err::write(&path, bytes).unwrap();
            let (code, message) = refused(client.restore("s", None, |_| ()).await);
            assert_eq!(code, Code::DataLoss, "{message}");
            assert!(message.contains(&file), "{file}: {message}");
        }
        fs_err::remove_file(&path).unwrap();
        let (code, message) = refused(client.restore("s", None, |_| ()).await);
        assert_eq!(code, Code::DataLoss, "{message}");
        assert!(message.contains(&file), "{file}: {message}");
        fs_err::write(&path, whole).unwrap();
    }
    assert!(client.list_all("*", "").await.unwrap().is_empty());
    assert_eq!(daemon.collection_files(), [] as [PathBuf; 0]);
    let stats = client.stats(None).await.unwrap();
    assert_eq!(stats.disk.unwrap().used_bytes, 0);
    assert_eq!(stats.memory.unwrap().used_bytes, 0);
    let restored = restore(&client, "s").await;
    restored.assert_has(&sequence, 300).await;
}

#[tokio::test]
async fn snapshots_are_listed_in_pages_and_removed() {
    let archive = Archive::new();
    let daemon = archive.daemon();
    let client = daemon.client().await;
    assert!(client.list_snapshots().await.unwrap().is_empty());
    let collection = Collection::create(&client, Shape::default()).await;
    for name in ["b", "a", "c"] {
        let described = take(&collection, name).await;
        assert_eq!(
            (described.snapshot, described.name),
            (name.to_owned(), collection.name.name.clone())
        );
        assert!(described.made_at > 1_600_000_000 && described.bytes > 0);
    }
    fs_err::write(archive.path().join("b/MANIFEST"), "x").unwrap();
    let listed = client.list_snapshots().await.unwrap();
    let names: Vec<&str> = listed.iter().map(|listed| &*listed.snapshot).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let refusals: Vec<bool> = listed
        .iter()
        .map(|listed| listed.refusal.is_empty())
        .collect();
    assert_eq!(refusals, [true, false, true]);
    for name in ["a", "b"] {
        client.delete_snapshot(name).await.unwrap();
    }
    assert_eq!(archive.entries(), ["c"]);
    let (code, message) = refused(client.delete_snapshot("a").await);
    assert_eq!(code, Code::NotFound, "{message}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason() {
    let without = Daemon::start();
    let client = without.client().await;
    let collection = Collection::create(&client, Shape::default()).await;
    let of = collection.name.clone();
    let unset = [
        refused(client.snapshot(of.clone(), "s", |_| ()).await),
        refused(client.restore("s", None, |_| ()).await),
        refused(client.list_snapshots().await),
        refused(client.delete_snapshot("s").await),
    ];
    for (code, message) in unset {
        assert_eq!(code, Code::FailedPrecondition);
        assert!(message.contains("storage.snapshot_dir"), "{message}");
    }

    let archive = Archive::new();
    let daemon = archive.daemon();
    let client = daemon.client().await;
    let collection = Collection::create(&client, Shape::default()).await;
    let of = collection.name.clone();
    fs_err::write(archive.folder.path().join("precious"), "").unwrap();
    for name in [
        "",
        ".",
        "..",
        "../precious",
        "/etc",
        "a/b",
        ".hidden",
        "a b",
        "ü",
        &"x".repeat(129),
    ] {
        for (code, message) in [
            refused(client.snapshot(of.clone(), name, |_| ()).await),
            refused(client.restore(name, None, |_| ()).await),
            refused(client.delete_snapshot(name).await),
        ] {
            assert_eq!(code, Code::InvalidArgument, "{name:?}: {message}");
            assert!(message.starts_with("snapshot is "), "{message}");
        }
    }
    let nobody = named("nobody");
    let (code, _) = refused(client.snapshot(nobody, "s", |_| ()).await);
    assert_eq!(code, Code::NotFound);
    let (code, message) = refused(client.restore("s", None, |_| ()).await);
    assert_eq!(code, Code::NotFound, "{message}");
    take(&collection, "s").await;
    let (code, message) = refused(client.snapshot(of.clone(), "s", |_| ()).await);
    assert_eq!(code, Code::AlreadyExists, "{message}");
    let (code, message) = refused(client.restore("s", None, |_| ()).await);
    assert_eq!(code, Code::AlreadyExists, "{message}");
    let generation = wire::CollectionRef {
        generation: Some(1),
        ..of
    };
    let (code, message) = refused(client.restore("s", Some(generation), |_| ()).await);
    assert_eq!(code, Code::InvalidArgument, "{message}");
    // A newer build's is not damaged.
    let manifest = archive.path().join("s/MANIFEST");
    let mut bytes = fs_err::read(&manifest).unwrap();
    bytes[8] = 2;
    fs_err::write(&manifest, bytes).unwrap();
    let (code, message) = refused(client.restore("s", None, |_| ()).await);
    assert_eq!(code, Code::FailedPrecondition, "{message}");
    assert!(
        message.contains("format 2: expected at most 1"),
        "{message}"
    );
}

#[tokio::test]
async fn a_restore_asks_the_budgets_and_leaves_nothing_when_they_have_no_room() {
    let archive = Archive::new();
    let big = Shape {
        head_dim: 128,
        value_dim: 128,
        ..Shape::default()
    };
    // More than 1 MiB of K and V.
    let sequence = Sequence::random(big, TOKENS, 9);
    let daemon = archive.daemon();
    let client = daemon.client().await;
    for (name, durability) in [
        ("lasting", wire::Durability::Process),
        ("fleeting", wire::Durability::None),
    ] {
        let source = Collection::create_lasting(&client, big, durability).await;
        source.insert(&sequence, 0..TOKENS).await;
        source.settle().await;
        take(&source, name).await;
    }
    drop(daemon);
    let daemon = archive.daemon_with(&["disk.budget=1MiB"]);
    let client = daemon.client().await;
    let (code, message) = refused(client.restore("lasting", None, |_| ()).await);
    assert_eq!(code, Code::ResourceExhausted, "{message}");
    assert!(message.starts_with("disk.budget"), "{message}");
    assert_eq!(daemon.collection_files(), [] as [PathBuf; 0]);
    assert_eq!(
        client.stats(None).await.unwrap().disk.unwrap().used_bytes,
        0
    );
    // What is in memory alone needs no disk.
    let restored = restore(&client, "fleeting").await;
    restored.assert_has(&sequence, TOKENS).await;
}

#[tokio::test]
async fn a_caller_is_told_how_far_it_is_and_one_that_goes_gives_it_up() {
    let archive = Archive::new();
    let daemon = archive.daemon();
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), TOKENS, 10);
    let collection = Collection::create(&client, Shape::default()).await;
    collection.insert(&sequence, 0..TOKENS).await;
    collection.settle().await;
    let mut seen: Vec<wire::Progress> = vec![];
    let of = collection.name.clone();
    let taken = client.snapshot(of, "s", |progress| seen.push(progress));
    taken.await.unwrap();
    assert!(!seen.is_empty());
    let is_rising = |seen: &[wire::Progress]| {
        seen.windows(2).all(|two| {
            two[0].done_bytes <= two[1].done_bytes && two[0].total_bytes == two[1].total_bytes
        }) && seen.iter().all(|told| told.done_bytes <= told.total_bytes)
    };
    assert!(is_rising(&seen), "{seen:?}");
    seen.clear();
    let name = Some(named("restored"));
    let restored = client.restore("s", name, |progress| seen.push(progress));
    restored.await.unwrap();
    assert!(!seen.is_empty() && is_rising(&seen), "{seen:?}");

    // Callers that go before the answer: each is made whole, or nothing of it is left.
    for number in 0..20 {
        let name = format!("given-up-{number}");
        let mut call = Box::pin(client.restore("s", Some(named(&name)), |_| ()));
        for _ in 0..number {
            tokio::select! {
                biased;
                _ = &mut call => break,
                () = tokio::task::yield_now() => {}
            }
        }
    }
    // The next waits for all of them.
    let last = restore(&client, "s").await;
    last.assert_has(&sequence, TOKENS).await;
    for described in client.list_all("", "given-up-").await.unwrap() {
        assert_eq!(described.length, TOKENS as u32);
        let name = named(&described.name);
        client.delete(name).await.unwrap();
    }
    for collection in [last, collection] {
        collection.delete().await;
    }
    client.delete(named("restored")).await.unwrap();
    assert_eq!(
        client.stats(None).await.unwrap().disk.unwrap().used_bytes,
        0
    );
    assert_eq!(daemon.collection_files(), [] as [PathBuf; 0]);
}

/// The client for threads that wait has the same calls.
#[test]
fn a_thread_that_waits_takes_verifies_restores_and_removes_one() {
    let archive = Archive::new();
    let daemon = archive.daemon();
    let client = blocking::Client::connect(&Address::Unix(daemon.socket())).unwrap();
    let sequence = Sequence::random(Shape::default(), TOKENS, 7);
    let collection = named("waited-for");
    let made = client.create(wire::CreateRequest {
        collection: Some(collection.clone()),
        geometry: Some(sequence.shape.geometry(1)),
        index: Some(SMALL_INDEX),
        ..Default::default()
    });
    assert_eq!(made.unwrap().length, 0);
    let layer = wire::LayerRef {
        collection: Some(collection.clone()),
        layer: 0,
    };
    let entry = wire::InsertEntry {
        layer: Some(layer),
        ..sequence.entry(0..TOKENS)
    };
    let stored = client.insert_stream_all([entry], 1 << 20).unwrap();
    assert_eq!(stored.stored_tokens, TOKENS as u64);

    let mut seen = 0;
    let snapshot = client.snapshot(collection.clone(), "s", |progress| {
        seen = progress.done_bytes;
    });
    assert_eq!(snapshot.unwrap().layer_lengths, [TOKENS as u32]);
    assert!(seen > 0);
    client.delete(collection.clone()).unwrap();
    let restored = client.restore("s", None, |_| {}).unwrap();
    assert_eq!(restored.length, TOKENS as u32);
    let told: Vec<_> = client.verify(Some(collection)).unwrap().collect();
    let told: Result<Vec<_>, _> = told.into_iter().collect();
    assert!(!told.unwrap().is_empty());
    assert_eq!(client.list_snapshots().unwrap().len(), 1);
    client.delete_snapshot("s").unwrap();
    assert!(client.list_snapshots().unwrap().is_empty());
}
