//! Who is not served, whatever is asked: see the header of this room.

use std::net::IpAddr;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tower::ServiceExt as _;

use crate::model::Invalid;

/// Of every answer: nobody keeps it, takes it for something else, shows it within a page of its own, or reads it from one.
const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'self'; frame-ancestors 'none'",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// What is let in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    /// Requests for a host of any name.
    pub(super) any_host: bool,
}

impl Guard {
    /// The answer to a request.
    pub(super) async fn answer(self, router: Router, request: Request<Body>) -> Response {
        let mut answer = match self.refusal(&request) {
            Some(refusal) => refusal,
            // A router has an answer to everything.
            None => match router.oneshot(request).await {
                Ok(answer) => answer,
                Err(never) => match never {},
            },
        };
        for (name, value) in HEADERS {
            let headers = answer.headers_mut();
            headers
                .entry(name)
                .or_insert(HeaderValue::from_static(value));
        }
        answer
    }

    fn refusal(self, request: &Request<Body>) -> Option<Response> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let sentence = format!("the method is {}: expected GET or HEAD\n", request.method());
            let allowed = [(ALLOW, "GET, HEAD")];
            return Some((StatusCode::METHOD_NOT_ALLOWED, allowed, sentence).into_response());
        }
        let host = request.headers().get(HOST);
        let named = host.map(|host| host.to_str().unwrap_or_default());
        // A request may bear the whole address of what it asks for.
        let mut named = named
            .into_iter()
            .chain(request.uri().authority().map(Authority::as_str));
        let stranger = named.find(|host| !is_address_or_localhost(host))?;
        if self.any_host {
            return None;
        }
        let expected = "an IP address or localhost, or http.allow_non_loopback = true";
        let refused = Invalid::of_text("the host", stranger, expected);
        Some((StatusCode::FORBIDDEN, format!("{refused}\n")).into_response())
    }
}

/// Whether a host, with a port or without, is one that no DNS can lead elsewhere.
fn is_address_or_localhost(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost") || bare.unwrap_or(name).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_localhost() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:7601",
            "[::1]:7601",
            "[::1]",
            "localhost",
            "LocalHost:1",
            "10.0.0.1:80",
        ] {
            assert!(is_address_or_localhost(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7601",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1 evil.example",
            "[localhost]x",
        ] {
            assert!(!is_address_or_localhost(host), "{host}");
        }
    }
}
