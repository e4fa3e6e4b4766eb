//! Sixteen blocks in one atomic word: which are in memory, which were used since the clock came by, which never leave, and
//! how many readers hold any of them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Blocks of a window: as many pages as Linux maps around one that is touched.
pub(super) const BLOCKS: usize = 16;

const USED: u32 = 16;
const KEPT: u32 = 32;
const HOLDS: u32 = 48;
const ONE_HOLD: u64 = 1 << HOLDS;

/// A set of blocks is a bit for each.
#[derive(Debug, Default)]
pub(super) struct Window(AtomicU64);

impl Window {
    /// Counts a reader in, who is about to read `blocks`; returns those that are not in memory. From then on none leaves.
    pub(super) fn enter(&self, blocks: u16) -> u16 {
        let before = self.0.fetch_add(ONE_HOLD, Ordering::AcqRel);
        debug_assert!(before >> HOLDS < u64::from(u16::MAX), "too many readers");
        let (resident, used) = (before as u16, (before >> USED) as u16);
        let again = blocks & resident & !used;
        if again != 0 {
            self.0.fetch_or(u64::from(again) << USED, Ordering::Relaxed);
        }
        blocks & !resident
    }

    /// Counts a reader out.
    pub(super) fn leave(&self) {
        self.0.fetch_sub(ONE_HOLD, Ordering::Release);
    }

    /// `blocks` are in memory and never leave.
    pub(super) fn keep(&self, blocks: u16) {
        let bits = u64::from(blocks) | u64::from(blocks) << KEPT;
        self.0.fetch_or(bits, Ordering::Release);
    }

    /// `blocks` are in memory; returns those that were not before.
    pub(super) fn arrive(&self, blocks: u16) -> u16 {
        let before = self.0.fetch_or(u64::from(blocks), Ordering::Release);
        blocks & !(before as u16)
    }

    /// The blocks that are in memory.
    pub(super) fn resident(&self) -> u16 {
        self.0.load(Ordering::Acquire) as u16
    }

    /// The clock comes by: which blocks leave. None while a reader holds any; one that was used since the last time does not,
    /// and has to be used again before the next. `all` spares none that no reader holds.
    pub(super) fn visit(&self, all: bool) -> u16 {
        let mut leaving = 0;
        let change = |state: u64| {
            if state >> HOLDS != 0 {
                leaving = 0;
                return None;
            }
            let (resident, used, kept) =
                (state as u16, (state >> USED) as u16, (state >> KEPT) as u16);
            leaving = resident & !kept & if all { u16::MAX } else { !used };
            Some(u64::from(resident & !leaving) | u64::from(kept) << KEPT)
        };
        match self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
        {
            Ok(_) => leaving,
            Err(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_missing_until_it_arrives() {
        let window = Window::default();
        assert_eq!(window.enter(0b0110), 0b0110);
        assert_eq!(window.arrive(0b0110), 0b0110);
        assert_eq!(window.arrive(0b0111), 0b0001);
        assert_eq!(window.enter(0b1111), 0b1000);
        assert_eq!(window.resident(), 0b0111);
    }

    #[test]
    fn what_is_held_stays_and_what_is_used_again_is_spared_once() {
        let window = Window::default();
        window.enter(0b11);
        window.arrive(0b11);
        assert_eq!(window.visit(false), 0);
        assert_eq!(window.visit(true), 0);
        window.leave();
        assert_eq!(window.enter(0b01), 0);
        window.leave();
        assert_eq!(window.visit(false), 0b10);
        assert_eq!(window.resident(), 0b01);
        assert_eq!(window.visit(false), 0b01);
        assert_eq!(window.visit(false), 0);
    }

    #[test]
    fn what_is_kept_never_leaves() {
        let window = Window::default();
        window.keep(0b100);
        window.arrive(0b011);
        assert_eq!(window.enter(0b100), 0);
        window.leave();
        assert_eq!(window.visit(true), 0b011);
        assert_eq!(window.visit(true), 0);
        assert_eq!(window.resident(), 0b100);
    }

    #[test]
    fn readers_and_the_clock_agree_on_what_is_there() {
        let window = Window::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let missing = window.enter(0b1010);
                        window.arrive(missing);
                        // Held, so none of them can have left.
                        assert_eq!(window.resident() & 0b1010, 0b1010);
                        window.leave();
                    }
                });
            }
            for _ in 0..10_000 {
                window.visit(true);
            }
        });
        window.visit(true);
        assert_eq!(window.resident(), 0);
    }
}
