//! The daemon as a whole.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};

use super::asked::Asked;
use super::{answer, words};
use crate::engine::Engine;
use crate::model::Error;
use crate::service::health::Health;
use crate::service::http::health;

pub(super) async fn overview(State(health): State<Health>, uri: Uri) -> Response {
    answer::of(found(&health, &uri).await)
}

async fn found(health: &Health, uri: &Uri) -> Result<Value, Error> {
    Asked::of(uri, &[])?;
    let reasons = health.reasons().await?;
    let engine = health.engine();
    // Sizes wait for the compute pool, which has no thread to spare while collections are opened.
    let sizes = match health.unavailable() {
        None => Some(engine.compute(sizes).await?),
        Some(_) => None,
    };
    let mut overview = health::json(&reasons);
    overview["version"] = env!("CARGO_PKG_VERSION").into();
    overview["isa"] = engine.isa().to_string().into();
    overview["boot_epoch"] = engine.boot_epoch().0.into();
    overview["sizes"] = sizes.into();
    Ok(overview)
}

fn sizes(engine: &Engine) -> Value {
    let whole = engine.size();
    let worst = whole.worst.as_ref().map(|(name, head)| {
        json!({
            "namespace": name.namespace(),
            "name": name.name(),
            "layer": head.layer,
            "head": head.head.0,
            "error": head.error,
        })
    });
    json!({
        "uptime_ms": u64::try_from(whole.uptime.as_millis()).unwrap_or(u64::MAX),
        "collections": whole.collections,
        "memory": { "used_bytes": whole.used_bytes, "budget_bytes": whole.budget_bytes },
        "disk": {
            "used_bytes": whole.disk.used_bytes,
            "budget_bytes": whole.disk.budget_bytes,
            "expired": whole.disk.expired,
            "deleted_for_room": whole.disk.deleted_for_room,
        },
        "index": words::size(whole.total),
        "blocks": words::traffic(whole.traffic),
        "clustering": {
            "built": whole.clustering.built,
            "merged": whole.clustering.merged,
            "discarded": whole.clustering.discarded,
            "failed": whole.clustering.failed,
            "waiting": whole.clustering.waiting,
        },
        "audits": {
            "audits": whole.audits.audits,
            "skipped": whole.skipped_audits,
            "error": whole.audits.error(),
            "raised_heads": whole.audits.raised.len(),
            "worst": worst,
        },
    })
}
