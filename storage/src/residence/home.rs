//! Whose blocks they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Residence;

/// Where the blocks of some files live, those of a collection, say: what is done with them is counted together, and they are
/// protected together where that is wanted. Clones are the same.
#[derive(Clone, Debug)]
pub struct Home {
    pub(super) residence: Residence,
    pub(super) tenant: Arc<Tenant>,
}

#[derive(Debug, Default)]
pub(super) struct Tenant {
    pub(super) pinned: AtomicBool,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) evictions: AtomicU64,
    /// Bytes of kept and of paged blocks.
    pub(super) resident: AtomicU64,
}

/// What was done with blocks so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Blocks that a reader needed and that were there.
    pub hits: u64,
    /// Blocks that a reader needed and that had to be brought.
    pub misses: u64,
    /// Blocks that left to make room.
    pub evictions: u64,
    /// Bytes that are in memory now, columns that never leave included.
    pub resident_bytes: u64,
}

impl Home {
    /// One of which nothing is counted yet.
    pub fn new(residence: &Residence) -> Self {
        Self {
            residence: residence.clone(),
            tenant: Arc::default(),
        }
    }

    /// From now on none of its blocks leaves, or any may again.
    pub fn pin(&self, pinned: bool) {
        self.tenant.pinned.store(pinned, Ordering::Relaxed);
    }

    /// Whether none of its blocks leaves.
    pub fn is_pinned(&self) -> bool {
        self.tenant.pinned.load(Ordering::Relaxed)
    }

    /// Its counts now.
    pub fn traffic(&self) -> Traffic {
        let tenant = &self.tenant;
        Traffic {
            hits: tenant.hits.load(Ordering::Relaxed),
            misses: tenant.misses.load(Ordering::Relaxed),
            evictions: tenant.evictions.load(Ordering::Relaxed),
            resident_bytes: tenant.resident.load(Ordering::Relaxed),
        }
    }
}

impl Traffic {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            evictions: self.evictions + other.evictions,
            resident_bytes: self.resident_bytes + other.resident_bytes,
        }
    }
}
