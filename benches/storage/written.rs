//! What goes to the device for each byte that is inserted: tokens before a segment has them, segments, and segments that
//! merge.

use wavekv_client::wire;

use crate::harness::{Collection, Daemon};
use crate::layer::{Layer, PIECE};

/// Pieces that are inserted token by token.
const DECODED: usize = 4;

pub(crate) async fn print(layer: &Layer) {
    println!("| inserts | K and V, MiB | segments merged | written to the device, of K and V |");
    println!("| --- | --- | --- | --- |");
    for (name, pieces, calls) in [
        ("4 MiB a call", layer.pieces().len(), 1),
        ("64 tokens a call", DECODED, PIECE / 64),
        ("a token a call", DECODED, PIECE),
    ] {
        let daemon = Daemon::with(&["memory.budget=8GiB"]);
        let collection = layer.collection(&daemon, wire::Durability::Process).await;
        let before = written(&daemon);
        insert(layer, &collection, pieces, calls).await;
        collection.settle().await;
        let stats = collection.client.stats(None).await.unwrap();
        let merged = stats.clustering.unwrap_or_default().segments_merged;
        // What the system has not written yet is counted already, when its pages became dirty.
        let inserted = (layer.bytes() / layer.pieces().len() * pieces) as f64;
        println!(
            "| {name} | {:.0} | {merged} | {:.2} |",
            inserted / f64::from(1 << 20),
            (written(&daemon) - before) as f64 / inserted
        );
    }
    println!();
}

async fn insert(layer: &Layer, collection: &Collection, pieces: usize, calls: usize) {
    let tokens = PIECE / calls;
    for piece in 0..pieces {
        for call in 0..calls {
            let entry = layer.part(collection, piece, call * tokens, tokens);
            collection.client.insert_one(entry).await.unwrap();
        }
    }
}

/// Bytes that the process had the system write to a device.
fn written(daemon: &Daemon) -> u64 {
    let counters = fs_err::read_to_string(format!("/proc/{}/io", daemon.id())).unwrap();
    let of = |name: &str| -> u64 {
        let line = counters.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    of("write_bytes:") - of("cancelled_write_bytes:")
}
