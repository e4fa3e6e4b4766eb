//! How much memory may be used, and how much is.
//!
//! Every byte of payload comes from [`Budget::allocate`] and is given back when its [`Buffer`] is dropped, so `used` is
//! exact at any moment and a limit can be refused before the machine runs out. Memory that a library allocates for itself
//! is counted by [`Budget::reserve`].

use std::fmt;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use crate::buffer::Buffer;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

impl From<usize> for Bytes {
    fn from(bytes: usize) -> Self {
        Self(bytes as u64)
    }
}

impl Add for Bytes {
    type Output = Self;

    /// Saturates: a sum of sizes beyond 2^64 exists only in a mistake.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), Add::add)
    }
}

/// Why memory was not given, with the numbers at that moment. Nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked} of memory were asked for: {shortage} ({used} of {limit} are used)")]
pub struct BudgetExceeded {
    /// What the allocation would have reserved: see [`Buffer::footprint`].
    pub asked: Bytes,
    /// What was reserved already.
    pub used: Bytes,
    /// The budget's limit.
    pub limit: Bytes,
    /// Who refused.
    pub shortage: Shortage,
}

/// Who refused memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The budget: it would have been exceeded.
    Budget,
    /// The operating system, although the budget allows it.
    System,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Budget => "the memory budget does not allow it",
            Self::System => "the budget allows it, but the system does not give it",
        })
    }
}

/// A shared limit on memory. Clones count together.
#[derive(Clone, Debug)]
pub struct Budget {
    account: Arc<Account>,
}

#[derive(Debug)]
struct Account {
    limit: u64,
    used: AtomicU64,
    reclaim: OnceLock<Weak<dyn Reclaim>>,
}

/// Whoever can give memory back that counts in a budget.
pub(crate) trait Reclaim: fmt::Debug + Send + Sync {
    /// Gives back `wanted` bytes or less; returns how many. It must not allocate from the budget.
    fn reclaim(&self, wanted: Bytes) -> Bytes;
}

impl Budget {
    /// A budget of which nothing is used.
    pub fn new(limit: Bytes) -> Self {
        let account = Account {
            limit: limit.0,
            used: AtomicU64::new(0),
            reclaim: OnceLock::new(),
        };
        Self {
            account: Arc::new(account),
        }
    }

    /// Bytes reserved by the buffers and reservations that live now. Above [`limit`](Self::limit) only after a clone of a [`Buffer`].
    pub fn used(&self) -> Bytes {
        Bytes(self.account.used.load(Ordering::Acquire))
    }

    /// Bytes that allocations may reserve together.
    pub fn limit(&self) -> Bytes {
        Bytes(self.account.limit)
    }

    /// A zeroed buffer of `len` bytes, which reserves its [footprint](Buffer::footprint).
    ///
    /// # Errors
    /// [`BudgetExceeded`] when the reservation would pass the limit, or the system has no memory.
    pub fn allocate(&self, len: usize) -> Result<Buffer, BudgetExceeded> {
        let asked = Buffer::footprint_of(len);
        let reservation = self.reserve(asked)?;
        Buffer::zeroed(len, reservation)
            .ok_or_else(|| self.refusal(asked, self.used(), Shortage::System))
    }

    /// Asks `reclaim`, the first that is given, for memory when there is not enough.
    pub(crate) fn reclaim_from(&self, reclaim: &Arc<dyn Reclaim>) {
        self.account.reclaim.get_or_init(|| Arc::downgrade(reclaim));
    }

    /// Counts memory that somebody else allocates, for as long as the reservation lives.
    ///
    /// # Errors
    /// [`BudgetExceeded`] when it would pass the limit and nobody gives enough back.
    pub fn reserve(&self, asked: Bytes) -> Result<Reservation, BudgetExceeded> {
        loop {
            let refused = match self.try_reserve(asked) {
                Ok(reservation) => return Ok(reservation),
                Err(refused) => refused,
            };
            let reclaim = self.account.reclaim.get().and_then(Weak::upgrade);
            let wanted = Bytes(
                asked
                    .0
                    .saturating_sub(refused.limit.0.saturating_sub(refused.used.0)),
            );
            // More than there is at all is asked of nobody.
            let possible = asked <= refused.limit;
            let freed = reclaim
                .filter(|_| possible)
                .map_or(Bytes(0), |reclaim| reclaim.reclaim(wanted));
            if freed == Bytes(0) {
                return Err(refused);
            }
        }
    }

    fn try_reserve(&self, asked: Bytes) -> Result<Reservation, BudgetExceeded> {
        let fits = |used: u64| {
            used.checked_add(asked.0)
                .filter(|total| *total <= self.account.limit)
        };
        match self
            .account
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
        {
            Ok(_) => Ok(Reservation {
                budget: self.clone(),
                size: asked,
            }),
            Err(used) => Err(self.refusal(asked, Bytes(used), Shortage::Budget)),
        }
    }

    /// Uncounts what a [`Reservation::keep`] counted.
    pub(crate) fn give_back(&self, size: Bytes) {
        self.account.used.fetch_sub(size.0, Ordering::AcqRel);
    }

    /// Reserves whatever the limit says.
    pub(crate) fn force(&self, size: Bytes) -> Reservation {
        self.account.used.fetch_add(size.0, Ordering::AcqRel);
        Reservation {
            budget: self.clone(),
            size,
        }
    }

    fn refusal(&self, asked: Bytes, used: Bytes, shortage: Shortage) -> BudgetExceeded {
        BudgetExceeded {
            asked,
            used,
            limit: self.limit(),
            shortage,
        }
    }
}

/// Bytes that count in a budget until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    size: Bytes,
}

impl Reservation {
    /// How many.
    pub fn size(&self) -> Bytes {
        self.size
    }

    /// Counts `kept`, at most what was reserved, until [`Budget::give_back`], and the rest no longer.
    pub(crate) fn keep(mut self, kept: Bytes) {
        self.size = Bytes(self.size.0.saturating_sub(kept.0));
    }

    /// As much again, over the limit if need be: what was written cannot be refused for want of a copy of it.
    pub(crate) fn again(&self) -> Self {
        self.budget.force(self.size)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.size);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_buffer_counts_in_whole_lines_until_it_is_dropped() {
        let budget = Budget::new(Bytes(256));
        let one = budget.allocate(1).unwrap();
        assert_eq!(budget.used(), Bytes(64));
        let more = budget.allocate(129).unwrap();
        assert_eq!(budget.used(), Bytes(256));
        drop(one);
        assert_eq!(budget.used(), Bytes(192));
        drop(more);
        assert_eq!(budget.used(), Bytes(0));
    }

    #[test]
    fn a_refusal_says_asked_used_and_limit_and_reserves_nothing() {
        let budget = Budget::new(Bytes(128));
        let held = budget.allocate(64).unwrap();
        let refused = budget.allocate(65).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "128 bytes of memory were asked for: the memory budget does not allow it \
             (64 bytes of 128 bytes are used)"
        );
        assert_eq!(budget.used(), Bytes(64));
        drop(held);
    }

    #[test]
    fn a_length_that_no_machine_has_is_refused() {
        let budget = Budget::new(Bytes(u64::MAX));
        let held = budget.allocate(64).unwrap();
        assert_eq!(
            budget.allocate(usize::MAX).unwrap_err().shortage,
            Shortage::Budget
        );
        let by_system = budget.allocate(usize::MAX >> 2).unwrap_err();
        assert_eq!(by_system.shortage, Shortage::System);
        assert_eq!(budget.used(), Bytes(64));
        drop(held);
    }

    #[test]
    fn a_reservation_counts_until_it_is_dropped() {
        let budget = Budget::new(Bytes(100));
        let held = budget.reserve(Bytes(70)).unwrap();
        assert_eq!((held.size(), budget.used()), (Bytes(70), Bytes(70)));
        assert_eq!(budget.reserve(Bytes(31)).unwrap_err().used, Bytes(70));
        drop(held);
        assert_eq!(budget.used(), Bytes(0));
    }

    #[test]
    fn a_clone_counts_even_over_the_limit() {
        let budget = Budget::new(Bytes(64));
        let first = budget.allocate(64).unwrap();
        let second = first.clone();
        assert_eq!(budget.used(), Bytes(128));
        budget.allocate(1).unwrap_err();
        drop(first);
        drop(second);
        assert_eq!(budget.used(), Bytes(0));
    }

    #[test]
    fn threads_never_pass_the_limit_and_leave_nothing_behind() {
        const LIMIT: u64 = 64 * 40;
        let budget = Budget::new(Bytes(LIMIT));
        thread::scope(|scope| {
            for worker in 0..8_usize {
                let budget = budget.clone();
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for step in 0..2_000 {
                        match budget.allocate((worker * 37 + step * 61) % 300) {
                            Ok(buffer) => held.push(buffer),
                            Err(_) => held.clear(),
                        }
                        assert!(budget.used() <= Bytes(LIMIT));
                    }
                });
            }
        });
        assert_eq!(budget.used(), Bytes(0));
    }

    proptest! {
        #[test]
        fn used_is_the_sum_of_what_lives(steps in prop::collection::vec((0_usize..500, any::<bool>()), 0..60)) {
            let budget = Budget::new(Bytes(4096));
            let mut held: Vec<Buffer> = Vec::new();
            for (len, give_back) in steps {
                if give_back && !held.is_empty() {
                    held.swap_remove(len % held.len());
                } else if let Ok(buffer) = budget.allocate(len) {
                    held.push(buffer);
                }
                let sum: Bytes = held.iter().map(Buffer::footprint).sum();
                prop_assert_eq!(budget.used(), sum);
                prop_assert!(sum <= budget.limit());
            }
        }
    }
}
