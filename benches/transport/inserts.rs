//! Inserts: how many bytes a second are acknowledged.

use std::time::Duration;

use wavekv::clock::Clock;
use wavekv_client::{Client, wire};

use crate::SHAPE;
use crate::harness::{Collection, Sequence};
use crate::transports::Daemons;

/// Tokens of one insert: 4 MiB of K and V.
const PIECE: usize = 1024;
/// Inserts of a run.
const PIECES: usize = 48;
/// Runs, of which the best counts: clustering in the background takes its share of the others.
const RUNS: usize = 3;

/// Each transport beside memory.
pub(crate) async fn print(transports: &[&str], clock: &Clock) {
    let sequence = Sequence::random(SHAPE, PIECE, 1);
    let copied = speed(copy(&sequence, clock));
    let copied_cold = speed(copy_cold(&sequence, clock));
    println!("Inserts of 4 MiB, {PIECES} of them\n");
    println!("| durability | transport | MiB/s | of memcpy in cache | of memcpy out of cache |");
    println!("| --- | --- | --- | --- | --- |");
    let row = |durability: &str, transport: &str, speed: f64| {
        let (warm, cold) = (speed / copied, speed / copied_cold);
        println!("| {durability} | {transport} | {speed:.0} | {warm:.2} | {cold:.2} |");
    };
    row(
        "",
        "memcpy, of the same bytes to the same place: in cache",
        copied,
    );
    row(
        "",
        "memcpy, of other bytes to another place each time: out of cache",
        copied_cold,
    );
    let daemons = Daemons::start();
    // What is of kind flat is not clustered meanwhile.
    let (quiet, clustered) = (wire::IndexKind::Flat, wire::IndexKind::Wave);
    for (name, durability, kind) in [
        ("`none`", wire::Durability::None, quiet),
        ("`process`", wire::Durability::Process, quiet),
        (
            "`process`, clustered meanwhile",
            wire::Durability::Process,
            clustered,
        ),
    ] {
        for (transport, client) in daemons.clients(transports).await {
            let mut best = Duration::MAX;
            for _ in 0..RUNS {
                best = best.min(insert(&client, &sequence, (durability, kind), clock).await);
            }
            row(name, transport, speed(best));
        }
    }
}

async fn insert(
    client: &Client,
    sequence: &Sequence,
    (durability, kind): (wire::Durability, wire::IndexKind),
    clock: &Clock,
) -> Duration {
    let collection = Collection::unmade(client);
    let index = wire::IndexParameters {
        kind: kind.into(),
        ..Default::default()
    };
    let request = wire::CreateRequest {
        durability: durability.into(),
        ..collection.request(SHAPE, index)
    };
    client.create(request).await.unwrap();
    let mut entry = collection.entry(sequence, 0..PIECE);
    let mut took = Duration::ZERO;
    for piece in 0..PIECES {
        entry.start_position = (piece * PIECE) as u32;
        let given = entry.clone();
        let began = clock.uptime();
        client.insert_one(given).await.unwrap();
        took += clock.uptime().saturating_sub(began);
    }
    collection.delete().await;
    took
}

/// As many bytes from memory to memory, none of which is in a cache: each insert's come from a place of their own and go to
/// another, as those of an engine do, and the places are written beforehand, so that they are there.
fn copy_cold(sequence: &Sequence, clock: &Clock) -> Duration {
    let entry = sequence.entry(0..PIECE);
    let one = [entry.k.unwrap().data, entry.v.unwrap().data].concat();
    let from = one.repeat(PIECES);
    let mut into = vec![1_u8; from.len()];
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let began = clock.uptime();
        for (from, into) in from.chunks(one.len()).zip(into.chunks_mut(one.len())) {
            into.copy_from_slice(from);
            std::hint::black_box(&into);
        }
        best = best.min(clock.uptime().saturating_sub(began));
    }
    best
}

/// The same bytes from memory to memory.
fn copy(sequence: &Sequence, clock: &Clock) -> Duration {
    let entry = sequence.entry(0..PIECE);
    let mut best = Duration::MAX;
    let tensors = [entry.k.unwrap().data, entry.v.unwrap().data];
    let mut into = tensors.clone().map(|tensor| vec![0; tensor.len()]);
    for _ in 0..RUNS {
        let began = clock.uptime();
        for _ in 0..PIECES {
            for (from, into) in tensors.iter().zip(&mut into) {
                into.copy_from_slice(from);
                std::hint::black_box(&into);
            }
        }
        best = best.min(clock.uptime().saturating_sub(began));
    }
    best
}

fn speed(took: Duration) -> f64 {
    let token = SHAPE.kv_heads * (SHAPE.head_dim + SHAPE.value_dim) * SHAPE.dtype.size();
    (PIECES * PIECE * token) as f64 / f64::from(1 << 20) / took.as_secs_f64()
}
