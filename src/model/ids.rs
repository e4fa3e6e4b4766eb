//! A newtype for every integer that has an owner, so that a layer is never passed for a head.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A layer of a collection, from 0.
    LayerId(u32)
}
id! {
    /// A KV head of a layer, from 0.
    KvHead(u32)
}
id! {
    /// A segment; never used again within a data directory.
    SegmentId(u64)
}
id! {
    /// A cluster of one KV head of one segment, from 0.
    ClusterId(u32)
}
id! {
    /// Which of the collections that bore a name this is; never used again within a data directory.
    Generation(u64)
}
id! {
    /// Which start of the daemon this is, counted in its data directory.
    BootEpoch(u64)
}

/// Gives out names of segments, each once.
#[derive(Debug)]
pub struct SegmentIds(AtomicU64);

impl SegmentIds {
    /// Those after `last`, which no earlier start of the daemon has come to.
    pub fn after(last: u64) -> Self {
        Self(AtomicU64::new(last))
    }

    /// A name that no other segment has.
    pub fn next(&self) -> SegmentId {
        SegmentId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl KvHead {
    /// As an index into per-head arrays.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl LayerId {
    /// As an index into per-layer arrays.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
