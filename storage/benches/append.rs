//! What it costs to store an append, beside a copy in memory and a plain write of the same bytes to a file: a decode step's
//! token of one layer (4 KiB), some, and a prefill's piece. Results depend on the disk that the temporary folder is on.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the benchmark")]

use std::io::Write as _;

use divan::Bencher;
use divan::counter::BytesCount;
use wavekv_storage::store::{Durability, Run, Store};
use wavekv_storage::{Budget, Bytes, DataDir, Residence};

const SIZES: [usize; 6] = [4 << 10, 16 << 10, 63 << 10, 65 << 10, 256 << 10, 4 << 20];
/// K and V of a token of a layer with 8 KV heads, 128 dimensions, bf16.
const TOKEN_BYTES: usize = 4 << 10;

fn main() {
    divan::main();
}

#[divan::bench(args = SIZES)]
fn copy(bencher: Bencher<'_, '_>, bytes: usize) {
    let from = vec![7_u8; bytes];
    let mut into = vec![0_u8; bytes];
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| divan::black_box(&mut into).copy_from_slice(divan::black_box(&from)));
}

/// Appended to one file that grows, without a checksum: what a disk can do.
#[divan::bench(args = SIZES)]
fn plain_file(bencher: Bencher<'_, '_>, bytes: usize) {
    let folder = tempfile::tempdir().unwrap();
    let from = vec![7_u8; bytes];
    let mut file = fs_err::File::create(folder.path().join("file")).unwrap();
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| file.write_all(divan::black_box(&from)).unwrap());
}

#[divan::bench(args = SIZES)]
fn store_process(bencher: Bencher<'_, '_>, bytes: usize) {
    store(bencher, bytes, Durability::Process);
}

#[divan::bench(args = SIZES)]
fn store_power(bencher: Bencher<'_, '_>, bytes: usize) {
    store(bencher, bytes, Durability::Power);
}

fn store(bencher: Bencher<'_, '_>, bytes: usize, durability: Durability) {
    let folder = tempfile::tempdir().unwrap();
    let dir = DataDir::open(folder.path().join("data")).unwrap();
    let budget = Budget::new(Bytes(1 << 30));
    let store = Store::open(&dir, Residence::new(&budget, std::thread::yield_now)).unwrap();
    let layer = store
        .create(1, "bench", durability, vec![])
        .unwrap()
        .layer(0);
    let plane = vec![7_u8; bytes / 2];
    let tokens = (bytes / TOKEN_BYTES).max(1) as u32;
    let mut start = 0;
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let planes: &[&[u8]] = &[&plane, &plane];
        layer
            .append(&Run {
                start,
                tokens,
                planes,
            })
            .unwrap();
        start += tokens;
        // As a seal does now and then, so that the disk holds a tail and no more.
        if start >= 1 << 14 {
            layer.truncate(0, &[], None).unwrap();
            start = 0;
        }
    });
}
