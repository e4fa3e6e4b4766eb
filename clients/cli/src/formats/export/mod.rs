//! K and V as a table that others read: a row a token and KV head, in order of layer, position and KV head.
//!
//! | column | Arrow type |
//! | --- | --- |
//! | `layer`, `kv_head`, `position` | `UInt32` |
//! | `k` | `FixedSizeList` of `head_dim` |
//! | `v` | `FixedSizeList` of `value_dim` |
//!
//! Elements of K and V are those that are stored, bit for bit: `Float32`, `Float16`, or of bf16 `UInt16` with the extension name
//! `wavekv.bfloat16` in the metadata of the lists' field, as in the daemon's own files (storage/src/segment/file/FORMAT.md).
//! The schema's metadata names the collection. Parquet has the Arrow schema beside its own, so that readers of Arrow see the
//! same table.

mod batch;
mod file;

pub(crate) use batch::Table;
pub(crate) use file::{Unnamed, Writer};
