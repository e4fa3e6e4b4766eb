//! The build of segments: how many tokens of a KV head a second, how that goes with the number of tokens, and how good
//! its clusters are beside FAISS's.
//!
//! ```text
//! cargo bench --bench clustering [-- TRACE.safetensors ...]
//! ```
//!
//! Prints Markdown. With traces, also the inertia of the clusters of keys (the sum of squared distances of keys from the
//! mean of their cluster), of every head and segment, against a k-means by FAISS over the whole segment with the same
//! number of clusters.
#![expect(clippy::print_stdout, reason = "the page is its output")]

mod inertia;
mod segments;
mod speed;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Cargo adds --bench.
    let traces: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let done = speed::print().and_then(|()| inertia::print(&traces));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
