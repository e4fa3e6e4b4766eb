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
        let tenant = Arc::default();
        residence.shared.tenants.lock().add(&tenant);
        Self {
            residence: residence.clone(),
            tenant,
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
        self.tenant.traffic()
    }
}

impl Tenant {
    fn traffic(&self) -> Traffic {
        Traffic {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            resident_bytes: self.resident.load(Ordering::Relaxed),
        }
    }
}

/// Everybody whose blocks are counted, so that what was counted stays when they are gone.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    here: Vec<Arc<Tenant>>,
    gone: Traffic,
    /// That were left when those that are gone were looked for last.
    most: usize,
}

impl Tenants {
    fn add(&mut self, tenant: &Arc<Tenant>) {
        if self.here.len() >= 2 * self.most.max(64) {
            self.forget();
        }
        self.here.push(Arc::clone(tenant));
    }

    /// Of all that there ever were; what it says grows, but for what is in memory.
    pub(super) fn traffic(&mut self) -> Traffic {
        self.forget();
        let here = self.here.iter().map(|tenant| tenant.traffic());
        here.fold(self.gone, Traffic::plus)
    }

    /// Keeps the counts of those that nobody else has any more, and nothing else of them.
    fn forget(&mut self) {
        let gone = &mut self.gone;
        self.here.retain(|tenant| {
            let is_here = Arc::strong_count(tenant) > 1;
            if !is_here {
                *gone = gone.plus(tenant.traffic());
            }
            is_here
        });
        self.most = self.here.len();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Budget, Bytes};

    #[test]
    fn what_was_counted_stays_when_its_tenant_is_gone() {
        let residence = Residence::new(&Budget::new(Bytes(1 << 20)), std::thread::yield_now);
        for round in 1..=300 {
            let home = Home::new(&residence);
            home.tenant.hits.fetch_add(2, Ordering::Relaxed);
            home.tenant.resident.store(10, Ordering::Relaxed);
            let here = residence.traffic();
            assert_eq!((here.hits, here.resident_bytes), (2 * round, 10));
            home.tenant.resident.store(0, Ordering::Relaxed);
            drop(home);
            let gone = residence.traffic();
            assert_eq!((gone.hits, gone.resident_bytes), (2 * round, 0));
        }
    }

    #[test]
    fn tenants_that_are_gone_are_forgotten() {
        let residence = Residence::new(&Budget::new(Bytes(1 << 20)), std::thread::yield_now);
        for _ in 0..10_000 {
            let home = Home::new(&residence);
            home.tenant.misses.fetch_add(1, Ordering::Relaxed);
        }
        assert!(residence.shared.tenants.lock().here.len() <= 128);
        assert_eq!(residence.traffic().misses, 10_000);
    }
}
