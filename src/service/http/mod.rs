//! The door of HTTP/1.1: what people and their tools ask a daemon that they watch over. It reads and changes nothing of a
//! collection.
//!
//! | path | answers |
//! | --- | --- |
//! | `/livez` | 200 while the process serves |
//! | `/readyz` | 200 when calls are answered, else 503 and why |
//! | `/healthz` | the same, and everything else that is not well: that alone is 200, since to send calls elsewhere, or to start the daemon again, mends none of it |
//! | `/metrics` | every figure, for Prometheus: see `METRICS.md` in `src/telemetry/metrics` |
//! | `/inspector/` | a page that shows what the daemon holds and does, where `http.inspector` has one |
//!
//! A reason is a line of text, or an object of JSON for those who accept `application/json`.
//!
//! A page of the web that somebody reads on this machine can send requests here, so the door is one where such a page finds
//! nothing (`guard.rs`): only GET and HEAD are served, no answer may be read by another origin, and a host is an address or
//! `localhost`, because a name could be one that was made to lead here (DNS rebinding).
//!
//! Must not know: gRPC, and how what it tells came about. Start at `Door`, then `routes.rs`, then `inspector/`.

mod door;
mod guard;
mod health;
mod inspector;
mod metrics;
mod routes;

pub(super) use door::Door;
pub use door::HttpSettings;
