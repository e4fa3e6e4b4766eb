//! What an answer costs buys exactness, on sequences as models make them: recorded traces where there are any, else
//! generated ones.

use std::io::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use wavekv_trace::{Layer, Trace, compare};

use rand::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64;

use crate::harness::trace::{self, errors};
use crate::harness::{Collection, Daemon, Sequence, Shape, mode};

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

/// As heads do that copy: every token but one is far below what is looked at where nothing matches, and nothing that is like
/// the one is near it.
#[tokio::test]
async fn the_one_token_that_outweighs_all_others_is_found() {
    let daemon = Daemon::start();
    let shape = Shape {
        kv_heads: 1,
        group: 1,
        head_dim: 64,
        value_dim: 64,
        ..Shape::default()
    };
    let collection = Collection::create(&daemon.client().await, shape).await;
    let sequence = copying(shape, 4096);
    collection.insert(&sequence, 0..sequence.tokens).await;
    collection.cluster().await;
    let asked: Vec<u32> = (4064..4096).collect();
    let exact = sequence.exact(&asked);
    // What nothing matches comes to 18; most queries are matched by a token that has more.
    let matched = exact.lse.iter().filter(|lse| **lse > 19.0).count();
    assert!(matched > asked.len() / 2, "{:?}", exact.lse);
    let answer = collection
        .attend(&sequence, &asked, mode::adaptive(0.05))
        .await;
    let errors = sequence.errors(&asked, &answer);
    assert!(errors.iter().all(|error| *error < 0.1), "{errors:?}");
}

/// Keys without any structure, of which a query gives scores of deviation 6; the first token has a score of 18 for all
/// queries.
fn copying(shape: Shape, tokens: usize) -> Sequence {
    let mut rng = Pcg64::seed_from_u64(18);
    let mut normal = |numbers: usize| -> Vec<f32> {
        StandardNormal.sample_iter(&mut rng).take(numbers).collect()
    };
    let (dim, scale) = (shape.head_dim, shape.scale());
    let mut sequence = Sequence {
        shape,
        tokens,
        k: vec![],
        v: shape.dtype.encode(&normal(tokens * shape.value_dim)),
        q: normal(tokens * dim),
    };
    let mut keys = normal(tokens * dim);
    for key in keys.chunks_exact_mut(dim) {
        key[0] = 0.0;
    }
    keys[..dim].fill(0.0);
    keys[0] = 3.0;
    for query in sequence.q.chunks_exact_mut(dim) {
        query[0] = 0.0;
        let length = query.iter().map(|x| x * x).sum::<f32>().sqrt();
        for x in query.iter_mut() {
            *x *= 6.0 / (scale * length);
        }
        query[0] = 18.0 / (scale * 3.0);
    }
    sequence.k = shape.dtype.encode(&keys);
    sequence
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
