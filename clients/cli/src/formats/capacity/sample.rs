//! A small report for the tests of this room.

use wavekv_trace::Dtype;

use super::report::{Measured, Needles, Report, Step};
use crate::formats::bench::{Build, sample};
use crate::plan::Shape;
use crate::plan::models::{self, Attention};

/// A model of which one layer was measured at two lengths.
pub(crate) fn report() -> Report {
    let model = *models::named("llama-3.1-8b").unwrap();
    let shape = Shape {
        model: Some(model),
        attention: model.attention,
        dtype: Dtype::Bf16,
        tokens: 8192,
        sequences: 1,
    };
    let one = Attention {
        layers: 1,
        ..shape.attention
    };
    let plan = Shape {
        attention: one,
        ..shape
    }
    .plan();
    let build = Build {
        insert_seconds: 1.0,
        seconds: 2.0,
        tokens_times_kv_heads_per_second: 32_768.0,
        clusters: 4096,
        payload_bytes: plan.payload_bytes,
        meta_index_bytes: plan.index_bytes,
        code_bytes: plan.code_bytes,
    };
    let step = |tokens: usize| Step {
        tokens,
        points: sample::report().contexts[0].points.clone(),
        needles: Needles { asked: 2, found: 2 },
        stored_bytes: 64 << 20,
        asked_bytes: 96 << 20,
        peak_bytes: 128 << 20,
        disk_bytes: 48 << 20,
    };
    Report {
        command: "wavekv capacity llama-3.1-8b --out d".into(),
        machine: sample::machine(),
        memory_bytes: 2 << 30,
        plan: shape.plan(),
        shape,
        measured: Some(Measured {
            tokens: 8192,
            plan,
            build,
            steps: vec![step(4096), step(8192)],
        }),
    }
}
