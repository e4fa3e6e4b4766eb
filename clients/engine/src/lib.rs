//! A small inference engine without a KV cache: its cache is in the daemon. An example for those who write one.
//!
//! [`Model`] is a Llama-like network that is read from a GGUF file and computed by candle; it asks a [`KvCache`] for the
//! attention of each layer and holds no key and no value itself. [`DaemonCache`] is the one that this crate is for: a layer's
//! K, V and Q of a step go to the daemon in one call over shared memory, and its answer is the layer's attention.
//! [`Generation`] reads a prompt in pieces and says what follows; [`Tokens`] turns text into what the model reads.
//!
//! This crate must not know the daemon's code, only its contract through `wavekv-client`. Start reading in `cache.rs`.
#![forbid(unsafe_code)]

mod cache;
mod error;
mod generation;
mod model;
mod tokens;
mod used;

pub use cache::DaemonCache;
pub use error::EngineError;
pub use generation::Generation;
pub use model::{KvCache, Model, Shape};
pub use tokens::Tokens;
pub use used::Used;
