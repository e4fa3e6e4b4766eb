//! A decode step of one layer within this process, on one thread: every mode over the same generated tokens at the
//! geometry of a KV head of Llama-3 8B (a group of 4 query heads, dimension 128, `bf16`).
//!
//! What the daemon adds (transport, the compute pool) is for `wavekv bench`; this is where a query's own time is looked
//! into, with a profiler if need be.
#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

#[path = "../generated/mod.rs"]
mod generated;

use std::sync::OnceLock;

use divan::Bencher;
use wavekv::collection::Collection;
use wavekv::model::{
    AttendQuery, CollectionName, Dtype, Generation, Geometry, IndexParameters, KvHead, LayerId,
    LayerKind, Mode, NewTokens, SegmentId,
};
use wavekv_kernels::Kernels;
use wavekv_storage::{Budget, Bytes};

use self::generated::{DIM, GROUP};

/// Tokens of one insert.
const PIECE: usize = 16 * 1024;

fn main() {
    divan::main();
}

/// A settled layer, and one query token after another.
struct Layer {
    collection: Collection,
    /// `[queries, GROUP, DIM]`.
    queries: Vec<f32>,
}

impl Layer {
    fn new(tokens: usize) -> Self {
        let generator = generated::generator(tokens).expect("parameters are in range");
        let made = generator.layer(0);
        let geometry = Geometry {
            fingerprint: "generated".to_owned(),
            layers: vec![LayerKind::Full],
            q_heads: GROUP as u32,
            kv_heads: 1,
            head_dim: DIM as u32,
            value_dim: DIM as u32,
            dtype: Dtype::Bf16,
            scale: generator.geometry().scale,
            softcap: None,
        };
        let collection = Collection::new(
            CollectionName::new("", "bench").expect("a name"),
            Generation(1),
            geometry.checked().expect("a geometry"),
            IndexParameters::DEFAULT,
            Kernels::detect(),
            Budget::new(Bytes(16 << 30)),
            None,
        );
        let collection = collection.expect("a schema");
        let layer = collection.layer(LayerId(0)).expect("a layer");
        let mut segments = 0;
        for start in (0..tokens).step_by(PIECE) {
            let range = start..tokens.min(start + PIECE);
            let [keys, values] = made.range(range.clone());
            let piece = NewTokens {
                start: start as u32,
                tokens: range.len() as u32,
                keys: keys.data().clone(),
                values: values.data().clone(),
            };
            layer.insert(&piece, tokens as u32).expect("room");
            while layer.wants_sealing() {
                segments += 1;
                layer.seal_next(SegmentId(segments)).expect("room");
            }
        }
        Self {
            collection,
            queries: generated::last_queries(&generator, &made),
        }
    }

    /// The layer of so many tokens, made once.
    fn of(tokens: usize) -> &'static Self {
        static SHORT: OnceLock<Layer> = OnceLock::new();
        static LONG: OnceLock<Layer> = OnceLock::new();
        let made = if tokens <= 32 * 1024 { &SHORT } else { &LONG };
        made.get_or_init(|| Self::new(tokens))
    }
}

const TOKENS: [usize; 2] = [32 * 1024, 128 * 1024];

fn attend(bencher: Bencher<'_, '_>, tokens: usize, mode: Mode) {
    let made = Layer::of(tokens);
    let layer = made.collection.layer(LayerId(0)).expect("a layer");
    let mut queries = made.queries.chunks_exact(GROUP * DIM).cycle();
    bencher.bench_local(|| {
        let query = AttendQuery {
            queries: queries.next().expect("an endless cycle").to_vec(),
            positions: None,
            mode,
            audit: false,
        };
        let attend = layer.attend(query, tokens as u32).expect("stored tokens");
        attend.head(KvHead(0)).expect("an answer")
    });
}

#[divan::bench(args = TOKENS, min_time = 1)]
fn exact(bencher: Bencher<'_, '_>, tokens: usize) {
    attend(bencher, tokens, Mode::Exact);
}

#[divan::bench(args = TOKENS, min_time = 1)]
fn retroinfer(bencher: Bencher<'_, '_>, tokens: usize) {
    attend(bencher, tokens, Mode::RETROINFER);
}

/// The default.
#[divan::bench(args = TOKENS, min_time = 1)]
fn adaptive_5_percent(bencher: Bencher<'_, '_>, tokens: usize) {
    attend(bencher, tokens, Mode::Adaptive { target_error: 0.05 });
}

#[divan::bench(args = TOKENS, min_time = 1)]
fn adaptive_20_percent(bencher: Bencher<'_, '_>, tokens: usize) {
    attend(bencher, tokens, Mode::Adaptive { target_error: 0.2 });
}
