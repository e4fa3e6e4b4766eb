//! Inserts that come faster than tokens are clustered: they wait, so that tails leave room for what is made of them.
//!
//! Only inserts wait, as long as clustering gets on; where it cannot, memory is refused with a sentence. What is refused is
//! decided by the budget and by nobody else: this room only keeps callers from it who would come too early.

use crate::engine::Engine;

impl Engine {
    /// Waits until `bytes` of new tokens leave room in the memory budget for the next segment to be built, or clustering
    /// does not get on. A caller that goes away waits no longer.
    pub async fn wait_for_room(&self, bytes: u64) {
        let mut ended = self.background.ended();
        while !self.has_room(bytes) && self.background.gets_on() {
            if ended.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether `bytes` of new tokens need not wait.
    pub fn has_room(&self, bytes: u64) -> bool {
        let (staying, limit) = (self.store.residence().staying().0, self.budget.limit().0);
        let spare = self.background.build_bytes().min(limit / 2);
        staying.saturating_add(bytes).saturating_add(spare) <= limit
    }
}
