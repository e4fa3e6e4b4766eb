//! Inserts, and a start.

use std::io::Write as _;
use std::time::Duration;

use wavekv::clock::Clock;
use wavekv_client::wire;

use crate::harness::Daemon;
use crate::layer::{Layer, PIECE, drop_from_cache};

const DURABILITIES: [(&str, wire::Durability); 3] = [
    ("`none`", wire::Durability::None),
    ("`process`", wire::Durability::Process),
    ("`power`", wire::Durability::Power),
];
/// Inserts of one token, of which the median counts.
const STEPS: usize = 500;

/// Until inserts of 4 MiB are acknowledged, and until all is clustered; then inserts of one token.
pub(crate) async fn print(layer: &Layer, clock: &Clock) {
    println!("| | acknowledged, MiB/s | of a plain file | with clustering, MiB/s | a token, us |");
    println!("| --- | --- | --- | --- | --- |");
    let mut plain = [0.0; 2];
    for (sync, plain) in [false, true].into_iter().zip(&mut plain) {
        *plain = speed(layer, write_plainly(layer, clock, sync));
        let name = if sync {
            "plain file, synced"
        } else {
            "plain file"
        };
        println!("| {name} | {plain:.0} | 1 | | |");
    }
    for (name, durability) in DURABILITIES {
        let daemon = Daemon::with(&["memory.budget=8GiB"]);
        let collection = layer.collection(&daemon, durability).await;
        let began = clock.uptime();
        for piece in 0..layer.pieces().len() - 1 {
            let entry = layer.entry(&collection, piece);
            collection.client.insert_one(entry).await.unwrap();
        }
        let acknowledged = clock.uptime().saturating_sub(began);
        collection.settle().await;
        let settled = clock.uptime().saturating_sub(began);
        let last = layer.pieces().len() - 1;
        let mut steps = vec![];
        for step in 0..STEPS {
            let entry = layer.part(&collection, last, step, 1);
            let began = clock.uptime();
            collection.client.insert_one(entry).await.unwrap();
            steps.push(clock.uptime().saturating_sub(began));
        }
        steps.sort_unstable();
        let plain = plain[usize::from(durability == wire::Durability::Power)];
        println!(
            "| {name} | {:.0} | {:.2} | {:.0} | {:.0} |",
            speed(layer, acknowledged),
            speed(layer, acknowledged) / plain,
            speed(layer, settled),
            steps[STEPS / 2].as_secs_f64() * 1e6
        );
    }
    println!(
        "\nA token is one of {} bytes, in a call of its own.\n",
        layer.bytes() / layer.tokens()
    );
}

/// The same bytes to one file, a piece at a time.
fn write_plainly(layer: &Layer, clock: &Clock, sync: bool) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let mut file = fs_err::File::create(folder.path().join("file")).unwrap();
    let began = clock.uptime();
    for planes in layer.pieces() {
        for plane in planes {
            file.write_all(plane).unwrap();
        }
        if sync {
            file.sync_all().unwrap();
        }
    }
    clock.uptime().saturating_sub(began)
}

/// MiB a second of what is inserted.
fn speed(layer: &Layer, took: Duration) -> f64 {
    (layer.bytes() - PIECE) as f64 / f64::from(1 << 20) / took.as_secs_f64()
}

/// Until a daemon serves again that was killed: with its files in the system's cache, and without.
pub(crate) fn print_restart(mut daemon: Daemon, layer: &Layer, clock: &Clock) {
    println!("| start after SIGKILL | ms | a GiB of K and V, ms |");
    println!("| --- | --- | --- |");
    for (name, cached) in [
        ("files in the system's cache", true),
        ("on the device", false),
    ] {
        daemon.kill();
        if !cached {
            for file in daemon.collection_files() {
                drop_from_cache(&file);
            }
        }
        let began = clock.uptime();
        daemon.start_again();
        let took = (clock.uptime().saturating_sub(began)).as_secs_f64() * 1e3;
        let gib = layer.bytes() as f64 / f64::from(1 << 30);
        println!("| {name} | {took:.0} | {:.0} |", took / gib);
    }
    println!();
}
