//! One collection: what it is, where its bytes are, its layers, and what their KV heads do.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};

use super::asked::Asked;
use super::{answer, words};
use crate::collection::{AuditSize, Collection, LayerSize};
use crate::engine::Engine;
use crate::engine::describe::{Described, LayerDescribed};
use crate::engine::heads::{LayerHeads, heads};
use crate::engine::sizes;
use crate::model::{Error, LayerKind};
use crate::service::health::Health;

/// KV heads of all layers that are told of; of a collection that has more, those of the first layers.
const MOST_HEADS: usize = 1 << 16;

pub(super) async fn collection(State(health): State<Health>, uri: Uri) -> Response {
    answer::computed(&health, move |engine| found(engine, &uri)).await
}

fn found(engine: &Engine, uri: &Uri) -> Result<Value, Error> {
    let asked = Asked::of(uri, &["namespace", "name"])?;
    let collection = engine.find(&asked.collection()?, None)?;
    let described = engine.describe(&collection)?;
    let geometry = collection.geometry();
    let shown = MOST_HEADS / geometry.kv_heads.max(1) as usize;
    let heads = heads(&collection, shown)?;
    let retention = collection.retention();
    Ok(json!({
        "namespace": collection.name().namespace(),
        "name": collection.name().name(),
        // Wider than a number of JavaScript.
        "generation": collection.generation().to_string(),
        "state": words::state(&collection),
        "refusal": collection.refusal().map(Error::message),
        "kind": collection.parameters().kind.name(),
        "durability": collection.durability().name(),
        "ttl_seconds": retention.ttl_seconds(),
        "expendable": retention.expendable,
        "pinned": collection.is_pinned(),
        "unused_ms": u64::try_from(engine.unused_for(&collection).as_millis()).unwrap_or(u64::MAX),
        "geometry": shape(&collection),
        "blocks": words::traffic(collection.traffic()),
        "tiers": tiers(&described),
        "sharers": sharers(&described),
        "all_sharers": described.all_sharers,
        "layers": layers(engine, &collection, &described, &heads),
    }))
}

fn shape(collection: &Collection) -> Value {
    let geometry = collection.geometry();
    json!({
        "fingerprint": geometry.fingerprint,
        "layers": geometry.layers.len(),
        "q_heads": geometry.q_heads,
        "kv_heads": geometry.kv_heads,
        "head_dim": geometry.head_dim,
        "value_dim": geometry.value_dim,
        "dtype": geometry.dtype.name(),
        "scale": geometry.scale,
        "softcap": geometry.softcap,
    })
}

fn tiers(described: &Described) -> Value {
    let tiers = described.tiers;
    json!({
        "steady_bytes": tiers.steady_bytes,
        "meta_index_bytes": tiers.meta_index_bytes,
        "block_bytes": tiers.block_bytes,
        "disk_bytes": tiers.disk_bytes,
    })
}

fn sharers(described: &Described) -> Value {
    let sharers = described.sharers.iter().map(|sharer| {
        json!({
            "namespace": sharer.name.namespace(),
            "name": sharer.name.name(),
            "bytes": sharer.bytes,
        })
    });
    sharers.collect()
}

fn layers(
    engine: &Engine,
    collection: &Collection,
    described: &Described,
    heads: &[LayerHeads],
) -> Value {
    let sizes = engine.layer_sizes(collection);
    let audits = sizes::layer_audits(collection);
    let kinds = collection.geometry().layers.iter();
    let layers = sizes.into_iter().zip(audits).zip(kinds);
    let layers = layers.zip(&described.layers).enumerate();
    let layers = layers.map(|(number, (((size, audits), kind), described))| {
        let mut layer = layer(*kind, size, &audits, described);
        layer["heads"] = heads.get(number).map(of_heads).unwrap_or_default();
        layer
    });
    layers.collect()
}

fn layer(
    kind: LayerKind,
    size: LayerSize,
    audits: &AuditSize,
    described: &LayerDescribed,
) -> Value {
    json!({
        "window": words::window(kind),
        "size": words::size(size),
        "audits": audits.audits,
        "audited_error": audits.error(),
        "cluster_tokens": described.shape.cluster_sizes.mean(),
        "key_spread": described.shape.key_spreads.mean(),
    })
}

/// Each figure of every head, or none of any.
fn of_heads(heads: &LayerHeads) -> Value {
    let used = heads.used.iter();
    let audited = heads.audited.iter();
    json!({
        "answers": used.clone().map(|head| head.answers).collect::<Vec<_>>(),
        "token_share": used.clone().map(|head| head.token_share).collect::<Vec<_>>(),
        "byte_share": used.clone().map(|head| head.byte_share).collect::<Vec<_>>(),
        "exact_mass": used.map(|head| head.exact_mass).collect::<Vec<_>>(),
        "audited_error": audited.clone().map(|head| head.error).collect::<Vec<_>>(),
        "target_factor": audited.map(|head| head.factor).collect::<Vec<_>>(),
        "sharpness": heads.sharpness,
    })
}
