//! Tokens of a KV head that are built in a second.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use wavekv::index::build::HeadBuild;
use wavekv_kernels::Dtype;
use wavekv_trace::generate::{GenerateParameters, Generator};

use crate::segments::{Failure, Tokens, Workshop};

const DIM: usize = 128;
const TOKENS: [usize; 3] = [32 * 1024, 128 * 1024, 512 * 1024];
const THREADS: [usize; 2] = [1, 2];
/// The best of these is printed.
const RUNS: usize = 3;

pub(crate) fn print() -> Result<(), Failure> {
    println!(
        "Millions of tokens x KV heads a second, head_dim {DIM}, bf16; best of {RUNS}. A machine that others use"
    );
    println!(
        "too gives less of its time: the last column is by the time that the thread had a core.\n"
    );
    println!(
        "| tokens | 1 thread | 2 threads | 1 thread, a second of a core |\n| --- | --- | --- | --- |"
    );
    for tokens in TOKENS {
        let head = generated(tokens)?;
        let mut rates = vec![];
        let mut least = f64::INFINITY;
        for threads in THREADS {
            let mut best = f64::INFINITY;
            for _ in 0..RUNS {
                let took = build_all(&head, threads)?;
                best = best.min(took.seconds);
                least = least.min(took.core_seconds);
            }
            rates.push(format!("{:.2}", tokens as f64 / best / 1e6));
        }
        rates.push(format!("{:.2}", tokens as f64 / least / 1e6));
        println!("| {tokens} | {} |", rates.join(" | "));
    }
    Ok(())
}

fn generated(tokens: usize) -> Result<Tokens, Failure> {
    let generator = Generator::new(&GenerateParameters {
        tokens,
        kv_heads: 1,
        group: 1,
        head_dim: DIM,
        value_dim: DIM,
        dtype: wavekv_trace::Dtype::Bf16,
        ..GenerateParameters::default()
    })?;
    let [keys, values] = generator.layer(0).range(0..tokens);
    Ok(Tokens::new(keys.data(), values.data(), Dtype::Bf16, DIM))
}

/// What the build of all segments took.
struct Took {
    seconds: f64,
    /// Of all threads.
    core_seconds: f64,
}

/// Builds all segments, each by the next free thread, and throws them away.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn build_all(head: &Tokens, threads: usize) -> Result<Took, Failure> {
    let workshop = Workshop::new(DIM, Dtype::Bf16)?;
    let segments: Vec<Range<usize>> = head.segments().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut room = HeadBuild::new();
        while let Some(range) = segments.get(next.fetch_add(1, Ordering::Relaxed)) {
            workshop.build(&mut room, head, range)?;
        }
        core_seconds()
    };
    let start = Instant::now();
    let core_seconds = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| {
            let joined = worker.join();
            joined.map_err(|_| Failure::from("a thread panicked"))?
        });
        results.sum::<Result<f64, Failure>>()
    })?;
    Ok(Took {
        seconds: start.elapsed().as_secs_f64(),
        core_seconds,
    })
}

/// How long this thread has had a core.
fn core_seconds() -> Result<f64, Failure> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = times.split(' ').next().unwrap_or_default().parse::<f64>()?;
    Ok(nanoseconds / 1e9)
}
