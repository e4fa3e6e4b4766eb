//! The three services of the contract, one file each. A handler checks, has the engine compute, and answers; nothing else.

mod activity;
mod admin;
mod collections;
mod data_plane;
mod describe;
mod events;
mod snapshots;

pub use self::admin::Admin;
pub use self::collections::Collections;
pub use self::data_plane::DataPlane;
