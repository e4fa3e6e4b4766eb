//! Plain values: what a collection, a query and an answer are.
//!
//! Knows nobody but the dtype of a tensor; no I/O, no async, no wire format. Values that come from outside are checked
//! once, in their constructors, and the [`Invalid`] that refuses one names the field, the value and what was expected.
//!
//! Start reading at [`geometry`] (what is stored), then [`mode`] (what is asked) and [`answer`] (what comes back).

pub mod answer;
pub mod audit;
pub mod durability;
pub mod error;
pub mod geometry;
pub mod ids;
pub mod invalid;
pub mod kind;
pub mod limits;
pub mod mode;
pub mod name;
pub mod parameters;
pub mod query;
pub mod retention;
pub mod snapshot_name;
pub mod token_range;

pub use answer::{Cost, Partial, Report};
pub use audit::Audit;
pub use durability::Durability;
pub use error::{Error, ErrorKind};
pub use geometry::{Geometry, LayerKind};
pub use ids::{BootEpoch, ClusterId, Generation, KvHead, LayerId, SegmentId, SegmentIds};
pub use invalid::{Invalid, quoted};
pub use kind::IndexKind;
pub use mode::{BudgetRule, Mode, Ranking};
pub use name::CollectionName;
pub use parameters::IndexParameters;
pub use query::{AttendQuery, ClusterAddress, ClusterQuery, NewTokens};
pub use retention::Retention;
pub use snapshot_name::SnapshotName;
pub use token_range::TokenRange;
pub use wavekv_kernels::Dtype;
