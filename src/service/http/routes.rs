//! Which path is whose.

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::http::{StatusCode, Uri};
use axum::routing::get;

use super::{health, inspector, metrics};
use crate::model::Invalid;
use crate::service::health::Health;
use crate::telemetry::metrics::Metrics;

/// What answers are made of.
#[derive(Clone, Debug)]
struct Sources {
    health: Health,
    metrics: Arc<Metrics>,
}

impl FromRef<Sources> for Health {
    fn from_ref(sources: &Sources) -> Self {
        sources.health.clone()
    }
}

impl FromRef<Sources> for Arc<Metrics> {
    fn from_ref(sources: &Sources) -> Self {
        Self::clone(&sources.metrics)
    }
}

/// What answers every request that is let in.
pub(super) fn router(health: Health, metrics: Arc<Metrics>, with_inspector: bool) -> Router {
    let inspector = with_inspector.then(|| inspector::router(health.clone()));
    Router::new()
        .route("/livez", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/healthz", get(health::whole))
        .route("/metrics", get(metrics::scraped))
        .fallback(nothing)
        .with_state(Sources { health, metrics })
        .merge(inspector.unwrap_or_default())
}

async fn nothing(uri: Uri) -> (StatusCode, String) {
    let expected =
        "/livez, /readyz, /healthz or /metrics, or /inspector/ where http.inspector has it";
    let refused = Invalid::of_text("the path", uri.path(), expected);
    (StatusCode::NOT_FOUND, format!("{refused}\n"))
}
