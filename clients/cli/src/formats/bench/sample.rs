//! A small report for the tests of this room.

use super::report::{Build, Context, Daemon, Machine, Point, Report, Zones};
use crate::formats::trace::Summary;

/// Two contexts of four modes.
pub(crate) fn report() -> Report {
    Report {
        command: "wavekv bench --out d".into(),
        machine: machine(),
        daemon: Some(Daemon {
            version: "0.1.0".into(),
            isa: "avx2".into(),
        }),
        contexts: vec![context(8192, 1.0), context(131_072, 16.0)],
        peers: vec![],
    }
}

/// The same with the points of two other systems.
pub(crate) fn report_with_peers() -> Report {
    let mut report = report();
    let mut theirs = report.clone();
    theirs.command = "peers.py".into();
    for (context, factor) in theirs.contexts.iter_mut().zip([1.0, 16.0]) {
        context.points = [
            ("pytorch", "sdpa f32", 1e-6, 3.0),
            ("pytorch", "eager bf16", 4e-3, 2.5),
            ("faiss", "ivf nprobe=4 k=64", 0.21, 0.4),
            ("faiss", "ivf nprobe=16 k=256", 0.05, 0.9),
            ("faiss", "hnsw efSearch=64 k=256", 0.06, 1.4),
        ]
        .map(|(system, method, error, ms)| point(system, method, error, ms * factor, None))
        .into();
    }
    report.peers.push(theirs.origin());
    for context in &mut report.contexts {
        context.take_in(&theirs);
    }
    report
}

pub(crate) fn machine() -> Machine {
    Machine {
        cpu: "a CPU".into(),
        threads: 2,
        read_bytes_per_second: Some(32e9),
        buffer_bytes: Some(512 << 20),
    }
}

fn context(tokens: usize, factor: f64) -> Context {
    let modes = [
        ("exact", 2e-6, 1.3, 1.0),
        ("retroinfer", 0.21, 0.5, 0.09),
        ("adaptive:0.1", 0.07, 0.4, 0.08),
        ("adaptive:0.02", 0.015, 0.7, 0.17),
    ];
    Context {
        name: format!("generated-{tokens}"),
        trace: Summary {
            model: "generated".into(),
            text: "seed 1".into(),
            tokens,
            layers: vec![0],
            q_heads: 32,
            kv_heads: 8,
            head_dim: 128,
            value_dim: 128,
            dtype: "bf16".into(),
            scale: 0.088_388_346,
            queries: 128,
        },
        layer_bytes: tokens as u64 * 4096,
        build: Some(Build {
            insert_seconds: 0.5,
            seconds: 2.0,
            tokens_times_kv_heads_per_second: tokens as f64 * 4.0,
            clusters: tokens as u64 / 2,
            payload_bytes: tokens as u64 * 4096,
            meta_index_bytes: tokens as u64 * 256,
            code_bytes: tokens as u64 * 1024,
        }),
        points: modes
            .map(|(method, error, ms, share)| {
                point("wavekv", method, error, ms * factor, Some(share))
            })
            .into(),
    }
}

fn point(system: &str, method: &str, error: f64, ms: f64, share: Option<f64>) -> Point {
    Point {
        system: system.into(),
        method: method.into(),
        exact: method == "exact" || system == "pytorch",
        queries: 128,
        latency_p50_ms: ms,
        latency_p99_ms: ms * 2.0,
        checked: 16,
        error_mean: Some(error),
        error_p50: Some(error / 2.0),
        error_p95: Some(error * 2.0),
        error_p99: Some(error * 3.0),
        error_estimate_mean: share.map(|_| error * 1.1),
        calibrated_share: share.map(|_| 0.9),
        bytes_read: share.map(|share| share * 1e6),
        byte_share: share,
        zones: share.map(|share| Zones {
            steady: 68.0,
            retrieved: share * 1000.0,
            coded: share * 2000.0,
            estimated: 1000.0,
            ignored: 0.0,
        }),
    }
}
