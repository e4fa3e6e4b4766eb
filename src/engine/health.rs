//! What is not well with a daemon that serves: each trouble with its numbers, so that whoever reads its sentence need ask
//! nothing more.

use std::fmt;

use crate::engine::Engine;
use crate::model::CollectionName;

/// Refused collections that are named.
const NAMED: usize = 8;
/// Of `disk.budget`, what may be used before that is told: percent.
const NEARLY_USED_UP: u64 = 95;
/// Of a file system, what should be free: one byte of so many, and at least so many bytes.
const FREE_SHARE: u64 = 20;
const FREE_BYTES: u64 = 1 << 30;

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The disk takes nothing.
    DiskRefuses,
    /// The file system of the data directory is nearly full.
    DiskLow {
        /// Bytes.
        free: u64,
        /// Bytes.
        total: u64,
    },
    /// The system does not say how full it is.
    DiskUnknown {
        /// What it says instead.
        why: String,
    },
    /// `disk.budget` is nearly used up.
    DiskBudgetLow {
        /// Bytes.
        used: u64,
        /// Bytes.
        budget: u64,
    },
    /// More memory is used than `memory.budget` allows.
    MemoryOverBudget {
        /// Bytes.
        used: u64,
        /// Bytes.
        budget: u64,
    },
    /// Collections are not served, since they are not as they were.
    CollectionsRefused {
        /// The first of them.
        names: Vec<CollectionName>,
        /// How many there are.
        all: usize,
    },
    /// Segments were not built, for want of memory or disk.
    SegmentsNotBuilt {
        /// That have waited for one since.
        layers: usize,
    },
}

impl Trouble {
    /// All words for programs that there are.
    pub const CODES: [&str; 7] = [
        "disk_refuses",
        "disk_low",
        "disk_unknown",
        "disk_budget_low",
        "memory_over_budget",
        "collections_refused",
        "segments_not_built",
    ];

    /// Its word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DiskRefuses => "disk_refuses",
            Self::DiskLow { .. } => "disk_low",
            Self::DiskUnknown { .. } => "disk_unknown",
            Self::DiskBudgetLow { .. } => "disk_budget_low",
            Self::MemoryOverBudget { .. } => "memory_over_budget",
            Self::CollectionsRefused { .. } => "collections_refused",
            Self::SegmentsNotBuilt { .. } => "segments_not_built",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DiskRefuses => f.write_str(
                "the last write to the catalog has failed: nothing can be stored until the disk takes one again",
            ),
            Self::DiskLow { free, total } => write!(
                f,
                "the file system of data_dir has {free} of {total} bytes free: expected 1 of {FREE_SHARE}, and {FREE_BYTES}"
            ),
            Self::DiskUnknown { why } => {
                write!(f, "the system does not say how full data_dir is: {why}")
            }
            Self::DiskBudgetLow { used, budget } => write!(
                f,
                "collections store {used} bytes: expected less than {NEARLY_USED_UP} % of disk.budget, which is {budget}"
            ),
            Self::MemoryOverBudget { used, budget } => write!(
                f,
                "{used} bytes of memory are used: expected at most memory.budget, which is {budget}"
            ),
            Self::CollectionsRefused { names, all } => {
                write!(f, "{all} collections are damaged and not served: ")?;
                for (place, name) in names.iter().enumerate() {
                    write!(f, "{}{name}", if place == 0 { "" } else { ", " })?;
                }
                match all - names.len() {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::SegmentsNotBuilt { layers } => write!(
                f,
                "{layers} layers wait to be clustered, after that had failed for want of memory or disk"
            ),
        }
    }
}

impl Engine {
    /// What is not well, the worst first. It asks the file system, and looks at every collection.
    pub fn troubles(&self) -> Vec<Trouble> {
        let disk = self.store.is_refusing().then_some(Trouble::DiskRefuses);
        let budgets = [self.disk_budget_low(), self.memory_over_budget()];
        let (names, all) = self.registry.refused(NAMED);
        let refused = (all > 0).then_some(Trouble::CollectionsRefused { names, all });
        let layers = self.background.waiting_for_room();
        let not_built = (layers > 0).then_some(Trouble::SegmentsNotBuilt { layers });
        [disk, self.disk_low()]
            .into_iter()
            .chain(budgets)
            .chain([refused, not_built])
            .flatten()
            .collect()
    }

    fn disk_low(&self) -> Option<Trouble> {
        match self.store.device() {
            Ok(device) => {
                let (free, total) = (device.free.0, device.total.0);
                is_low(free, total).then_some(Trouble::DiskLow { free, total })
            }
            Err(error) => Some(Trouble::DiskUnknown {
                why: error.to_string(),
            }),
        }
    }

    fn disk_budget_low(&self) -> Option<Trouble> {
        let (used, budget) = (self.store.used().0, self.store.limit().0);
        is_nearly_used_up(used, budget).then_some(Trouble::DiskBudgetLow { used, budget })
    }

    fn memory_over_budget(&self) -> Option<Trouble> {
        let (used, budget) = (self.budget.used().0, self.budget.limit().0);
        (used > budget).then_some(Trouble::MemoryOverBudget { used, budget })
    }
}

fn is_low(free: u64, total: u64) -> bool {
    free < FREE_BYTES || free < total / FREE_SHARE
}

fn is_nearly_used_up(used: u64, budget: u64) -> bool {
    used >= budget - budget / 100 * (100 - NEARLY_USED_UP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_disk_is_low_by_its_share_or_by_its_bytes() {
        assert!(!is_low(5 * GIB, 100 * GIB));
        assert!(is_low(5 * GIB - 1, 100 * GIB));
        assert!(!is_low(GIB, 2 * GIB));
        assert!(is_low(GIB - 1, 2 * GIB));
    }

    #[test]
    fn a_budget_is_nearly_used_up_from_its_share_on_and_none_never_is() {
        assert!(is_nearly_used_up(950, 1000));
        assert!(!is_nearly_used_up(949, 1000));
        assert!(is_nearly_used_up(2000, 1000));
        assert!(!is_nearly_used_up(1 << 50, u64::MAX));
    }

    #[test]
    fn of_many_refused_collections_the_first_are_named() {
        let names: Vec<_> = ["a", "b"]
            .map(|name| CollectionName::new("ns", name).unwrap())
            .into();
        let sentence = |all| {
            let names = names.clone();
            Trouble::CollectionsRefused { names, all }.to_string()
        };
        let two = "2 collections are damaged and not served: ns/a, ns/b";
        assert_eq!(sentence(2), two);
        assert!(sentence(5).ends_with("ns/a, ns/b and 3 more"));
    }
}
