//! What it costs to have rows from all over a file that neither this process nor the system has in memory: one by one, as page
//! faults would bring them; asked for in one go, as a query does; and read into buffers beside, by one thread and by as many as
//! a device likes to have requests. Results depend on the disk that the temporary folder is on.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the benchmark")]

use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use divan::Bencher;
use divan::counter::BytesCount;
use fs_err::File;
use rustix::fs::{Advice, fadvise};
use wavekv_storage::segment::file::{self, Check, Label, Sync};
use wavekv_storage::segment::{Column, ColumnId, Columns, Element, Schema, SegmentBuilder};
use wavekv_storage::{Budget, Bytes, Home, Patience, Residence};

const ROW_BYTES: usize = 4 << 10;
/// A quarter of a GiB.
const ROWS: u32 = 64 << 10;
/// What a query wants of them.
const WANTED: [usize; 2] = [64, 1024];
const THREADS: usize = 16;
const COLUMN: ColumnId = ColumnId(0);

struct Stored {
    _folder: tempfile::TempDir,
    path: PathBuf,
    columns: Columns,
}

static STORED: LazyLock<Stored> = LazyLock::new(|| {
    let column = Column {
        name: "rows",
        element: Element::U32,
        row_elements: (ROW_BYTES / 4) as u32,
        paged: true,
    };
    let schema = Arc::new(Schema::new(vec![column]).unwrap());
    let budget = Budget::new(Bytes(1 << 30));
    let mut builder = SegmentBuilder::new(Arc::clone(&schema));
    let buffer = builder.allocate(COLUMN, ROWS, &budget).unwrap();
    for (cell, number) in buffer.as_u32_mut().iter_mut().zip(0..) {
        *cell = number;
    }
    let label = Label {
        collection: "bench".to_owned(),
        generation: 1,
        layer: 0,
        segment: 1,
        start: 0,
        end: ROWS,
        meaning: 1,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segment.arrow");
    let seal = file::write(&path, &label, &builder.seal().unwrap(), Sync::Device).unwrap();
    let home = Home::new(&Residence::new(&budget, std::thread::yield_now));
    let columns = file::open(&path, &label, &schema, seal, Check::Frame, &home).unwrap();
    Stored {
        _folder: folder,
        path,
        columns,
    }
});

fn main() {
    divan::main();
}

/// Rows from all over the file, ascending; others each time.
fn rows(wanted: usize, turn: u64) -> Vec<Range<usize>> {
    let step = ROWS as usize / wanted;
    let row = |index: usize| {
        let beside = (turn as usize + index).wrapping_mul(2_654_435_761) >> 7;
        let row = index * step + beside % step;
        row..row + 1
    };
    (0..wanted).map(row).collect()
}

/// Runs `read` on rows of a file that is in no memory.
fn cold(bencher: Bencher<'_, '_>, wanted: usize, read: impl Fn(&Stored, &[Range<usize>])) {
    let mut turn = 0;
    bencher
        .counter(BytesCount::new(wanted * ROW_BYTES))
        .with_inputs(|| {
            turn += 1;
            let stored = &*STORED;
            stored.columns.demote();
            let file = File::open(&stored.path).unwrap();
            fadvise(file, 0, None, Advice::DontNeed).unwrap();
            rows(wanted, turn)
        })
        .bench_local_refs(|rows| read(&STORED, rows));
}

#[divan::bench(args = WANTED, sample_size = 1, sample_count = 40)]
fn held_one_by_one(bencher: Bencher<'_, '_>, wanted: usize) {
    cold(bencher, wanted, |stored, rows| {
        for row in rows {
            let held = stored
                .columns
                .hold([(COLUMN, row.clone())], Patience::Stand);
            drop(held.unwrap());
        }
    });
}

#[divan::bench(args = WANTED, sample_size = 1, sample_count = 40)]
fn held_in_one_go(bencher: Bencher<'_, '_>, wanted: usize) {
    cold(bencher, wanted, |stored, rows| {
        let wanted = rows.iter().map(|row| (COLUMN, row.clone()));
        drop(stored.columns.hold(wanted, Patience::Stand).unwrap());
    });
}

/// Reads rows, of which the first column's first is near the start of the file, into a buffer.
fn read_rows(stored: &Stored, rows: &[Range<usize>]) {
    let file = File::open(&stored.path).unwrap();
    let mut buffer = vec![0; ROW_BYTES];
    for row in rows {
        let at = (row.start * ROW_BYTES) as u64;
        file.file().read_exact_at(&mut buffer, at).unwrap();
        divan::black_box(&buffer);
    }
}

#[divan::bench(args = WANTED, sample_size = 1, sample_count = 40)]
fn read_by_one_thread(bencher: Bencher<'_, '_>, wanted: usize) {
    cold(bencher, wanted, read_rows);
}

#[divan::bench(args = WANTED, sample_size = 1, sample_count = 40)]
fn read_by_many_threads(bencher: Bencher<'_, '_>, wanted: usize) {
    cold(bencher, wanted, |stored, rows| {
        std::thread::scope(|scope| {
            for rows in rows.chunks(rows.len().div_ceil(THREADS)) {
                scope.spawn(|| read_rows(stored, rows));
            }
        });
    });
}
