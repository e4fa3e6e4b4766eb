//! `wavekv generate`: needs no daemon.

use wavekv_trace::generate::{GenerateParameters, generate};

use crate::arguments::Generate;
use crate::failure::Failure;
use crate::{formats, output};

pub(crate) fn run(arguments: &Generate, json: bool) -> Result<(), Failure> {
    let trace = generate(&GenerateParameters {
        tokens: arguments.tokens,
        kv_heads: arguments.kv_heads,
        group: arguments.group,
        head_dim: arguments.head_dim,
        value_dim: arguments.value_dim.unwrap_or(arguments.head_dim),
        layers: arguments.layers,
        dtype: arguments.dtype,
        seed: arguments.seed,
        needles: arguments.needles,
    })?;
    trace.save(&arguments.out)?;
    let path = arguments.out.display().to_string();
    if json {
        output::json(&serde_json::json!({
            "file": path,
            "payload_bytes": trace.payload_bytes(),
            "trace": formats::trace::Summary::of(&trace),
        }));
    } else {
        let size = formats::size(trace.payload_bytes());
        output::text(&format!(
            "wrote {path}: {}, {size} of K and V",
            formats::trace::Summary::of(&trace)
        ));
    }
    Ok(())
}
