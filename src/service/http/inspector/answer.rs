//! Answers in JSON: what was asked for, or `{"error": SENTENCE}`.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::model::{Error, ErrorKind};
use crate::service::health::Health;

/// What `work` comes to on the compute pool, once collections are open.
pub(super) async fn computed(
    health: &Health,
    work: impl FnOnce(&Engine) -> Result<Value, Error> + Send + 'static,
) -> Response {
    if let Some(reason) = health.unavailable() {
        return of(Err(Error::new(ErrorKind::Unavailable, reason.sentence)));
    }
    let found = health.engine().compute(work).await;
    of(found.and_then(|found| found))
}

/// The answer.
pub(super) fn of(found: Result<Value, Error>) -> Response {
    let (status, body) = match found {
        Ok(found) => (StatusCode::OK, found),
        Err(error) => {
            // A bug is ours to know; everything else is that of whoever asks.
            if error.kind() == ErrorKind::Internal {
                tracing::error!(%error, "the inspector was not answered, by a bug in the daemon");
            }
            (status(error.kind()), json!({ "error": error.message() }))
        }
    };
    let json = [(CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidArgument | ErrorKind::OutOfRange => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists | ErrorKind::FailedPrecondition => StatusCode::CONFLICT,
        ErrorKind::ResourceExhausted | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::DataLoss | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
