//! Which blocks of the mapped files are in memory: the policy between memory and disk.
//!
//! A segment's file is mapped, and readers use its bytes in place. Of these, some columns are *kept*: they stay in memory
//! as long as the file is mapped. The others are *paged*, in blocks of one page of the system: a reader holds the blocks that
//! it is about to read ([`PagedFile::hold`]), which brings those that are not there, and nobody else's need makes them leave
//! before it has let go of them. Every byte that is in memory counts in the [`Budget`](crate::Budget); where there is no room
//! for more, blocks leave in the order of the clock.
//!
//! The clock is that of Corbató (1968) with no credit on arrival: a block that is used again after it came is spared once, one
//! that is not goes at the first visit, so that a scan of everything does not drive out what is used (lazy promotion and quick
//! demotion, as in SIEVE, NSDI 2024). It is two bits a block in the words that readers count themselves in, so a hit costs one
//! atomic addition for sixteen blocks. Cache libraries (moka, `quick_cache`, foyer) keep an entry of fifty bytes or more and a
//! look-up for each: of blocks this small that would be as much work as reading them.
//!
//! A block that is not in memory may still be in the system's own cache, which keeps what it has room for beside us; it comes
//! back from there without the device.
//!
//! What is brought is asked for in one go (`MADV_WILLNEED`, so that the device sees all of it at once), and whoever needs it
//! does something else until it is there. It is mapped with `MADV_POPULATE_READ`, which gives an error where touching the
//! page would end the process with SIGBUS. The system maps neighbours that it has in its cache beside a page that is asked
//! for, up to two megabytes of them; those are unmapped again, or the process would hold many times what is counted.
//!
//! A process has memory that nobody counts: what queries compute in, the catalog's own caches, what the allocator keeps for the
//! next. [`Residence::observe`] looks at how much that is, and blocks leave for it as they do for what is counted, so that the
//! process stays within the budget and not only the sum of what it knows of.
//!
//! Must not know: what the bytes mean, or who reads them. Start at [`PagedFile`], then `window.rs`.

mod clock;
mod file;
mod home;
mod mapping;
mod process;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use file::PagedFile;
pub use file::{Hold, Patience, ResidenceError};
pub use home::{Home, Traffic};
pub(crate) use mapping::Mapping;

use parking_lot::Mutex;

use self::clock::Clock;
use self::home::Tenants;
use crate::budget::Reclaim;
use crate::{Budget, Bytes};

/// All mapped files of a daemon together. Clones are the same.
#[derive(Clone, Debug)]
pub struct Residence {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    budget: Budget,
    clock: Clock,
    /// Bytes of blocks that are in memory and may leave, those of pinned files included.
    paged: AtomicU64,
    /// Bytes that the process has beside those that are counted, as far as blocks leave for them.
    uncounted: AtomicU64,
    /// What a thread does for a moment while the disk reads for it.
    idle: fn(),
    tenants: Mutex<Tenants>,
}

/// Blocks leave for what is not counted until it has this part of the budget. A budget that is smaller than the program is
/// then still one for blocks.
const UNCOUNTED_PART: u64 = 2;
/// What was not counted a moment ago will be needed again soon: of what is not there any more, this part is forgotten a look.
const FORGOTTEN_PART: u64 = 512;
/// And so much of the budget may be needed before the next look.
const MARGIN_PART: u64 = 16;

impl Residence {
    /// Counts in `budget`, and makes room in it for others. A thread that waits for the disk calls `idle` again and again,
    /// which must take no longer than a moment, unless it does something useful.
    pub fn new(budget: &Budget, idle: fn()) -> Self {
        let shared = Arc::new(Shared {
            budget: budget.clone(),
            clock: Clock::default(),
            paged: AtomicU64::new(0),
            uncounted: AtomicU64::new(0),
            idle,
            tenants: Mutex::default(),
        });
        let reclaim: Arc<dyn Reclaim> = Arc::clone(&shared) as Arc<dyn Reclaim>;
        budget.reclaim_from(&reclaim);
        Self { shared }
    }

    /// What it counts in.
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// What of the budget is used and could not be had by making blocks leave, with what the process has beside what is counted.
    pub fn staying(&self) -> Bytes {
        let paged = self.shared.paged.load(Ordering::Relaxed);
        let counted = self.shared.budget.used().0.saturating_sub(paged);
        Bytes(counted + self.shared.uncounted.load(Ordering::Relaxed))
    }

    /// Looks at how much memory the process has, and has blocks leave for what of it is counted nowhere. To be called a hundred times a
    /// second or so; where the system does not say, it does nothing.
    pub fn observe(&self) {
        if let Some(resident) = process::resident() {
            self.observed(resident);
        }
    }

    fn observed(&self, resident: Bytes) {
        let budget = &self.shared.budget;
        let now = resident.0.saturating_sub(budget.used().0);
        let before = self.shared.uncounted.load(Ordering::Relaxed);
        let kept = before - before.div_ceil(FORGOTTEN_PART);
        let limit = budget.limit().0;
        let uncounted = now.saturating_add(limit / MARGIN_PART).max(kept);
        let uncounted = uncounted.min(limit / UNCOUNTED_PART);
        self.shared.uncounted.store(uncounted, Ordering::Relaxed);
        self.keep_budget();
    }

    /// What was done with blocks since the process began, those of files that are gone included, and what is in memory now.
    pub fn traffic(&self) -> Traffic {
        self.shared.tenants.lock().traffic()
    }

    fn register(&self, file: &Arc<PagedFile>) {
        self.shared.clock.add(file);
    }

    /// Room for bytes that must come, whatever the limit says.
    fn make_room(&self, wanted: Bytes) -> crate::Reservation {
        let budget = &self.shared.budget;
        let room = budget
            .reserve(wanted)
            .unwrap_or_else(|_| budget.force(wanted));
        self.keep_budget();
        room
    }

    /// Has blocks leave until the budget is kept, where that can be.
    fn keep_budget(&self) {
        let budget = &self.shared.budget;
        let uncounted = self.shared.uncounted.load(Ordering::Relaxed);
        let over = (budget.used().0 + uncounted).saturating_sub(budget.limit().0);
        if over > 0 {
            self.shared.clock.evict(Bytes(over));
        }
    }
}

impl Reclaim for Shared {
    fn reclaim(&self, wanted: Bytes) -> Bytes {
        self.clock.evict(wanted)
    }
}
