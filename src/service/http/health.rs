//! `/livez`, `/readyz` and `/healthz`.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::service::health::{Health, Reason, Severity, worst};

const JSON: &str = "application/json";

pub(super) async fn alive(headers: HeaderMap) -> Response {
    answer(&headers, &[])
}

pub(super) async fn ready(State(health): State<Health>, headers: HeaderMap) -> Response {
    let reason: Vec<_> = health.unavailable().into_iter().collect();
    answer(&headers, &reason)
}

pub(super) async fn whole(State(health): State<Health>, headers: HeaderMap) -> Response {
    match health.reasons().await {
        Ok(reasons) => answer(&headers, &reasons),
        Err(error) => {
            tracing::error!(%error, "health is not known");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

fn answer(headers: &HeaderMap, reasons: &[Reason]) -> Response {
    let status = match worst(reasons) {
        None | Some(Severity::Degraded) => StatusCode::OK,
        Some(Severity::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains(JSON)) {
        return (status, [(CONTENT_TYPE, JSON)], json(reasons).to_string()).into_response();
    }
    (status, text(reasons)).into_response()
}

fn text(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for reason in reasons {
        let severity = reason.severity.name();
        // A string takes all.
        let _ = writeln!(text, "{severity} {}: {}", reason.code, reason.sentence);
    }
    if text.is_empty() {
        text.push_str("ok\n");
    }
    text
}

/// The reasons, and what they come to in a word.
pub(super) fn json(reasons: &[Reason]) -> Value {
    let status = worst(reasons).map_or("ok", Severity::name);
    let reasons = reasons.iter().map(|reason| {
        json!({
            "severity": reason.severity.name(),
            "code": reason.code,
            "sentence": reason.sentence,
        })
    });
    let reasons: Vec<_> = reasons.collect();
    json!({ "status": status, "reasons": reasons })
}
