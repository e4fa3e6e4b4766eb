//! What is acknowledged is there after the daemon was killed, byte for byte; what was not is there whole or not at all; and
//! what is damaged is refused by its name while everything else is served.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use tokio::task::JoinSet;
use wavekv_client::{ClientError, Code, wire};

use crate::bad_input::assert_refused;
use crate::harness::collection::SMALL_INDEX;
use crate::harness::property::BUILT_KINDS;
use crate::harness::written::Written;
use crate::harness::{Collection, Daemon, Sequence, Shape, mode};

/// Kills of a run; `WAVEKV_KILLS` has another number.
const KILLS: usize = 20;
const WRITERS: u64 = 4;

fn kills() -> usize {
    let given = std::env::var_os("WAVEKV_KILLS");
    given.map_or(KILLS, |kills| kills.to_str().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_there_after_every_kill() {
    let mut daemon = Daemon::start();
    let mut rng = Pcg64::seed_from_u64(kills() as u64);
    let mut written = vec![];
    let client = daemon.client().await;
    for seed in 0..WRITERS {
        let durability = if seed == 0 {
            wire::Durability::Power
        } else {
            wire::Durability::Process
        };
        written.push(Arc::new(Written::create(&client, durability, seed).await));
    }
    for kill in 0..kills() {
        let client = daemon.client().await;
        let mut writers = JoinSet::new();
        for (seed, written) in written.iter().enumerate() {
            let seed = (kill * written.sequence.tokens + seed) as u64;
            writers.spawn(Arc::clone(written).write(client.clone(), seed));
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(1..400))).await;
        daemon.kill();
        for error in writers.join_all().await {
            assert!(matches!(error, ClientError::Lost { .. }), "{error}");
        }
        daemon.start_again();
        let client = daemon.client().await;
        for written in &mut written {
            Arc::get_mut(written).unwrap().check(&client).await;
        }
    }
    let client = daemon.client().await;
    for written in written {
        let name = written.collection.name.clone();
        client.delete(name).await.unwrap();
    }
    daemon.restart();
    assert_eq!(daemon.collection_files(), [] as [PathBuf; 0]);
}

/// Everything that a collection answers, to the bit.
async fn answers(collection: &Collection, sequence: &Sequence) -> Vec<wire::AttendOutcome> {
    let last = sequence.tokens as u32 - 1;
    let modes = [
        mode::exact(),
        mode::adaptive(0.05),
        mode::budget(0.05),
        mode::retroinfer(),
    ];
    let mut answers = vec![];
    for mode in modes {
        answers.push(collection.attend(sequence, &[last, last / 2], mode).await);
    }
    answers
}

#[tokio::test]
async fn answers_are_the_same_after_a_restart() {
    let mut daemon = Daemon::start();
    for kind in BUILT_KINDS {
        let client = daemon.client().await;
        let shape = Shape::default();
        let sequence = Sequence::random(shape, 700, 5);
        let mut collection = Collection::create_as(&client, shape, *kind).await;
        for start in (0..sequence.tokens).step_by(100) {
            collection.insert(&sequence, start..start + 100).await;
        }
        collection.settle().await;
        let described = client.get(collection.name.clone()).await.unwrap();
        let before = answers(&collection, &sequence).await;
        let size = client
            .stats(Some(collection.name.clone()))
            .await
            .unwrap()
            .index;
        daemon.restart();
        collection.client = daemon.client().await;
        let client = &collection.client;
        assert_eq!(
            client.get(collection.name.clone()).await.unwrap(),
            described
        );
        assert_eq!(answers(&collection, &sequence).await, before, "{kind:?}");
        let after = client
            .stats(Some(collection.name.clone()))
            .await
            .unwrap()
            .index;
        assert_eq!(after, size, "{kind:?}");
        // And it goes on as it would have.
        collection.insert(&sequence, 0..sequence.tokens).await;
        collection.cluster().await;
    }
}

#[tokio::test]
async fn clusters_have_the_same_names_after_a_restart_and_new_ones_are_others() {
    let mut daemon = Daemon::start();
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 600, 6);
    let mut collection = Collection::create(&daemon.client().await, shape).await;
    collection.insert(&sequence, 0..400).await;
    collection.settle().await;
    let rank = async |collection: &Collection| {
        let entry = wire::TopClustersEntry {
            layer: Some(collection.layer()),
            q: Some(sequence.queries(&[100])),
            position: Some(399),
            limit: 50,
            ..Default::default()
        };
        collection.client.top_clusters_one(entry).await.unwrap()
    };
    let before = rank(&collection).await;
    daemon.restart();
    collection.client = daemon.client().await;
    assert_eq!(rank(&collection).await.heads, before.heads);
    let segments = |ranking: &wire::TopClustersOutcome| -> Vec<u64> {
        let clusters = ranking.heads.iter().flat_map(|head| &head.clusters);
        clusters
            .map(|cluster| cluster.cluster.unwrap().segment)
            .collect()
    };
    let old = segments(&before);
    let client = &collection.client;
    client.truncate(collection.name.clone(), 0).await.unwrap();
    collection.insert(&sequence, 0..400).await;
    collection.settle().await;
    let new = segments(&rank(&collection).await);
    assert!(
        new.iter().all(|segment| !old.contains(segment)),
        "{old:?} {new:?}"
    );
}

#[tokio::test]
async fn truncations_and_deletions_are_there_after_a_restart() {
    let mut daemon = Daemon::start();
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 600, 7);
    let client = daemon.client().await;
    let mut cut = vec![];
    // In the sink, at its end, in a segment, at its end, in the tail.
    for length in [0, 2, 3, 60, 128, 200, 590] {
        let collection = Collection::create(&client, shape).await;
        collection.insert(&sequence, 0..600).await;
        collection.settle().await;
        client
            .truncate(collection.name.clone(), length)
            .await
            .unwrap();
        cut.push((collection, length as usize));
    }
    let deleted = Collection::create(&client, shape).await;
    deleted.insert(&sequence, 0..300).await;
    deleted.delete().await;
    let again = Collection::create(&client, shape).await;
    again.insert(&sequence, 0..300).await;
    again.delete().await;
    let made = again.make(shape, SMALL_INDEX).await;
    let fleeting = Collection::create_lasting(&client, shape, wire::Durability::None).await;
    fleeting.insert(&sequence, 0..300).await;

    daemon.restart();
    let client = daemon.client().await;
    for (collection, stored) in &mut cut {
        collection.client = client.clone();
        assert_eq!(collection.length().await, *stored);
        collection.assert_has(&sequence, *stored).await;
        collection.insert(&sequence, *stored..600).await;
        collection.settle().await;
        collection.assert_has(&sequence, 600).await;
    }
    for gone in [&deleted.name, &fleeting.name] {
        let found = client.get(gone.clone()).await;
        assert_refused(found, Code::NotFound, "collection is");
    }
    let found = client.get(again.name.clone()).await.unwrap();
    assert_eq!(found, made);
}

#[tokio::test]
async fn everything_on_disk_is_its_users_alone() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 600, 8);
    let collection = Collection::create(&client, shape).await;
    collection.insert(&sequence, 0..600).await;
    collection.settle().await;
    let mut folders = vec![daemon.data_dir()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.path());
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
            }
        }
    }
    assert!(files > 5);
}

/// Changes a file that the daemon will open.
type Damage = fn(&Path);

const DAMAGES: [(&str, Damage); 4] = [
    ("a byte in the middle", |path| {
        let mut bytes = fs_err::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs_err::write(path, bytes).unwrap();
    }),
    ("the last byte gone", |path| {
        let bytes = fs_err::read(path).unwrap();
        fs_err::write(path, &bytes[..bytes.len() - 1]).unwrap();
    }),
    ("emptied", |path| fs_err::write(path, []).unwrap()),
    ("removed", |path| fs_err::remove_file(path).unwrap()),
];

#[tokio::test]
async fn what_is_damaged_is_refused_by_name_and_everything_else_is_served() {
    let mut daemon = Daemon::start();
    let shape = Shape {
        head_dim: 128,
        value_dim: 128,
        ..Shape::default()
    };
    let sequence = Sequence::random(shape, 400, 9);
    // Of another content, or the two would have one file.
    let other = Sequence::random(shape, 400, 19);
    let mut sound = Collection::create(&daemon.client().await, shape).await;
    sound.insert(&other, 0..400).await;
    sound.settle().await;
    for (what, damage) in DAMAGES {
        for extension in ["arrow", "tail"] {
            let before = daemon.collection_files();
            let collection = Collection::create(&daemon.client().await, shape).await;
            collection.insert(&sequence, 0..400).await;
            collection.settle().await;
            let mut files = daemon.collection_files();
            files.retain(|file| !before.contains(file) && named(file, extension));
            let file = files.pop().unwrap();
            daemon.kill();
            damage(&file);
            daemon.start_again();

            let client = daemon.client().await;
            sound.client = client.clone();
            sound.assert_has(&other, 400).await;
            let bad = Collection {
                client,
                name: collection.name,
            };
            assert_not_served(&bad, &sequence, &file, what).await;
            // Its name is free again when it is deleted.
            bad.delete().await;
            bad.make(shape, SMALL_INDEX).await;
            bad.insert(&sequence, 0..400).await;
            bad.delete().await;
        }
    }
}

/// Whether a file is a segment's (`arrow`) or of a large insert (`tail`).
fn named(file: &Path, kind: &str) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    name.starts_with(kind) || name.ends_with(kind)
}

async fn assert_not_served(bad: &Collection, sequence: &Sequence, file: &Path, what: &str) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let described = bad.client.get(bad.name.clone()).await.unwrap();
    assert!(
        described.refusal.contains(name),
        "{what}: {}",
        described.refusal
    );
    let refusal = format!("collection default/{} is not served", bad.name.name);
    assert!(
        described.refusal.starts_with(&refusal),
        "{}",
        described.refusal
    );
    let attend = bad.question(sequence, &[1], mode::exact());
    let insert = bad.entry(sequence, 0..1);
    for answer in [
        bad.fetch(0..1).await.err(),
        bad.client.attend_one(attend).await.err(),
        bad.client.insert_one(insert).await.err(),
        bad.client.truncate(bad.name.clone(), 0).await.err(),
    ] {
        let Some(ClientError::Refused { code, message } | ClientError::Entry { code, message, .. }) =
            answer
        else {
            panic!("{what}: {answer:?}");
        };
        assert_eq!(
            (code, &message),
            (Code::DataLoss, &described.refusal),
            "{what}"
        );
    }
}

/// A file that was being written, and one whose collection is gone.
#[tokio::test]
async fn what_nothing_names_is_removed_at_a_start() {
    let mut daemon = Daemon::start();
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 400, 10);
    let collection = Collection::create(&daemon.client().await, shape).await;
    collection.insert(&sequence, 0..400).await;
    collection.settle().await;
    let files = daemon.collection_files();
    let folder = files[0].parent().unwrap();
    let stranger = folder.parent().unwrap().join("0000000000000bad");
    daemon.kill();
    fs_err::create_dir(&stranger).unwrap();
    for orphan in [
        folder.join("0000-00000000000000ff.arrow.tmp"),
        folder.join("0000-00000000000000ff.arrow"),
        folder.join("tail-00000000000000ff"),
        stranger.join("0000-00000000000000ff.arrow"),
    ] {
        fs_err::copy(&files[0], orphan).unwrap();
    }
    daemon.start_again();
    assert_eq!(daemon.collection_files(), files);
    assert!(!stranger.exists());
    let client = daemon.client().await;
    let collection = Collection {
        client,
        name: collection.name,
    };
    collection.assert_has(&sequence, 400).await;
}
