//! Properties: what holds for every case, the cases, and the daemon that they are tried on.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;
use wavekv_client::{Client, wire};
use wavekv_trace::Dtype;

use crate::harness::{Daemon, Shape, mode};

/// The kinds of index that the daemon is built with.
pub(crate) const BUILT_KINDS: &[wire::IndexKind] = if cfg!(feature = "faiss") {
    &[
        wire::IndexKind::Wave,
        wire::IndexKind::Flat,
        wire::IndexKind::Ivf,
        wire::IndexKind::Hnsw,
    ]
} else {
    &[wire::IndexKind::Wave, wire::IndexKind::Flat]
};

/// Tries a property on a daemon of its own.
pub(crate) fn holds<S: Strategy>(
    cases: u32,
    strategy: &S,
    property: &impl AsyncFn(&Client, S::Value) -> Result<(), TestCaseError>,
) {
    let daemon = Daemon::start();
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(daemon.client());
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(strategy, |case| runtime.block_on(property(&client, case)))
        .unwrap();
}

prop_compose! {
    /// Geometries over all of what the contract allows.
    pub(crate) fn shapes()(
        kv_heads in 1usize..=4,
        group in prop_oneof![Just(1usize), Just(2), Just(4), Just(7), Just(32)],
        (head_dim, value_dim) in prop_oneof![
            Just((16usize, 16usize)), Just((64, 64)), Just((128, 128)), Just((17, 31)), Just((96, 64)), Just((576, 512)),
        ],
        dtype in prop_oneof![Just(Dtype::Bf16), Just(Dtype::F16), Just(Dtype::F32)],
        window in windows(),
    ) -> Shape {
        Shape { kv_heads, group, head_dim, value_dim, dtype, window }
    }
}

prop_compose! {
    /// Geometries for what does not depend on sizes.
    pub(crate) fn small_shapes()(
        kv_heads in 1usize..=2,
        group in 1usize..=3,
        dtype in prop_oneof![Just(Dtype::Bf16), Just(Dtype::F32)],
        window in windows(),
    ) -> Shape {
        Shape { kv_heads, group, head_dim: 16, value_dim: 24, dtype, window }
    }
}

/// None; within the tail; within a segment; over several.
fn windows() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0u32), 1u32..64, 64u32..400]
}

/// The kinds of index that the daemon is built with; wave as often as the others together.
pub(crate) fn kinds() -> impl Strategy<Value = wire::IndexKind> {
    let others = prop::sample::select(BUILT_KINDS);
    prop_oneof![Just(wire::IndexKind::Wave), others]
}

/// All modes of attend.
pub(crate) fn modes() -> impl Strategy<Value = wire::AttendMode> {
    prop_oneof![
        Just(mode::exact()),
        Just(mode::retroinfer()),
        (0.001f32..0.9).prop_map(mode::adaptive),
        (0.0f32..=1.0).prop_map(mode::budget),
        (0.0f32..=1.0, 0.0f32..=1.0)
            .prop_map(|(retrieved, estimated)| mode::budget_of_two(retrieved, estimated)),
    ]
}

/// Tokens of a sequence: none, one, and below and above every threshold of `SMALL_INDEX`.
pub(crate) fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..=2, 2usize..60, 60usize..500]
}

/// A sequence of an index, and queries to it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) shape: Shape,
    pub(crate) kind: wire::IndexKind,
    pub(crate) tokens: usize,
    /// Of the queries, as shares of the length.
    places: Vec<f64>,
    pub(crate) mode: wire::AttendMode,
    pub(crate) seed: u64,
}

prop_compose! {
    /// All kinds, lengths and modes.
    pub(crate) fn asked()(
        shape in small_shapes(),
        kind in kinds(),
        tokens in lengths(),
        places in prop::collection::vec(0.0..1.0, 1..5),
        mode in modes(),
        seed in any::<u64>(),
    ) -> Asked {
        Asked { shape, kind, tokens, places, mode, seed }
    }
}

impl Asked {
    /// Of the queries.
    pub(crate) fn positions(&self) -> Vec<u32> {
        let place = |share: &f64| (share * self.tokens as f64) as u32;
        self.places.iter().map(place).collect()
    }
}
