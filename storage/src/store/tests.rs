//! What is stored is there after every restart, whatever was done to it, and nothing else is.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::catalog::keys::{Family, Place};
use crate::segment::file::FileError;
use crate::segment::{Column, ColumnId, Columns, Element, Schema, SegmentBuilder};
use crate::{Budget, Bytes};

const MEANING: u32 = 1;
const SINK: u32 = 2;

/// A store on a directory that goes when the test ends.
fn residence() -> Residence {
    Residence::new(&Budget::new(Bytes(1 << 20)), std::thread::yield_now)
}

struct Disk {
    folder: tempfile::TempDir,
    open: Option<(DataDir, Store)>,
}

impl Disk {
    fn new() -> Self {
        let mut disk = Self {
            folder: tempfile::tempdir().unwrap(),
            open: None,
        };
        disk.restart();
        disk
    }

    /// As another process would find it. Nothing of the store may be held, since RocksDB locks it.
    fn restart(&mut self) {
        self.open = None;
        let dir = DataDir::open(self.folder.path().join("data")).unwrap();
        let store = Store::open(&dir, residence()).unwrap();
        self.open = Some((dir, store));
    }

    fn store(&self) -> &Store {
        &self.open.as_ref().unwrap().1
    }

    /// Bytes of all files and rows, counted from what is there.
    fn stored_bytes(&self) -> Bytes {
        let mut bytes: u64 = self
            .files()
            .iter()
            .map(|file| fs_err::metadata(file).unwrap().len())
            .sum();
        for family in Family::ALL {
            let catalog = &self.store().shared.catalog;
            let seen = catalog.visit(family, &[], |key, value| {
                bytes += (key.len() + value.len()) as u64;
                Ok::<(), StoreError>(())
            });
            seen.unwrap().unwrap();
        }
        Bytes(bytes)
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = vec![];
        let mut folders = vec![self.folder.path().join("data/collections")];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        found.sort();
        found
    }
}

/// Bytes of the tokens `start..start + tokens`, two planes, distinct by position and `truth`.
fn planes(start: u32, tokens: u32, truth: u8, bytes: usize) -> [Vec<u8>; 2] {
    let token = |position: u32| (position as u8).wrapping_mul(31) ^ truth;
    let plane = |bytes: usize, of: u8| {
        (start..start + tokens)
            .flat_map(|position| vec![token(position) ^ of; bytes])
            .collect()
    };
    [plane(bytes, 0), plane(2, 0x80)]
}

fn append(layer: &StoredLayer, start: u32, tokens: u32, truth: u8, bytes: usize) {
    let [one, two] = planes(start, tokens, truth, bytes);
    let planes: &[&[u8]] = &[&one, &two];
    layer
        .append(&Run {
            start,
            tokens,
            planes,
        })
        .unwrap();
}

fn schema() -> Arc<Schema> {
    let column = Column {
        name: "positions",
        element: Element::U32,
        row_elements: 1,
        paged: true,
    };
    Arc::new(Schema::new(vec![column]).unwrap())
}

fn columns(start: u32, end: u32) -> Columns {
    let budget = Budget::new(Bytes(1 << 20));
    let mut builder = SegmentBuilder::new(schema());
    let buffer = builder.allocate(ColumnId(0), end - start, &budget).unwrap();
    for (cell, position) in buffer.as_u32_mut().iter_mut().zip(start..end) {
        *cell = position;
    }
    builder.seal().unwrap()
}

/// The first byte of every token that a layer has, by position; of those in segments, what `planes` would give.
fn replayed(layer: &StoredLayer) -> Vec<(u32, u8)> {
    let mut tokens = std::collections::BTreeMap::new();
    layer
        .replay(|run: Run<'_>| {
            let wide = run.planes[0].len() / run.tokens.max(1) as usize;
            for token in 0..run.tokens {
                let byte = run.planes[0][token as usize * wide];
                let old = tokens.insert(run.start + token, byte);
                assert!(old.is_none_or(|old| old == byte), "two truths");
                assert_eq!(run.planes[1][token as usize * 2], byte ^ 0x80);
            }
            Ok::<(), StoreError>(())
        })
        .unwrap();
    tokens.into_iter().collect()
}

#[test]
fn a_collection_and_its_tokens_are_there_after_a_restart() {
    let mut disk = Disk::new();
    for durability in [Durability::Process, Durability::Power] {
        let generation = u64::from(durability.number());
        let record = vec![1, 2, 3];
        let stored = disk
            .store()
            .create(generation, "ns/one", durability, record);
        let layer = stored.unwrap().layer(5);
        append(&layer, 0, 3, 7, 10);
        append(&layer, 3, 1, 7, 10);
        append(&layer, 4, 2, 7, INLINE_BYTES);
    }
    disk.restart();
    let found = disk.store().collections().unwrap();
    assert_eq!(found.len(), 2);
    for FoundCollection { record, stored } in found {
        assert_eq!((record.unwrap(), stored.name()), (vec![1, 2, 3], "ns/one"));
        assert_eq!(u64::from(stored.durability().number()), stored.generation());
        let expected: Vec<_> = (0..6).map(|p| (p, planes(p, 1, 7, 1)[0][0])).collect();
        assert_eq!(replayed(&stored.layer(5)), expected);
        assert_eq!(replayed(&stored.layer(4)), []);
    }
    assert_eq!(disk.store().sweep().unwrap(), Swept::default());
}

#[test]
fn what_is_deleted_is_gone_and_takes_nothing_more() {
    let mut disk = Disk::new();
    let kept = disk
        .store()
        .create(1, "kept", Durability::Process, vec![])
        .unwrap();
    append(&kept.layer(0), 0, 1, 1, 4);
    let stored = disk
        .store()
        .create(2, "gone", Durability::Process, vec![])
        .unwrap();
    let layer = stored.layer(0);
    append(&layer, 0, 1, 1, INLINE_BYTES);
    let name = SegmentName {
        number: 7,
        start: SINK,
        end: 4,
    };
    let pending = layer.write_segment(name, MEANING, "ns", &columns(SINK, 4));
    let pending = pending.unwrap();
    stored.delete().unwrap();
    // Its file is gone, and nothing is damaged.
    let mapped = pending.map(&schema());
    assert!(matches!(mapped, Err(StoreError::Deleted { .. })));
    drop(pending);
    assert_eq!(stored.delete().unwrap_err().remedy(), Remedy::Gone);
    let refused = layer.append(&Run {
        start: 1,
        tokens: 1,
        planes: &[&[0]],
    });
    assert!(matches!(refused, Err(StoreError::Deleted { .. })));
    drop((kept, stored, layer));
    disk.restart();
    let found = disk.store().collections().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(replayed(&found[0].stored.layer(0)).len(), 1);
    assert_eq!(disk.files(), [] as [PathBuf; 0]);
}

#[test]
fn what_would_pass_the_limit_is_refused_and_what_was_stored_stays() {
    const LIMIT: u64 = 4 * INLINE_BYTES as u64;
    let folder = tempfile::tempdir().unwrap();
    let dir = DataDir::open(folder.path().join("data")).unwrap();
    let store = Store::open_within(&dir, residence(), Bytes(LIMIT)).unwrap();
    let create = |generation| store.create(generation, "one", Durability::Process, vec![]);
    let stored = create(1).unwrap();
    let layer = stored.layer(0);
    append(&layer, 0, 3, 1, INLINE_BYTES);
    let used = store.used();
    assert_eq!(stored.used(), used);
    let [one, two] = planes(3, 1, 1, INLINE_BYTES);
    let planes: &[&[u8]] = &[&one, &two];
    let more = Run {
        start: 3,
        tokens: 1,
        planes,
    };
    let refused = layer.append(&more).unwrap_err();
    assert_eq!(refused.remedy(), Remedy::Space);
    assert!(
        matches!(
            refused,
            StoreError::NoRoom {
                limit: Bytes(LIMIT),
                ..
            }
        ),
        "{refused}"
    );
    let name = SegmentName {
        number: 9,
        start: SINK,
        end: SINK + 20_000,
    };
    let wide = columns(SINK, SINK + 20_000);
    let refused = layer.write_segment(name, MEANING, "ns", &wide).unwrap_err();
    assert!(matches!(refused, StoreError::NoRoom { .. }), "{refused}");
    assert_eq!((store.used(), replayed(&layer).len()), (used, 3));
    // What makes room is not asked for any.
    layer.truncate(1, &[], None).unwrap();
    layer.truncate(0, &[], None).unwrap();
    layer.write_segment(name, MEANING, "ns", &wide).unwrap();
    append(&layer, 0, 3, 1, INLINE_BYTES);
    stored.delete().unwrap();
    assert_eq!(store.used(), Bytes(0));
    append(&create(2).unwrap().layer(0), 0, 3, 1, INLINE_BYTES);
}

#[test]
fn files_that_no_row_names_are_swept() {
    let mut disk = Disk::new();
    let stored = disk
        .store()
        .create(1, "one", Durability::Process, vec![])
        .unwrap();
    let layer = stored.layer(0);
    append(&layer, 0, 4, 1, INLINE_BYTES);
    let name = SegmentName {
        number: 9,
        start: SINK,
        end: 4,
    };
    let pending = layer
        .write_segment(name, MEANING, "ns", &columns(SINK, 4))
        .unwrap();
    // The process ends between the file and its row.
    let folder = disk.files()[0].parent().unwrap().to_owned();
    let copy = fs_err::read(folder.join("0000-0000000000000009.arrow")).unwrap();
    drop(pending);
    let stranger = disk.folder.path().join("data/collections/00000000000000ff");
    fs_err::create_dir(&stranger).unwrap();
    for orphan in [
        folder.join("0000-0000000000000009.arrow"),
        folder.join("0000-0000000000000009.arrow.tmp"),
        folder.join("tail-0000000000000000"),
        stranger.join("0000-0000000000000001.arrow"),
    ] {
        fs_err::write(orphan, &copy).unwrap();
    }
    drop((stored, layer));
    disk.restart();
    assert_eq!(disk.store().sweep().unwrap().removed, 4);
    assert_eq!(disk.files().len(), 1, "{:?}", disk.files());
    let found = disk.store().collections().unwrap();
    assert_eq!(replayed(&found[0].stored.layer(0)).len(), 4);
}

#[test]
fn a_damaged_file_of_tokens_is_named() {
    let mut disk = Disk::new();
    let stored = disk
        .store()
        .create(1, "one", Durability::Process, vec![])
        .unwrap();
    append(&stored.layer(0), 0, 1, 1, INLINE_BYTES);
    drop(stored);
    let path = disk.files().remove(0);
    let whole = fs_err::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damage in [Some(flipped), Some(whole[1..].to_vec()), None] {
        match &damage {
            Some(bytes) => fs_err::write(&path, bytes).unwrap(),
            None => fs_err::remove_file(&path).unwrap(),
        }
        disk.restart();
        let stored = disk.store().collections().unwrap().remove(0).stored;
        let replayed = stored.layer(0).replay(|_| Ok::<(), StoreError>(()));
        let refused = replayed.unwrap_err();
        assert_eq!(refused.remedy(), Remedy::Restore, "{refused}");
        assert!(refused.to_string().contains("tail-"), "{refused}");
    }
}

#[test]
fn a_newer_catalog_is_refused_by_its_number() {
    let mut disk = Disk::new();
    let shared = &disk.store().shared;
    shared.catalog.write_schema(3).unwrap();
    disk.open = None;
    let dir = DataDir::open(disk.folder.path().join("data")).unwrap();
    let refused = Store::open(&dir, residence()).unwrap_err().to_string();
    assert!(refused.contains("schema 3: expected 2"), "{refused}");
}

#[test]
fn a_catalog_of_the_schema_before_is_taken_up() {
    let mut disk = Disk::new();
    let stored = disk.store().create(1, "one", Durability::Process, vec![]);
    let layer = stored.unwrap().layer(0);
    let name = SegmentName {
        number: 9,
        start: SINK,
        end: 4,
    };
    append(&layer, 0, 4, 1, 10);
    let pending = layer.write_segment(name, MEANING, "ns", &columns(SINK, 4));
    layer.seal(pending.unwrap(), &[], None).unwrap();
    // As that build wrote it: no more than the numbers.
    let catalog = &disk.store().shared.catalog;
    let key = Key::segment(1, 0, 9);
    let mut value = catalog.get(&key).unwrap().unwrap();
    value[0] = 1;
    value.truncate(1 + 4 * 4 + 8);
    let mut batch = catalog.batch();
    batch.put(&key, &value).unwrap();
    batch.commit(false).unwrap();
    catalog.write_schema(1).unwrap();
    drop(layer);
    for _ in 0..2 {
        disk.restart();
        let found = disk.store().collections().unwrap().remove(0);
        let layer = found.stored.layer(0);
        let segments = layer.segments().unwrap();
        assert_eq!(segments[0].name, name);
        layer
            .open_segment(&segments[0], MEANING, &schema())
            .unwrap();
    }
}

#[test]
fn another_segment_in_a_segments_place_is_refused() {
    let disk = Disk::new();
    let stored = disk
        .store()
        .create(1, "one", Durability::Process, vec![])
        .unwrap();
    let layer = stored.layer(0);
    for (number, start) in [(1, 0), (2, 4)] {
        let name = SegmentName {
            number,
            start,
            end: start + 4,
        };
        let pending = layer.write_segment(name, MEANING, "ns", &columns(start, start + 4));
        layer.seal(pending.unwrap(), &[], None).unwrap();
    }
    let files = disk.files();
    fs_err::copy(&files[0], &files[1]).unwrap();
    let found = layer.segments().unwrap();
    assert!(layer.open_segment(&found[0], MEANING, &schema()).is_ok());
    let refused = layer
        .open_segment(&found[1], MEANING, &schema())
        .unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Segment(FileError::Label {
                key: "wavekv.end",
                ..
            })
        ),
        "{refused}"
    );
}

/// What may be done to a layer.
#[derive(Clone, Debug)]
enum Step {
    Append {
        tokens: u32,
        large: bool,
    },
    /// Up to so many tokens before the end.
    Seal {
        before: u32,
    },
    /// Of so many thousandths of the length.
    Truncate {
        thousandths: u32,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..6_u32, prop::bool::weighted(0.2)).prop_map(|(tokens, large)| Step::Append { tokens, large }),
        2 => (0..4_u32).prop_map(|before| Step::Seal { before }),
        2 => (0..=1000_u32).prop_map(|thousandths| Step::Truncate { thousandths }),
        1 => Just(Step::Restart),
    ]
}

/// A layer beside what it should have.
struct Model {
    disk: Disk,
    layer: StoredLayer,
    /// The first byte of every token.
    tokens: Vec<u8>,
    /// Number and range of every segment.
    segments: Vec<SegmentName>,
    truth: u8,
    numbers: u64,
}

impl Model {
    fn new() -> Self {
        let disk = Disk::new();
        let stored = disk
            .store()
            .create(1, "one", Durability::Process, vec![])
            .unwrap();
        Self {
            layer: stored.layer(3),
            disk,
            tokens: vec![],
            segments: vec![],
            truth: 0,
            numbers: 0,
        }
    }

    fn length(&self) -> u32 {
        self.tokens.len() as u32
    }

    fn sealed_end(&self) -> u32 {
        self.segments.last().map_or(SINK, |segment| segment.end)
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append { tokens, large } => {
                let (start, bytes) = (self.length(), if *large { INLINE_BYTES } else { 3 });
                append(&self.layer, start, *tokens, self.truth, bytes);
                let [plane, _] = planes(start, *tokens, self.truth, 1);
                self.tokens.extend(plane);
            }
            Step::Seal { before } => self.seal(self.length().saturating_sub(*before)),
            Step::Truncate { thousandths } => self.truncate(self.length() * thousandths / 1000),
            Step::Restart => self.restart(),
        }
    }

    /// Seals what is between the last segment and `end`; every third time, all of it anew.
    fn seal(&mut self, end: u32) {
        self.numbers += 1;
        let merged = self.numbers.is_multiple_of(3);
        let start = if merged { SINK } else { self.sealed_end() };
        if end <= start || end < self.sealed_end() {
            return;
        }
        let name = SegmentName {
            number: self.numbers,
            start,
            end,
        };
        let pending = self
            .layer
            .write_segment(name, MEANING, "ns", &columns(start, end))
            .unwrap();
        assert!(pending.map(&schema()).unwrap().is_mapped());
        let replaced: Vec<u64> = if merged {
            self.segments
                .drain(..)
                .map(|segment| segment.number)
                .collect()
        } else {
            vec![]
        };
        let tokens = &self.tokens[..SINK as usize];
        let (one, two): (Vec<u8>, Vec<u8>) = tokens
            .iter()
            .map(|byte| ([*byte; 3], [byte ^ 0x80; 2]))
            .fold((vec![], vec![]), |(mut one, mut two), (a, b)| {
                one.extend(a);
                two.extend(b);
                (one, two)
            });
        let planes: &[&[u8]] = &[&one, &two];
        let sink = Run {
            start: 0,
            tokens: SINK,
            planes,
        };
        let sink = self.layer.needs_sink(SINK).then_some(&sink);
        self.layer.seal(pending, &replaced, sink).unwrap();
        self.segments.push(name);
    }

    fn truncate(&mut self, length: u32) {
        if length >= self.length() {
            return;
        }
        self.truth = self.truth.wrapping_add(1);
        let cut = |segment: &SegmentName| segment.end > length;
        let dropped: Vec<u64> = self
            .segments
            .iter()
            .filter(|segment| cut(segment))
            .map(|segment| segment.number)
            .collect();
        let was_sealed = !dropped.is_empty();
        self.segments.retain(|segment| !cut(segment));
        let start = self.sealed_end();
        let rest: Vec<u8> = self.tokens[(start.min(length)) as usize..length as usize].to_vec();
        let one: Vec<u8> = rest.iter().flat_map(|byte| [*byte; 3]).collect();
        let two: Vec<u8> = rest.iter().flat_map(|byte| [byte ^ 0x80; 2]).collect();
        let planes: &[&[u8]] = &[&one, &two];
        let unsealed = Run {
            start,
            tokens: rest.len() as u32,
            planes,
        };
        let unsealed = (was_sealed && length > SINK).then_some(&unsealed);
        self.layer.truncate(length, &dropped, unsealed).unwrap();
        self.tokens.truncate(length as usize);
    }

    fn restart(&mut self) {
        // What knows the catalog must go before it can be opened again.
        let idle = Disk::new()
            .store()
            .create(9, "idle", Durability::Process, vec![])
            .unwrap();
        self.layer = idle.layer(0);
        assert_eq!(self.disk.store().used(), self.disk.stored_bytes());
        self.disk.restart();
        assert_eq!(self.disk.store().sweep().unwrap(), Swept::default());
        assert_eq!(self.disk.store().used(), self.disk.stored_bytes());
        let stored = self.disk.store().collections().unwrap().remove(0).stored;
        self.layer = stored.layer(3);
        self.check();
    }

    /// The catalog's segments and tokens are those of the model, together they are all of it, and no file is left over.
    fn check(&self) {
        let found = self.layer.segments().unwrap();
        let names: Vec<SegmentName> = found.iter().map(|segment| segment.name).collect();
        assert_eq!(names, self.segments);
        for segment in &found {
            let columns = self
                .layer
                .open_segment(segment, MEANING, &schema())
                .unwrap();
            let positions: Vec<u32> = (segment.name.start..segment.name.end).collect();
            assert_eq!(columns.column(ColumnId(0)).as_u32(), positions);
        }
        let tail = replayed(&self.layer);
        for (position, byte) in &tail {
            assert_eq!(
                self.tokens.get(*position as usize),
                Some(byte),
                "position {position}"
            );
        }
        let covered = |position: u32| {
            self.segments
                .iter()
                .any(|segment| (segment.start..segment.end).contains(&position))
        };
        let there = |position: u32| tail.iter().any(|(at, _)| *at == position);
        for position in 0..self.length() {
            assert!(
                covered(position) || there(position),
                "position {position} is lost"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_history_is_there_after_a_restart(steps in prop::collection::vec(step(), 1..24)) {
        let mut model = Model::new();
        for step in steps {
            model.take(&step);
        }
        model.restart();
    }
}

/// As nobody writes it.
fn spoil(disk: &Disk, key: &Key) {
    let mut batch = disk.store().shared.catalog.batch();
    batch.put(key, b"no row").unwrap();
    batch.commit(false).unwrap();
}

#[test]
fn a_row_that_is_damaged_costs_its_collection_and_no_file_of_it() {
    let mut disk = Disk::new();
    let spoilt = [
        Key::collection(1),
        Key::segment(2, 0, 9),
        Key::tail(3, 0, Place::Run(4)),
    ];
    for generation in 1..=4 {
        let stored = disk
            .store()
            .create(generation, "ns/one", Durability::Process, vec![7]);
        let layer = stored.unwrap().layer(0);
        append(&layer, 0, 4, 1, INLINE_BYTES);
        let name = SegmentName {
            number: 9,
            start: SINK,
            end: 4,
        };
        let pending =
            layer.write_segment(name, MEANING, &generation.to_string(), &columns(SINK, 4));
        let [one, two] = planes(0, SINK, 1, INLINE_BYTES);
        let sink_planes: &[&[u8]] = &[&one, &two];
        let sink = Run {
            start: 0,
            tokens: SINK,
            planes: sink_planes,
        };
        layer.seal(pending.unwrap(), &[], Some(&sink)).unwrap();
        append(&layer, 4, 1, 1, INLINE_BYTES);
    }
    for key in &spoilt {
        spoil(&disk, key);
    }
    let files = disk.files();
    disk.restart();
    let used = disk.store().used();
    assert_eq!(used, Bytes(0));
    assert_eq!(disk.store().sweep().unwrap(), Swept::default());
    assert_eq!(disk.files(), files);
    let found = disk.store().collections().unwrap();
    let records: Vec<Option<&[u8]>> = found
        .iter()
        .map(|found| found.record.as_deref().ok())
        .collect();
    assert_eq!(records, [None, Some(&[7][..]), Some(&[7]), Some(&[7])]);
    let is_sound = |found: &FoundCollection| {
        let layer = found.stored.layer(0);
        let replayed = layer.replay(|_| Ok::<(), StoreError>(()));
        let rows = layer.rows();
        assert_eq!(rows.is_ok(), layer.segments().is_ok() && replayed.is_ok());
        rows.is_ok()
    };
    assert!(
        is_sound(&found[0]) && !is_sound(&found[1]) && !is_sound(&found[2]) && is_sound(&found[3])
    );
    assert!(found[0].stored.used() > Bytes(0));
    for found in found {
        found.stored.delete().unwrap();
    }
    assert_eq!(disk.files(), [] as [PathBuf; 0]);
    assert_eq!(disk.store().used(), Bytes(0));
}

#[test]
fn a_catalog_that_is_gone_is_not_made_anew_over_collections() {
    let mut disk = Disk::new();
    drop(disk.store().create(1, "one", Durability::Process, vec![]));
    disk.open = None;
    let data = disk.folder.path().join("data");
    fs_err::remove_file(data.join("catalog/CURRENT")).unwrap();
    let dir = DataDir::open(&data).unwrap();
    let refused = Store::open(&dir, residence()).unwrap_err().to_string();
    assert!(refused.contains("no file CURRENT"), "{refused}");
    assert!(data.join("collections/0000000000000001").exists());
}

#[test]
fn a_count_of_starts_that_went_back_is_refused() {
    let mut disk = Disk::new();
    for _ in 0..3 {
        disk.restart();
    }
    disk.open = None;
    let data = disk.folder.path().join("data");
    fs_err::write(data.join("BOOT_EPOCH"), "1\n").unwrap();
    let dir = DataDir::open(&data).unwrap();
    let refused = Store::open(&dir, residence()).unwrap_err().to_string();
    assert!(
        refused.contains("BOOT_EPOCH is 2: expected more than 4"),
        "{refused}"
    );
}

#[test]
fn a_run_or_segment_that_is_verified_is_read_again() {
    let disk = Disk::new();
    let stored = disk.store().create(1, "one", Durability::Process, vec![5]);
    let stored = stored.unwrap();
    assert_eq!(stored.record().unwrap(), [5]);
    let layer = stored.layer(0);
    append(&layer, 0, 4, 1, INLINE_BYTES);
    append(&layer, 4, 1, 1, 10);
    let rows = layer.rows().unwrap();
    let ranges: Vec<_> = rows
        .runs
        .iter()
        .map(|run| (run.start(), run.end()))
        .collect();
    assert_eq!(ranges, [(0, 4), (4, 5)]);
    let verify = |run| {
        let mut read = 0;
        let verified = layer.verify_run(run, &mut |bytes| {
            read += bytes;
            std::ops::ControlFlow::Continue(())
        });
        verified.map(|_| read)
    };
    let [in_file, inline] = rows.runs.as_slice() else {
        panic!("{rows:?}");
    };
    assert!(verify(in_file).unwrap() >= INLINE_BYTES as u64);
    assert_eq!(verify(inline).unwrap(), 0);
    let file = disk.files().remove(0);
    let mut bytes = fs_err::read(&file).unwrap();
    bytes[70] ^= 1;
    fs_err::write(&file, bytes).unwrap();
    let refused = verify(in_file).unwrap_err();
    assert_eq!(refused.file(), Some(file.as_path()));
    assert!(layer.still_has_run(in_file).unwrap());
    layer.truncate(0, &[], None).unwrap();
    assert!(!layer.still_has_run(in_file).unwrap() && !layer.still_has_run(inline).unwrap());
    stored.delete().unwrap();
    assert!(stored.is_deleted() && stored.record().is_err());
}
