//! The door: gRPC over TCP and a Unix socket, shared memory, HTTP, and all that is checked there.
//!
//! The only room that knows protobuf, shared memory, HTTP and status codes. What comes in is validated before the engine sees it
//! ([`validate`]); what failed becomes a documented code and a sentence ([`status`]). It must not know how anything is
//! computed or stored, nor what a setting does: the settings that it tells it is handed as text ([`About`]).
//!
//! Start reading at [`server`], then [`grpc`], [`shm`] and [`http`].

mod about;
mod calls;
mod came_to;
mod entries;
pub mod grpc;
mod health;
pub mod http;
mod listen;
mod message_size;
mod page;
mod readiness;
mod room;
pub mod server;
pub mod shm;
pub mod status;
pub mod validate;
mod wire;

pub use about::About;
pub use http::HttpSettings;
pub use listen::{ListenError, TlsFiles};
pub use server::{ServeError, Server, ServerSettings};
pub use shm::ShmSettings;
