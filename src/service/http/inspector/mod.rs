//! The inspector: a page that shows an operator what the daemon holds and does, and the JSON that the page asks for. Nothing here
//! changes a collection.
//!
//! | path | answers |
//! | --- | --- |
//! | `/inspector/` | the page, from `page/`, which asks nobody but this daemon for anything |
//! | `/inspector/api/overview` | how the daemon is: its health, and what Stats says of it |
//! | `/inspector/api/collections` | a page of the collections; `after`, `namespace`, `prefix`, `limit` |
//! | `/inspector/api/collection` | one of them, its layers and their KV heads; `namespace`, `name` |
//! | `/inspector/api/clusters` | the clusters of a KV head in a plane; `namespace`, `name`, `layer`, `head` |
//!
//! Calls and their times are not here: the page takes them from `/metrics`. It is there where `http.inspector` says so, and
//! like the rest of HTTP it asks nobody who they are.
//!
//! Must not know: how a figure came about, nor how the page shows it. What is to be computed is computed on the compute pool; the
//! overview alone answers without it while collections are opened. Start at [`router`].

mod answer;
mod asked;
mod clusters;
mod collection;
mod collections;
mod files;
mod overview;
mod words;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;

use crate::service::health::Health;

const PAGE: &str = "/inspector/";

/// What answers requests for the page and its JSON.
pub(super) fn router(health: Health) -> Router {
    let to_page = || async { Redirect::temporary(PAGE) };
    Router::new()
        .route("/", get(to_page))
        .route("/inspector", get(to_page))
        .route(PAGE, get(files::page))
        .route("/inspector/{file}", get(files::file))
        .route("/inspector/api/overview", get(overview::overview))
        .route("/inspector/api/collections", get(collections::collections))
        .route("/inspector/api/collection", get(collection::collection))
        .route("/inspector/api/clusters", get(clusters::clusters))
        .with_state(health)
}
