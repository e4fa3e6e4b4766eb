//! Which path is whose.

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::routing::get;

use super::health;
use crate::service::health::Health;

/// What answers every request that is let in.
pub(super) fn router(health: Health) -> Router {
    Router::new()
        .route("/livez", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/healthz", get(health::whole))
        .fallback(nothing)
        .with_state(health)
}

async fn nothing(uri: Uri) -> (StatusCode, String) {
    let shown: String = uri.path().chars().take(64).collect();
    let sentence = format!("the path is {shown:?}: expected /livez, /readyz or /healthz\n");
    (StatusCode::NOT_FOUND, sentence)
}
