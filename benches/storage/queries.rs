//! Queries over what is in memory, and over what is not.

use std::time::Duration;

use wavekv::clock::Clock;
use wavekv_client::wire;

use crate::harness::daemon::used_bytes;
use crate::harness::{Collection, Daemon, mode};
use crate::layer::{Layer, drop_from_cache};

const QUERIES: usize = 32;

/// Where K, V and codes are before every query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Memory,
    Cache,
    Device,
}

const PLACES: [(&str, Place); 3] = [
    ("in memory", Place::Memory),
    ("in the system's cache", Place::Cache),
    ("on the device", Place::Device),
];

fn modes() -> [(&'static str, wire::AttendMode); 2] {
    [
        ("`adaptive`, 0.05", mode::adaptive(0.05)),
        ("`exact`", mode::exact()),
    ]
}

/// Every mode with everything in each place; the daemon goes on with the collection.
pub(crate) async fn print(layer: &Layer, clock: &Clock) -> Daemon {
    let daemon = Daemon::with(&["memory.budget=8GiB"]);
    let collection = filled(layer, &daemon).await;
    println!(
        "| attend | K, V and codes | median, ms | of that in memory | slowest, ms | MiB brought |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for (name, mode) in modes() {
        let mut in_memory = 0.0;
        for (place_name, place) in PLACES {
            let (mut times, mut brought) = (vec![], 0);
            for number in 0..QUERIES {
                put(&daemon, &collection, place).await;
                let before = misses(&collection).await;
                times.push(ask(layer, &collection, number, mode, clock).await);
                brought += misses(&collection).await - before;
            }
            times.sort_unstable();
            let median = times[QUERIES / 2].as_secs_f64() * 1e3;
            if place == Place::Memory {
                in_memory = median;
            }
            println!(
                "| {name} | {place_name} | {median:.2} | {:.1} | {:.2} | {:.1} |",
                median / in_memory,
                times[QUERIES - 1].as_secs_f64() * 1e3,
                brought as f64 * rustix::param::page_size() as f64
                    / QUERIES as f64
                    / f64::from(1 << 20)
            );
        }
    }
    println!();
    daemon
}

/// What a daemon with a quarter of the memory holds after queries of every mode, and what they cost.
pub(crate) async fn print_beyond_memory(layer: &Layer, clock: &Clock) {
    let budget = layer.bytes() as u64 / 4;
    let daemon = Daemon::with(&[&format!("memory.budget={budget}B")]);
    let empty = daemon.resident_bytes();
    let collection = filled(layer, &daemon).await;
    println!(
        "| K and V four times `memory.budget` | median, ms | resident / budget | counted / budget | hits |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for (name, mode) in modes() {
        let before = collection.residence().await;
        let mut times = vec![];
        for number in 0..QUERIES {
            times.push(ask(layer, &collection, number, mode, clock).await);
        }
        times.sort_unstable();
        let after = collection.residence().await;
        let [hits, misses] = [after.hits - before.hits, after.misses - before.misses];
        println!(
            "| {name} | {:.2} | {:.3} | {:.3} | {:.1} % |",
            times[QUERIES / 2].as_secs_f64() * 1e3,
            daemon.resident_bytes() as f64 / budget as f64,
            used_bytes(&collection.client).await as f64 / budget as f64,
            100.0 * hits as f64 / (hits + misses) as f64
        );
    }
    let share = empty as f64 / budget as f64;
    println!(
        "\nResident: of the whole process, which has {share:.3} of the budget before it has a collection.\n"
    );
}

/// The layer in a collection that has it in segments.
async fn filled(layer: &Layer, daemon: &Daemon) -> Collection {
    let collection = layer.collection(daemon, wire::Durability::Process).await;
    for piece in 0..layer.pieces().len() {
        let entry = layer.entry(&collection, piece);
        collection.client.insert_one(entry).await.unwrap();
        // What waits to be clustered is in memory.
        if piece % 4 == 3 {
            collection.settle().await;
        }
    }
    collection.settle().await;
    collection
}

async fn put(daemon: &Daemon, collection: &Collection, place: Place) {
    let placement = match place {
        Place::Memory => wire::Placement::Promoted,
        Place::Cache | Place::Device => wire::Placement::Demoted,
    };
    let name = collection.name.clone();
    collection.client.place(name, placement).await.unwrap();
    if place == Place::Device {
        for file in daemon.collection_files() {
            drop_from_cache(&file);
        }
    }
}

async fn ask(
    layer: &Layer,
    collection: &Collection,
    number: usize,
    mode: wire::AttendMode,
    clock: &Clock,
) -> Duration {
    let question = layer.question(collection, number, mode);
    let began = clock.uptime();
    collection.client.attend_one(question).await.unwrap();
    clock.uptime().saturating_sub(began)
}

async fn misses(collection: &Collection) -> u64 {
    collection.residence().await.misses
}
