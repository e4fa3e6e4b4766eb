//! A snapshot gives back what was put in, and nothing that is damaged is more than a refusal.

use proptest::prelude::*;

use super::manifest::{Manifest, SavedLayer, SavedRun};
use super::*;
use crate::catalog::rows::{Origin, SegmentRow};
use crate::segment::file::Seal;
use crate::store::{Durability, Run};

fn manifest(record: Vec<u8>, numbers: &[u32]) -> Manifest {
    let segment = |number: &u32| SavedSegment {
        layer: 0,
        number: u64::from(*number),
        row: SegmentRow {
            start: 4,
            end: 9,
            meaning: *number,
            seal: Seal {
                bytes: 77,
                checksum: *number,
            },
            origin: Some(Origin {
                collection: "default/a".into(),
                generation: 1,
                layer: 2,
                segment: 3,
            }),
            digest: None,
        },
    };
    let run = |number: &u32| SavedRun {
        is_sink: number.is_multiple_of(2),
        start: number / 2,
        tokens: 1 + number % 7,
        row_bytes: vec![4, 8],
        checksum: *number,
    };
    Manifest {
        durability: Some(Durability::Power),
        name: "default/a".into(),
        record,
        layers: vec![
            SavedLayer {
                segments: numbers.iter().map(segment).collect(),
                runs: vec![],
            },
            SavedLayer {
                segments: vec![],
                runs: numbers.iter().map(run).collect(),
            },
        ],
    }
}

fn read(bytes: &[u8]) -> Result<Manifest, SnapshotError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(MANIFEST);
    fs_err::write(&path, bytes).unwrap();
    Manifest::read(&path)
}

proptest! {
    #[test]
    fn a_manifest_gives_back_what_was_put_in(
        record in prop::collection::vec(any::<u8>(), 0..40), numbers in prop::collection::vec(any::<u32>(), 0..5),
    ) {
        let manifest = manifest(record, &numbers);
        prop_assert_eq!(read(&manifest.encode()).unwrap(), manifest);
    }

    #[test]
    fn no_manifest_that_was_changed_is_read(
        at: prop::sample::Index, bit in 0..8_u32, cut: Option<prop::sample::Index>,
    ) {
        let whole = manifest(vec![1, 2, 3], &[5, 6]).encode();
        let mut bytes = whole.clone();
        bytes[at.index(whole.len())] ^= 1 << bit;
        prop_assert!(read(&bytes).is_err());
        if let Some(cut) = cut {
            prop_assert!(read(&whole[..cut.index(whole.len())]).is_err());
        }
    }

    #[test]
    fn no_content_is_more_than_a_refusal(content in prop::collection::vec(any::<u8>(), 0..80)) {
        let empty = Manifest { durability: None, name: String::new(), record: vec![], layers: vec![] };
        let mut bytes = empty.encode();
        bytes.truncate(12);
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(content);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        // The checksum is right: what it lets through must still not end the process.
        let _ = read(&bytes);
    }
}

#[test]
fn a_newer_manifest_is_refused_by_its_number() {
    let mut bytes = manifest(vec![], &[]).encode();
    bytes[8] = 2;
    let refused = read(&bytes).unwrap_err();
    assert!(matches!(
        refused,
        SnapshotError::Newer {
            got: 2,
            expected: 1,
            ..
        }
    ));
}

struct Folder {
    parent: tempfile::TempDir,
    snapshots: Snapshots,
}

impl Folder {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(parent.path().join("deep/snapshots"));
        Self { parent, snapshots }
    }

    fn make(&self, name: &str, planes: [&[u8]; 2]) {
        let mut making = self.snapshots.begin(name, "default/a", None, 1).unwrap();
        let run = Run {
            start: 0,
            tokens: 2,
            planes: &planes,
        };
        making.write_run(0, false, &run).unwrap();
        making.commit(b"record".to_vec()).unwrap();
    }

    fn entries(&self) -> Vec<String> {
        let mut entries = self.snapshots.entries().unwrap();
        entries.sort();
        entries
    }
}

#[test]
fn a_snapshot_is_there_when_it_is_whole_and_goes_when_it_is_removed() {
    let folder = Folder::new();
    let snapshots = &folder.snapshots;
    assert!(snapshots.list(None, 10).unwrap().is_empty());
    folder.make("b", [b"1234", b"56"]);
    folder.make("a", [b"1234", b"56"]);
    let making = snapshots.begin("c", "default/a", None, 1).unwrap();
    let names = |after, limit| -> Vec<String> {
        let listed = snapshots.list(after, limit).unwrap().into_iter();
        listed
            .map(|listed| {
                assert!(listed.saved.is_ok() && listed.made.is_some());
                listed.name
            })
            .collect()
    };
    assert_eq!(names(None, 10), ["a", "b"]);
    assert_eq!(
        (names(None, 1), names(Some("a"), 10)),
        (vec!["a".into()], vec!["b".into()])
    );
    drop(making);
    assert_eq!(folder.entries(), ["a", "b"]);
    let taken = snapshots.begin("a", "default/a", None, 1).unwrap_err();
    assert!(matches!(taken, SnapshotError::Exists { .. }), "{taken}");

    let saved = snapshots.open("a").unwrap();
    assert_eq!(
        (saved.record(), saved.name()),
        (&b"record"[..], "default/a")
    );
    assert_eq!((saved.durability(), saved.layers()), (None, 1));
    assert_eq!(saved.lengths().collect::<Vec<_>>(), [2]);
    let mut shown = vec![];
    let see = |is_sink, run: Run<'_>| {
        shown.push((is_sink, run.start, run.planes.concat()));
        Ok::<(), SnapshotError>(())
    };
    saved.replay(0, see).unwrap();
    assert_eq!(shown, [(false, 0, b"123456".to_vec())]);

    snapshots.remove("a").unwrap();
    let gone = snapshots.remove("a").unwrap_err();
    assert!(matches!(gone, SnapshotError::Missing { .. }), "{gone}");
    assert_eq!(folder.entries(), ["b"]);
}

#[test]
fn tokens_that_are_not_as_they_were_written_are_refused_by_their_file() {
    let folder = Folder::new();
    folder.make("a", [b"1234", b"56"]);
    let path = folder.parent.path().join("deep/snapshots/a").join(TOKENS);
    let whole = fs_err::read(&path).unwrap();
    let refused = || {
        let saved = folder.snapshots.open("a").unwrap();
        let see = |_, _: Run<'_>| Ok::<(), SnapshotError>(());
        let refused = saved.replay(0, see).unwrap_err();
        assert!(matches!(refused, SnapshotError::Damaged { .. }));
        assert!(refused.to_string().contains(TOKENS), "{refused}");
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs_err::write(&path, bytes).unwrap();
        refused();
    }
    fs_err::write(&path, &whole[1..]).unwrap();
    refused();
    fs_err::remove_file(&path).unwrap();
    refused();
}

#[test]
fn a_sweep_removes_what_nobody_is_at_and_no_snapshot() {
    let folder = Folder::new();
    folder.make("a", [b"1234", b"56"]);
    let making = folder.snapshots.begin("b", "default/a", None, 1).unwrap();
    let root = folder.parent.path().join("deep/snapshots");
    fs_err::create_dir(root.join(".c.0.part")).unwrap();
    fs_err::write(root.join(".c.0.part/tokens"), "left over").unwrap();
    fs_err::create_dir(root.join(".hidden")).unwrap();
    fs_err::create_dir(root.join("stranger")).unwrap();
    assert_eq!(folder.snapshots.sweep().unwrap().removed, 1);
    assert_eq!(folder.entries(), [".b.0.part", ".hidden", "a", "stranger"]);
    making.commit(vec![]).unwrap();
    // What is no snapshot is neither listed nor removed.
    let listed = folder.snapshots.list(None, 10).unwrap();
    assert_eq!(listed.len(), 2);
    assert!(folder.snapshots.remove("stranger").is_err());
    assert!(root.join("stranger").is_dir());
}
