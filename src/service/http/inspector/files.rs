//! The files of the page, which are part of the program.

use axum::extract::Path;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::model::Invalid;

/// The page runs what this daemon gives it and asks nobody else, sends no form and is in no frame.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal $kind:ident)*) => {
        [$(($name, $kind, include_str!(concat!("page/", $name)))),*]
    };
}

const INDEX: &str = include_str!("page/index.html");

/// Name, type and text of each.
const FILES: [(&str, &str, &str); 12] = files! {
    "inspector.css" STYLE
    "icon.svg" PICTURE
    "inspector.js" SCRIPT
    "ask.js" SCRIPT
    "elements.js" SCRIPT
    "words.js" SCRIPT
    "overview.js" SCRIPT
    "collections.js" SCRIPT
    "collection.js" SCRIPT
    "heat.js" SCRIPT
    "map.js" SCRIPT
    "latency.js" SCRIPT
};

pub(super) async fn page() -> Response {
    given(HTML, INDEX)
}

pub(super) async fn file(Path(name): Path<String>) -> Response {
    if let Some((_, kind, text)) = FILES.iter().find(|(known, ..)| *known == name) {
        return given(kind, text);
    }
    let refused = Invalid::of_text("the file", &name, "one of the inspector's");
    (StatusCode::NOT_FOUND, format!("{refused}\n")).into_response()
}

fn given(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 3] = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}
