//! Collections that nobody deletes: those that were not used for as long as their creator said, and those that may go when
//! the disk is over its budget.
//!
//! An insert or a query of a collection is a use of it, and so is its creation; to be described or listed is none. When a
//! collection was used last is known to the process alone: a start of the daemon counts as a use of every collection that
//! it opens, so that time in which no daemon ran makes nothing expire.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wavekv_storage::Bytes;

use crate::collection::Collection;
use crate::engine::Engine;

/// Between two looks at what has expired.
const LOOK: Duration = Duration::from_secs(1);

/// What was deleted since the daemon's start.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    pub(super) expired: AtomicU64,
    pub(super) for_room: AtomicU64,
}

impl Engine {
    /// Deletes what expires, for as long as the future is polled.
    pub async fn delete_expired_from_now_on(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.compute(Self::delete_expired).await {
                tracing::error!(%error, "what has expired was not looked for");
            }
        }
    }

    /// Deletes every collection that was not used for as long as its ttl and that no call holds.
    fn delete_expired(&self) {
        let now = self.clock.uptime();
        let expired = |collection: &Collection| {
            let idle = now.saturating_sub(collection.used_at());
            let ttl = collection.retention().ttl?;
            (idle >= ttl).then_some(collection.used_at())
        };
        for collection in self.registry.idle(expired) {
            if self.delete_unused(&collection) {
                self.deleted.expired.fetch_add(1, Ordering::Relaxed);
                let ttl = collection.retention().ttl_seconds();
                tracing::info!(
                    collection = %collection.name(),
                    reason = "expired",
                    ttl_seconds = ttl,
                    "collection deleted"
                );
            }
        }
    }

    /// Deletes the expendable collection on disk that was unused for longest and that no call holds; whether there was one.
    pub(super) fn make_room(&self, missing: Bytes) -> bool {
        let expendable = |collection: &Collection| {
            let may_go = collection.retention().expendable && collection.is_stored();
            may_go.then(|| collection.used_at())
        };
        for collection in self.registry.idle(expendable) {
            if self.delete_unused(&collection) {
                self.deleted.for_room.fetch_add(1, Ordering::Relaxed);
                tracing::info!(
                    collection = %collection.name(),
                    reason = "disk.budget is used up, and no expendable collection was unused for longer",
                    missing_bytes = missing.0,
                    "collection deleted"
                );
                return true;
            }
        }
        false
    }

    fn delete_unused(&self, collection: &Collection) -> bool {
        let deleted = self.remove(collection.name(), Some(collection.generation()));
        deleted
            .inspect_err(|error| {
                tracing::warn!(collection = %collection.name(), %error, "not deleted");
            })
            .is_ok()
    }
}
