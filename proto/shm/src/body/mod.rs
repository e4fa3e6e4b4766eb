//! What a call asks and answers, in bytes: records of little-endian numbers, one field after the other without padding.
//!
//! A body is one value of its operation's type, and nothing after it. [`parse`] is total: whatever the bytes are, it gives
//! a value or says where it failed, and takes memory in proportion to the bytes. Tensors are not in a body but beside it in
//! the arena, named by [`Region`]s that nobody has checked yet.
//!
//! Must not know what a value means: shapes, names and positions may be anything.
//!
//! Start reading in `request.rs`.

mod answer;
mod field;
mod request;

pub use answer::{
    Answers, Attended, Audit, Clustered, Estimated, Failure, Fetched, Inserted, Opened, Payload,
    Range, Ranked, RankedCluster, RankedHead, Report,
};
pub use field::{Field, Malformed, encode, parse};
pub use request::{
    Attend, Cluster, Estimate, Fetch, Insert, Layer, Mode, Open, Request, SegmentCluster, Tensor,
    TopClusters, What, mode, what,
};

use field::record;

use crate::layout::Region;

record! {
    impl Region { offset: u64, bytes: u64 }
}

#[cfg(test)]
mod tests;
