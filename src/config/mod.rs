//! Settings: what an operator may choose.
//!
//! They come from four places, the later over the earlier: the defaults, a TOML file, the environment, flags. Every one
//! is a plain value with its unit, in one file per room; the defaults and documentation there make
//! `wavekvd.example.toml`. A setting that does not exist or is out of its range is refused, with a sentence that names
//! it, its value, where it came from and what was expected.
//!
//! | place | spelling of `grpc.listen` |
//! | --- | --- |
//! | file, named by `--config` or `WAVEKV_CONFIG` | `listen = "…"` under `[grpc]` |
//! | environment | `WAVEKV_GRPC__LISTEN=…` |
//! | flags | `--set grpc.listen=…`; the usual ones have their own, as `--listen …` |
//!
//! No setting is a secret: whoever may ask the daemon is told all of them (`wavekv config`). Of a secret, a setting has the path
//! of its file.
//!
//! Must not know: what the settings do. Only this room reads the environment and the file; the other rooms are given
//! values.
//!
//! Start at [`Settings`], then [`Settings::load`].

mod attend;
mod audit;
mod check;
mod compute;
mod daemon;
mod disk;
mod error;
#[cfg(test)]
mod example;
mod flags;
#[cfg(test)]
pub(crate) mod golden;
mod grpc;
mod http;
mod index;
mod layers;
mod limits;
mod load;
mod log;
mod memory;
mod notation;
mod pages;
mod preload;
mod shm;
mod storage;
mod trace;

pub use attend::AttendSettings;
pub use audit::AuditSettings;
pub use compute::ComputeSettings;
pub use daemon::Settings;
pub use disk::DiskSettings;
pub use error::{ConfigError, SettingError};
pub use grpc::GrpcSettings;
pub use http::{HttpSettings, Inspector};
pub use index::{IndexKind, IndexSettings};
pub use limits::LimitSettings;
pub use load::Loaded;
pub use log::{LogFormat, LogSettings};
pub use memory::MemorySettings;
pub use preload::preload;
pub use shm::ShmSettings;
pub use storage::{Durability, StorageSettings};
pub use trace::TraceSettings;
