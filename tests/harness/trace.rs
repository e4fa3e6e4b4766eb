//! Traces: recorded ones where there are any, and how one is stored and asked.

use std::ops::Range;
use std::path::PathBuf;

use wavekv_client::wire;
use wavekv_trace::generate::{GenerateParameters, generate};
use wavekv_trace::{Dtype, Layer, Trace, compare};

use crate::harness::sequence::floats;
use crate::harness::{Collection, Sequence, Shape};

/// Tokens of one insert: their K and V fit a message.
const INSERT_TOKENS: usize = 8192;

/// The recorded traces that stand beside the repository, in order of name.
pub(crate) fn recorded() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/traces");
    let Ok(entries) = fs_err::read_dir(folder) else {
        return vec![];
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut traces: Vec<PathBuf> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending == "safetensors")
        })
        .collect();
    traces.sort();
    traces
}

/// A generated trace of one layer.
pub(crate) fn generated(tokens: usize) -> Trace {
    let parameters = GenerateParameters {
        tokens,
        ..Default::default()
    };
    generate(&parameters).unwrap()
}

/// Stores K and V of a layer in a collection with the daemon's own index parameters, and has all but the last tokens
/// clustered.
pub(crate) async fn store(collection: &Collection, trace: &Trace, layer: &Layer) {
    store_as(collection, trace, layer, wire::IndexKind::Unspecified).await;
}

/// The same with a kind of index.
pub(crate) async fn store_as(
    collection: &Collection,
    trace: &Trace,
    layer: &Layer,
    kind: wire::IndexKind,
) {
    let shape = Shape {
        kv_heads: trace.kv_heads,
        group: trace.group(),
        head_dim: trace.head_dim,
        value_dim: trace.value_dim,
        dtype: trace.dtype,
        window: 0,
    };
    let sequence = Sequence {
        shape,
        tokens: trace.tokens,
        k: layer.tokens_major_k(0..trace.tokens),
        v: layer.tokens_major_v(0..trace.tokens),
        q: vec![],
    };
    let index = wire::IndexParameters {
        kind: kind.into(),
        ..Default::default()
    };
    collection.make(shape, index).await;
    for start in (0..trace.tokens).step_by(INSERT_TOKENS) {
        let end = trace.tokens.min(start + INSERT_TOKENS);
        collection.insert(&sequence, start..end).await;
    }
    collection.cluster().await;
}

/// Asks with some query rows of a layer, each at its own position.
pub(crate) fn question(
    collection: &Collection,
    trace: &Trace,
    layer: &Layer,
    rows: Range<usize>,
    mode: Option<wire::AttendMode>,
) -> wire::AttendEntry {
    let row = trace.q_heads * trace.head_dim;
    let q = wire::Tensor {
        dtype: wire::Dtype::F32.into(),
        shape: [rows.len(), trace.q_heads, trace.head_dim]
            .map(|side| side as u32)
            .to_vec(),
        data: Dtype::F32.encode(&layer.queries(rows.clone(), row)).into(),
    };
    wire::AttendEntry {
        layer: Some(collection.layer()),
        q: Some(q),
        positions: trace.q_positions[rows].to_vec(),
        mode,
        insert: None,
        audit: false,
    }
}

/// `|out - exact| / |exact|` of every query row of `rows` and every query head.
pub(crate) async fn errors(
    collection: &Collection,
    trace: &Trace,
    layer: &Layer,
    rows: Range<usize>,
    mode: Option<wire::AttendMode>,
) -> Vec<f64> {
    let entry = question(collection, trace, layer, rows.clone(), mode);
    let answer = collection.client.attend_one(entry).await.unwrap();
    let exact = trace.attend(layer, rows).unwrap();
    compare::relative_errors(&floats(answer.out.as_ref()), &exact.out, trace.value_dim)
}
