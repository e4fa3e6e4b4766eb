//! What a transport costs, through the real daemon: the round trip of an attend over nothing and over a few tokens, its share
//! of an attend over many, and inserts beside a plain copy of the same bytes; over shared memory that spins and that sleeps,
//! and over gRPC on a Unix socket and on loopback TCP.
//!
//! ```text
//! cargo bench --bench transport [-- [PART | TRANSPORT]... [TOKENS_OF_THE_LONGEST_LAYER]]
//! ```
//!
//! The parts are `round-trips`, `shares` and `inserts`, the transports `spinning`, `sleeping`, `unix` and `tcp`; all of them
//! where none is named. Prints Markdown. All transports ask one daemon in turns, so that they meet the same machine; a daemon that spins is
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
use self::transports::TRANSPORTS;

/// A layer of Llama-3 8B.
const SHAPE: Shape = Shape {
    kv_heads: 8,
    group: 4,
    head_dim: 128,
    value_dim: 128,
    dtype: Dtype::Bf16,
    window: 0,
};
/// What can be asked for alone.
const ROUND_TRIPS: &str = "round-trips";
const SHARES: &str = "shares";
const INSERTS: &str = "inserts";
const PARTS: [&str; 3] = [ROUND_TRIPS, SHARES, INSERTS];
/// Of the longest layer, where the command line does not say.
const TOKENS: usize = 131_072;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Asked {
        tokens,
        parts,
        transports,
    } = Asked::read();
    let clock = Clock::start();
    if parts.contains(&ROUND_TRIPS) {
        round_trips::print(&transports, &clock).await;
    }
    if parts.contains(&SHARES) {
        round_trips::print_shares(&transports, tokens, &clock).await;
    }
    if parts.contains(&INSERTS) {
        inserts::print(&transports, &clock).await;
    }
}

/// What the command line asks for.
struct Asked {
    tokens: usize,
    parts: Vec<&'static str>,
    transports: Vec<&'static str>,
}

impl Asked {
    /// All where nothing is named.
    fn read() -> Self {
        let mut asked = Self {
            tokens: TOKENS,
            parts: vec![],
            transports: vec![],
        };
        // Cargo adds --bench.
        for word in std::env::args().skip(1).filter(|word| word != "--bench") {
            let named = |of: &[&'static str]| of.iter().copied().find(|name| *name == word);
            if let Ok(number) = word.parse() {
                asked.tokens = number;
            } else if let Some(part) = named(&PARTS) {
                asked.parts.push(part);
            } else if let Some(transport) = named(&TRANSPORTS) {
                asked.transports.push(transport);
            } else {
                panic!(
                    "{word}: expected a number of tokens, or some of {PARTS:?} and {TRANSPORTS:?}"
                );
            }
        }
        if asked.parts.is_empty() {
            asked.parts.extend(PARTS);
        }
        if asked.transports.is_empty() {
            asked.transports.extend(TRANSPORTS);
        }
        asked
    }
}
