//! What a transport costs, through the real daemon: the round trip of an attend over nothing and over a few tokens, its share
//! of an attend over many, and inserts beside a plain copy of the same bytes; over shared memory that spins and that sleeps,
//! and over gRPC on a Unix socket and on loopback TCP.
//!
//! ```text
//! cargo bench --bench transport [-- TOKENS_OF_THE_LONGEST_LAYER]
//! ```
//!
//! Prints Markdown. All transports ask one daemon in turns, so that they meet the same machine; a daemon that spins is
//! another one. The geometry is that of a layer of Llama-3 8B.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a step that fails ends the benchmark, and the page is its output"
)]

#[expect(
    dead_code,
    unused_imports,
    reason = "what the promises are tested with does more than this needs"
)]
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod inserts;
mod round_trips;
mod transports;

use wavekv::clock::Clock;
use wavekv_trace::Dtype;

use self::harness::Shape;

/// A layer of Llama-3 8B.
const SHAPE: Shape = Shape {
    kv_heads: 8,
    group: 4,
    head_dim: 128,
    value_dim: 128,
    dtype: Dtype::Bf16,
    window: 0,
};
/// Of the longest layer, where the command line does not say.
const TOKENS: usize = 131_072;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Cargo adds --bench.
    let given = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let tokens = given.map_or(TOKENS, |tokens| tokens.parse().unwrap());
    let clock = Clock::start();
    round_trips::print(&clock).await;
    round_trips::print_shares(&clock, tokens).await;
    inserts::print(&clock).await;
}
