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
pub(crate) async fn print(clock: &Clock) {
    let sequence = Sequence::random(SHAPE, PIECE, 1);
    let copied = speed(copy(&sequence, clock));
    println!("Inserts of 4 MiB, {PIECES} of them\n");
    println!("| durability | transport | MiB/s | of memcpy |");
    println!("| --- | --- | --- | --- |");
    println!("| | memcpy, into the same place | {copied:.0} | 1 |");
    let daemons = Daemons::start();
    for (name, durability) in [
        ("`none`", wire::Durability::None),
        ("`process`", wire::Durability::Process),
    ] {
        for (transport, client) in daemons.clients().await {
            let mut best = Duration::MAX;
            for _ in 0..RUNS {
                best = best.min(insert(&client, &sequence, durability, clock).await);
            }
            let speed = speed(best);
            println!(
                "| {name} | {transport} | {speed:.0} | {:.2} |",
                speed / copied
            );
        }
    }
}

async fn insert(
    client: &Client,
    sequence: &Sequence,
    durability: wire::Durability,
    clock: &Clock,
) -> Duration {
    let collection = Collection::unmade(client);
    // Of kind flat, which clusters nothing meanwhile.
    let index = wire::IndexParameters {
        kind: wire::IndexKind::Flat.into(),
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
