//! What storage costs, through the real daemon: inserts of every durability beside a plain write of the same bytes, what they have written, a start
//! after a kill, queries whose K and V are in memory, in the system's cache or on the device, and a collection four times the
//! memory.
//!
//! ```text
//! cargo bench --bench storage [-- MIB_OF_K_AND_V]
//! ```
//!
//! Prints Markdown. Results depend on the disk that the temporary folder is on.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a step that fails ends the benchmark, and the page is its output"
)]

#[path = "../generated/mod.rs"]
mod generated;
#[expect(
    dead_code,
    unused_imports,
    reason = "what the promises are tested with does more than this needs"
)]
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod ingest;
mod layer;
mod queries;
mod written;

use wavekv::clock::Clock;

use self::layer::Layer;

/// Of K and V, where the command line does not say.
const MIB: usize = 512;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Cargo adds --bench.
    let given = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let mib = given.map_or(MIB, |mib| mib.parse().unwrap());
    let (layer, clock) = (Layer::generated(mib), Clock::start());
    println!(
        "K and V: {mib} MiB, {} tokens of one KV head\n",
        layer.tokens()
    );
    ingest::print(&layer, &clock).await;
    written::print(&layer).await;
    let daemon = queries::print(&layer, &clock).await;
    ingest::print_restart(daemon, &layer, &clock);
    queries::print_beyond_memory(&layer, &clock).await;
}
