//! What an answer costs buys exactness, on sequences as models make them: recorded traces where there are any, else
//! generated ones.

use std::io::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use wavekv_trace::{Layer, Trace, compare};

use crate::harness::trace::{self, errors};
use crate::harness::{Collection, Daemon, mode};

/// Each budget beats the one before by this factor at least; it is two thirds or less on this trace.
const GAIN: f64 = 0.9;
/// Of exact mode against f64 for any query head: bf16 and f16 are exact in f32, so what is left is summation.
const EXACT: f64 = 1e-3;
/// Query rows of a recorded trace: spread ones and retrieving ones.
const ROWS: Range<usize> = 56..80;

#[tokio::test]
async fn the_error_falls_as_the_budget_grows() {
    let daemon = Daemon::start();
    let collection = Collection::unmade(&daemon.client().await);
    let trace = trace::generated(4096);
    let layer = &trace.layers[0];
    trace::store(&collection, &trace, layer).await;
    let rows = 0..trace.q_positions.len();
    let mut last = f64::INFINITY;
    for share in [0.0, 0.02, 0.1, 0.3] {
        let mode = Some(mode::budget(share));
        let mean = compare::mean(&errors(&collection, &trace, layer, rows.clone(), mode).await);
        assert!(mean < GAIN * last, "{mean} at {share}, {last} before it");
        last = mean;
    }
    let whole = errors(&collection, &trace, layer, rows, Some(mode::budget(1.0))).await;
    assert!(whole.iter().all(|error| *error < EXACT), "{whole:?}");
}

#[tokio::test]
async fn modes_keep_their_order_on_traces_of_models() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    for trace in traces() {
        let layer = trace.layers.last().unwrap();
        let found = Errors::of(&Collection::unmade(&client), &trace, layer).await;
        let of = format!("{}, layer {}: {found:?}", trace.model, layer.number);
        assert!(found.exact < EXACT, "{of}");
        assert!(found.adaptive < found.retroinfer, "{of}");
        assert!(found.budget < found.retroinfer, "{of}");
    }
}

/// The recorded traces, or a generated one where there are none. Says which: past the capture of the test's output, so
/// that nobody takes the one for the other.
#[expect(
    clippy::explicit_write,
    reason = "what eprintln writes is shown of failed tests only"
)]
fn traces() -> Vec<Trace> {
    let recorded = trace::recorded();
    let (traces, said) = if recorded.is_empty() {
        (vec![trace::generated(8192)], "a generated trace".to_owned())
    } else {
        let load = |path: &PathBuf| Trace::load(path).unwrap();
        let traces = recorded.iter().map(load).collect();
        (traces, format!("the recorded traces {recorded:?}"))
    };
    writeln!(std::io::stderr(), "accuracy is measured on {said}").unwrap();
    traces
}

/// Of one layer of a trace: the worst of exact mode, the mean of the others.
#[derive(Debug)]
struct Errors {
    exact: f64,
    adaptive: f64,
    budget: f64,
    retroinfer: f64,
}

impl Errors {
    async fn of(collection: &Collection, trace: &Trace, layer: &Layer) -> Self {
        trace::store(collection, trace, layer).await;
        let of = async |mode| errors(collection, trace, layer, ROWS, mode).await;
        let exact = of(Some(mode::exact())).await;
        Self {
            exact: exact.into_iter().fold(0.0, f64::max),
            adaptive: compare::mean(&of(None).await),
            budget: compare::mean(&of(Some(mode::budget(0.018))).await),
            retroinfer: compare::mean(&of(Some(mode::retroinfer())).await),
        }
    }
}
