//! A device that is really full: what does not fit is refused, nothing acknowledged is lost, questions are answered, and when
//! there is room again everything goes on, without a restart. On a small tmpfs, which only root may mount.
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::path::Path;
use std::process::Command;

use wavekv_client::Code::ResourceExhausted;
use wavekv_client::{ClientError, wire};

use crate::harness::{Collection, Daemon, Sequence, Shape, mode};

const BYTES: u64 = 80 << 20;
/// More than RocksDB writes to open its catalog again.
const STRANGERS: u64 = 40 << 20;
/// 64 KiB a token.
const SHAPE: Shape = Shape {
    kv_heads: 32,
    group: 1,
    head_dim: 512,
    value_dim: 512,
    dtype: wavekv_trace::Dtype::Bf16,
    window: 0,
};
const TOKENS: usize = 600;
/// 8 KiB a token, seven of which stand in the catalog itself.
const SMALL: Shape = Shape {
    kv_heads: 4,
    ..SHAPE
};
const PIECE: usize = 7;

/// A file system of its own, until it is dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={BYTES}"), "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: a full disk needs a tmpfs, which this user may not mount");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A daemon that has just been killed may still let go of it: then the system does, when it is gone.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Inserts pieces until one is refused; how many tokens there are then.
async fn fill(collection: &Collection, sequence: &Sequence, start: usize, piece: usize) -> usize {
    let (stored, refused) = collection.fill(sequence, start, piece).await;
    let ClientError::Entry { code, message, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(code, ResourceExhausted, "{message}");
    assert!(message.contains("No space left on device"), "{message}");
    assert!(message.starts_with("data_dir: "), "{message}");
    stored
}

async fn create(daemon: &Daemon, shape: Shape) -> Collection {
    let collection = Collection::unmade(&daemon.client().await);
    // Nothing is clustered: the disk is for what is inserted.
    let index = wire::IndexParameters {
        kind: wire::IndexKind::Flat.into(),
        ..Default::default()
    };
    collection.make(shape, index).await;
    collection
}

#[tokio::test]
async fn a_full_disk_refuses_loses_nothing_and_heals_when_there_is_room() {
    let Some(mounted) = Mounted::new() else {
        return;
    };
    let strangers = mounted.path().join("stranger");
    fs_err::write(&strangers, vec![7; STRANGERS as usize]).unwrap();
    let mut daemon = Daemon::within(mounted.path(), &[]);
    let sequence = Sequence::random(SHAPE, TOKENS, 1);
    let first = create(&daemon, SHAPE).await;
    first.insert(&sequence, 0..100).await;
    let mut second = create(&daemon, SHAPE).await;
    let stored = fill(&second, &sequence, 0, 16).await;
    // A deleted collection makes room, though to delete it is to write.
    first.delete().await;
    let stored = fill(&second, &sequence, stored, 16).await;
    let stored = fill(&second, &sequence, stored, 1).await;
    second.assert_has(&sequence, stored).await;

    // Somebody else takes every byte, so that the catalog's log finds no room either once it is as long as it was made.
    let few = Sequence::random(SMALL, 4000, 2);
    let mut third = create(&daemon, SMALL).await;
    let mut kept = 0;
    let refused = loop {
        take_all(&strangers);
        let entry = third.entry(&few, kept..kept + PIECE);
        match third.client.insert_one(entry).await {
            Ok(inserted) => kept = inserted.length as usize,
            Err(error) => break error,
        }
    };
    let ClientError::Entry { code, message, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(code, ResourceExhausted, "{message}");
    // It answers all the while.
    third.assert_has(&few, kept).await;
    second.assert_has(&sequence, stored).await;
    second.attend(&sequence, &[0], mode::exact()).await;
    let entry = third.entry(&few, kept..kept + PIECE);
    assert!(third.client.insert_one(entry).await.is_err());
    fs_err::remove_file(&strangers).unwrap();
    third.insert(&few, kept..kept + PIECE).await;
    third.assert_has(&few, kept + PIECE).await;

    daemon.restart();
    for collection in [&mut second, &mut third] {
        collection.client = daemon.client().await;
    }
    second.assert_has(&sequence, stored).await;
    third.assert_has(&few, kept + PIECE).await;
    second.delete().await;
    third.insert(&few, kept + PIECE..kept + 2 * PIECE).await;
}

/// Fills the file system to the last byte.
fn take_all(file: &Path) {
    use std::io::Write as _;
    let mut file = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .unwrap();
    let mut piece = 1 << 20;
    while piece > 0 {
        if file.write(&vec![7; piece]).is_err() {
            piece /= 2;
        }
    }
}
