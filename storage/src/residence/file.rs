//! One mapped file: which of its blocks are in memory, and how they come and leave.
//!
//! Readers count themselves into windows of blocks and lock nothing. Blocks come and leave under the file's own turn, which is
//! held for as long as the page tables change and not while the device reads.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::home::Tenant;
use super::window::{BLOCKS, Window};
use super::{Home, Mapping, Residence};
use crate::{BudgetExceeded, Bytes, Reservation};

/// How often a thread does something else before it waits for the device itself.
const IDLE_TURNS: usize = 4096;

/// Why blocks were not brought.
#[derive(Debug, thiserror::Error)]
pub enum ResidenceError {
    /// The device does not give them.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// They are only wanted where there is room.
    #[error(transparent)]
    NoRoom(#[from] BudgetExceeded),
}

/// What a thread may do until the disk has read for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Something else: it has locked nothing.
    Idle,
    /// Nothing.
    Stand,
}

/// A mapped file. What of it is in memory counts in the budget.
#[derive(Debug)]
pub(crate) struct PagedFile {
    path: PathBuf,
    mapping: Mapping,
    block_bytes: usize,
    windows: Box<[Window]>,
    /// Of whoever has blocks come or leave.
    turn: Mutex<()>,
    /// Blocks that are in memory and may leave.
    paged: AtomicU64,
    /// Blocks that never leave.
    kept: AtomicU64,
    tenant: Arc<Tenant>,
    residence: Residence,
}

/// Blocks that stay in memory until this is dropped.
#[derive(Debug)]
pub struct Hold<'a> {
    file: Option<&'a PagedFile>,
    windows: Vec<u32>,
}

/// Some blocks of one window.
#[derive(Clone, Copy, Debug)]
struct Part {
    window: usize,
    blocks: u16,
}

impl PagedFile {
    /// Takes a mapping, of which the byte ranges `kept` are read now and stay in memory.
    ///
    /// # Errors
    /// [`ResidenceError::Read`] when the device does not give them.
    pub(crate) fn new(
        path: &Path,
        mapping: Mapping,
        kept: &[Range<usize>],
        home: &Home,
    ) -> Result<Arc<Self>, ResidenceError> {
        let block_bytes = rustix::param::page_size();
        let windows = mapping.bytes().len().div_ceil(block_bytes * BLOCKS);
        let file = Arc::new(Self {
            path: path.to_owned(),
            mapping,
            block_bytes,
            windows: (0..windows).map(|_| Window::default()).collect(),
            turn: Mutex::new(()),
            paged: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            tenant: Arc::clone(&home.tenant),
            residence: home.residence.clone(),
        });
        // Whoever looked into it before has touched pages that nobody counted.
        file.mapping.forget(0..file.mapping.bytes().len());
        let parts = file.parts(kept.iter().cloned());
        // It must be read, whether there is room or not: what is in it was acknowledged.
        let room = home.residence.make_room(file.bytes_of(&parts));
        file.bring(&parts, room)?;
        for part in &parts {
            file.windows[part.window].keep(part.blocks);
        }
        let kept = count(&parts);
        file.uncount(kept);
        file.kept.store(kept, Ordering::Relaxed);
        home.residence.register(&file);
        Ok(file)
    }

    /// The content; only what is held may be read.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.mapping.bytes()
    }

    /// Has the blocks of byte ranges in memory for as long as the answer lives; what is not there is brought.
    ///
    /// # Errors
    /// [`ResidenceError::Read`] when the device does not give them.
    pub(crate) fn hold(
        &self,
        ranges: impl IntoIterator<Item = Range<usize>>,
        patience: Patience,
    ) -> Result<Hold<'_>, ResidenceError> {
        let parts = self.parts(ranges);
        let mut hold = Hold {
            file: Some(self),
            windows: Vec::with_capacity(parts.len()),
        };
        let (mut missing, mut wanted) = (vec![], 0);
        for Part { window, blocks } in parts {
            let absent = self.windows[window].enter(blocks);
            hold.windows.push(window as u32);
            wanted += u64::from(blocks.count_ones());
            if absent != 0 {
                missing.push(Part {
                    window,
                    blocks: absent,
                });
            }
        }
        let misses = count(&missing);
        self.tenant
            .hits
            .fetch_add(wanted - misses, Ordering::Relaxed);
        if misses > 0 {
            self.tenant.misses.fetch_add(misses, Ordering::Relaxed);
            self.await_device(&missing, patience);
            let room = self.residence.make_room(self.bytes_of(&missing));
            self.bring(&missing, room)?;
        }
        Ok(hold)
    }

    /// Whether all of the byte ranges are in memory.
    pub(crate) fn is_resident(&self, ranges: impl IntoIterator<Item = Range<usize>>) -> bool {
        count(&self.absent(ranges)) == 0
    }

    /// Tells the device which byte ranges will be held soon.
    pub(crate) fn expect(&self, ranges: impl IntoIterator<Item = Range<usize>>) {
        for run in self.runs(&self.absent(ranges)) {
            self.mapping.will_need(run);
        }
    }

    /// Brings all of the file, if there is room.
    ///
    /// # Errors
    /// [`ResidenceError`] when there is none, or the device does not give it.
    pub(crate) fn promote(&self) -> Result<(), ResidenceError> {
        let parts = self.absent(std::iter::once(0..self.mapping.bytes().len()));
        let room = self.residence.budget().reserve(self.bytes_of(&parts))?;
        self.await_device(&parts, Patience::Stand);
        self.bring(&parts, room)
    }

    /// Has all blocks leave that nobody holds and that may.
    pub(crate) fn demote(&self) {
        let _turn = self.turn.lock();
        let leaving = self.windows.iter().enumerate().map(|(window, state)| Part {
            window,
            blocks: state.visit(true),
        });
        self.unmap(&leaving.collect::<Vec<_>>());
    }

    /// The clock comes by from a window on, until `wanted` bytes have left: how many did, and the next window where it
    /// stopped before the end.
    pub(super) fn visit(&self, from: usize, wanted: u64) -> (u64, Option<usize>) {
        let turn = self.turn.try_lock();
        if turn.is_none() || self.tenant.pinned.load(Ordering::Relaxed) {
            return (0, None);
        }
        let mut leaving = vec![];
        let mut freed = 0;
        let mut stopped = None;
        for window in from..self.windows.len() {
            let blocks = self.windows[window].visit(false);
            if blocks != 0 {
                leaving.push(Part { window, blocks });
                freed += u64::from(blocks.count_ones()) * self.block_bytes as u64;
            }
            if freed >= wanted {
                stopped = Some(window + 1);
                break;
            }
        }
        self.unmap(&leaving);
        self.tenant
            .evictions
            .fetch_add(count(&leaving), Ordering::Relaxed);
        (freed, stopped)
    }

    /// The blocks of byte ranges, window by window; neighbouring parts are of different windows.
    fn parts(&self, ranges: impl IntoIterator<Item = Range<usize>>) -> Vec<Part> {
        // A page is a power of two, and a query has a range for every token that it reads: a division takes longer than all the rest.
        let shift = self.block_bytes.trailing_zeros();
        let mut parts: Vec<Part> = vec![];
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            let (first, last) = (range.start >> shift, (range.end - 1) >> shift);
            for window in first / BLOCKS..=last / BLOCKS {
                let low = first.saturating_sub(window * BLOCKS);
                let high = (last - window * BLOCKS).min(BLOCKS - 1);
                let blocks = u16::MAX << low & u16::MAX >> (BLOCKS - 1 - high);
                match parts.last_mut() {
                    Some(part) if part.window == window => part.blocks |= blocks,
                    _ => parts.push(Part { window, blocks }),
                }
            }
        }
        parts
    }

    /// The blocks of byte ranges that are not in memory.
    fn absent(&self, ranges: impl IntoIterator<Item = Range<usize>>) -> Vec<Part> {
        let mut parts = self.parts(ranges);
        for part in &mut parts {
            part.blocks &= !self.windows[part.window].resident();
        }
        parts
    }

    /// The byte ranges of some blocks, neighbours together.
    fn runs(&self, parts: &[Part]) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = vec![];
        for part in parts {
            for block in (0..BLOCKS).filter(|block| part.blocks >> block & 1 == 1) {
                let start = (part.window * BLOCKS + block) * self.block_bytes;
                let end = (start + self.block_bytes).min(self.mapping.bytes().len());
                match runs.last_mut() {
                    Some(run) if run.end == start => run.end = end,
                    _ if start < end => runs.push(start..end),
                    _ => {}
                }
            }
        }
        runs
    }

    fn bytes_of(&self, parts: &[Part]) -> Bytes {
        Bytes(count(parts) * self.block_bytes as u64)
    }

    /// Asks the device for all of it, and lets the thread do something else until it is there.
    fn await_device(&self, missing: &[Part], patience: Patience) {
        let mut runs = self.runs(missing);
        runs.retain(|run| !self.mapping.is_cached(run.clone()));
        for run in &runs {
            self.mapping.will_need(run.clone());
        }
        if patience == Patience::Stand {
            return;
        }
        for _ in 0..IDLE_TURNS {
            runs.retain(|run| !self.mapping.is_cached(run.clone()));
            if runs.is_empty() {
                break;
            }
            (self.residence.shared.idle)();
        }
    }

    /// Maps blocks, which `room` pays for.
    fn bring(&self, parts: &[Part], room: Reservation) -> Result<(), ResidenceError> {
        let turn = self.turn.lock();
        let runs = self.runs(parts);
        let populated = runs
            .iter()
            .try_for_each(|run| self.mapping.populate(run.clone()));
        if let Err(source) = populated {
            self.forget_absent_beside(&runs);
            return Err(ResidenceError::Read {
                path: self.path.clone(),
                source,
            });
        }
        let arrived = parts
            .iter()
            .map(|part| self.windows[part.window].arrive(part.blocks).count_ones());
        let came = arrived.map(u64::from).sum::<u64>();
        self.forget_absent_beside(&runs);
        self.paged.fetch_add(came, Ordering::Relaxed);
        let bytes = Bytes(came * self.block_bytes as u64);
        self.residence
            .shared
            .paged
            .fetch_add(bytes.0, Ordering::Relaxed);
        self.tenant.resident.fetch_add(bytes.0, Ordering::Relaxed);
        // Another reader may have brought some of them meanwhile: those are paid for.
        room.keep(bytes);
        drop(turn);
        Ok(())
    }

    /// Unmaps what the system has mapped beside `runs`.
    fn forget_absent_beside(&self, runs: &[Range<usize>]) {
        let mut beside: Vec<Range<usize>> = vec![];
        for reach in runs.iter().map(|run| self.mapping.reach(run.clone())) {
            match beside.last_mut() {
                Some(last) if last.start <= reach.start && reach.start <= last.end => {
                    last.end = last.end.max(reach.end);
                }
                _ => beside.push(reach),
            }
        }
        for run in self.runs(&self.absent(beside)) {
            self.mapping.forget(run);
        }
    }

    /// Unmaps blocks that nobody holds and that are marked as absent already.
    fn unmap(&self, leaving: &[Part]) {
        for run in self.runs(leaving) {
            self.mapping.forget(run);
        }
        let blocks = count(leaving);
        self.uncount(blocks);
        self.give_back(blocks);
    }

    /// So many blocks do not count as paged any more.
    fn uncount(&self, blocks: u64) {
        let bytes = blocks * self.block_bytes as u64;
        self.paged.fetch_sub(blocks, Ordering::Relaxed);
        self.residence
            .shared
            .paged
            .fetch_sub(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, blocks: u64) {
        let bytes = blocks * self.block_bytes as u64;
        self.tenant.resident.fetch_sub(bytes, Ordering::Relaxed);
        self.residence.budget().give_back(Bytes(bytes));
    }
}

fn count(parts: &[Part]) -> u64 {
    parts
        .iter()
        .map(|part| u64::from(part.blocks.count_ones()))
        .sum()
}

impl Drop for PagedFile {
    fn drop(&mut self) {
        let paged = self.paged.load(Ordering::Relaxed);
        self.uncount(paged);
        self.give_back(paged + self.kept.load(Ordering::Relaxed));
    }
}

impl Hold<'_> {
    /// Of what is in memory anyhow.
    pub(crate) fn of_nothing() -> Self {
        Self {
            file: None,
            windows: vec![],
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let Some(file) = self.file else {
            return;
        };
        for window in &self.windows {
            file.windows[*window as usize].leave();
        }
        file.residence.keep_budget();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fs_err::File;
    use proptest::prelude::*;

    use super::*;
    use crate::Budget;

    const BLOCKS_OF_FILE: usize = 70;

    struct Fixture {
        budget: Budget,
        home: Home,
        file: Arc<PagedFile>,
        content: Vec<u8>,
    }

    fn nap() {
        std::thread::sleep(Duration::from_micros(10));
    }

    fn block() -> usize {
        rustix::param::page_size()
    }

    /// A file whose first block and a half is kept, in a budget of so many blocks.
    fn fixture(blocks: usize) -> Fixture {
        let budget = Budget::new(Bytes::from(blocks * block()));
        let home = Home::new(&Residence::new(&budget, nap));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes = BLOCKS_OF_FILE * block() - 77;
        let content: Vec<u8> = (0..bytes).map(|byte| (byte / 5) as u8).collect();
        fs_err::write(&path, &content).unwrap();
        let mapping = Mapping::of(&File::open(&path).unwrap()).unwrap();
        let kept = 10..block() + block() / 2;
        let file = PagedFile::new(&path, mapping, &[kept], &home);
        Fixture {
            budget,
            home,
            file: file.unwrap(),
            content,
        }
    }

    impl Fixture {
        fn blocks(&self, blocks: Range<usize>) -> Range<usize> {
            blocks.start * block()..(blocks.end * block()).min(self.content.len())
        }

        fn hold(&self, blocks: Range<usize>) -> Hold<'_> {
            let range = self.blocks(blocks);
            let held = self.file.hold([range.clone()], Patience::Idle).unwrap();
            assert_eq!(self.file.bytes()[range.clone()], self.content[range]);
            held
        }

        fn used(&self) -> usize {
            self.budget.used().0 as usize / block()
        }

        /// How many pages of the file this process has mapped, as the system says.
        fn mapped(&self) -> usize {
            let first = self.file.bytes().as_ptr() as usize / block();
            let mut entries = vec![0; BLOCKS_OF_FILE * 8];
            let pagemap = File::open("/proc/self/pagemap").unwrap();
            let read = rustix::io::pread(&pagemap, &mut entries, first as u64 * 8);
            assert_eq!(read, Ok(BLOCKS_OF_FILE * 8));
            let present = |entry: &&[u8; 8]| u64::from_le_bytes(**entry) >> 63 == 1;
            entries.as_chunks().0.iter().filter(present).count()
        }
    }

    #[test]
    fn what_is_kept_and_held_is_there_and_counted_and_nothing_else_is() {
        let fixture = fixture(1000);
        assert_eq!((fixture.used(), fixture.mapped()), (2, 2));
        let held = fixture.hold(20..23);
        assert_eq!((fixture.used(), fixture.mapped()), (5, 5));
        drop(held);
        drop(fixture.hold(22..40));
        assert_eq!((fixture.used(), fixture.mapped()), (22, 22));
        let traffic = fixture.home.traffic();
        assert_eq!((traffic.hits, traffic.misses), (1, 20));
        assert_eq!(traffic.resident_bytes, 22 * block() as u64);
        fixture.file.demote();
        assert_eq!((fixture.used(), fixture.mapped()), (2, 2));
        let budget = fixture.budget.clone();
        drop(fixture);
        assert_eq!(budget.used(), Bytes(0));
    }

    #[test]
    fn whoever_allocates_gets_the_room_of_blocks_that_nobody_holds() {
        let fixture = fixture(12);
        let held = fixture.hold(60..65);
        drop(fixture.hold(10..15));
        assert_eq!(fixture.used(), 12);
        let buffer = fixture.budget.allocate(3 * block()).unwrap();
        assert!(fixture.used() <= 12);
        assert_eq!(fixture.used(), fixture.mapped() + 3);
        fixture.budget.allocate(6 * block()).unwrap_err();
        drop(held);
        let more = fixture.budget.allocate(6 * block()).unwrap();
        assert_eq!(fixture.used(), fixture.mapped() + 9);
        drop((buffer, more));
        assert!(fixture.home.traffic().evictions >= 7);
    }

    #[test]
    fn what_is_used_again_outlives_a_scan() {
        let fixture = fixture(20);
        for _ in 0..2 {
            drop(fixture.hold(30..34));
        }
        for first in (40..70).step_by(3) {
            drop(fixture.hold(first..first + 3));
            drop(fixture.hold(30..34));
        }
        assert!(fixture.used() <= 20);
        // Those of the first use and of the scan, and where the clock came round once between two uses.
        let misses = fixture.home.traffic().misses;
        assert!((34..=38).contains(&misses), "{misses}");
    }

    #[test]
    fn more_than_there_is_room_for_is_held_and_leaves_at_once() {
        let fixture = fixture(8);
        let held = fixture.hold(10..60);
        assert_eq!(fixture.used(), 52);
        drop(held);
        assert!(fixture.used() <= 8, "{}", fixture.used());
        assert_eq!(fixture.mapped(), fixture.used());
    }

    #[test]
    fn blocks_leave_for_what_the_process_has_and_nobody_counts() {
        let fixture = fixture(64);
        let residence = &fixture.file.residence;
        let observed = |blocks: usize| residence.observed(Bytes::from(blocks * block()));
        drop(fixture.hold(10..60));
        assert_eq!(fixture.used(), 52);
        // Ten are not counted, and four may come before the next look.
        observed(62);
        let used = fixture.used();
        assert!((35..=50).contains(&used), "{used}");
        assert_eq!(fixture.mapped(), used);
        // What comes later does not take their room, though the process has given them back.
        observed(50);
        drop(fixture.hold(60..70));
        assert!(fixture.used() <= 51, "{}", fixture.used());
        // A process that is larger than the budget leaves half of that.
        drop(fixture.hold(10..70));
        observed(1000);
        let used = fixture.used();
        assert!((17..=32).contains(&used), "{used}");
        // In the end it is forgotten, but for what may come.
        for _ in 0..10_000 {
            observed(0);
        }
        drop(fixture.hold(10..68));
        assert!((45..=60).contains(&fixture.used()), "{}", fixture.used());
    }

    #[test]
    fn what_is_pinned_does_not_leave() {
        let fixture = fixture(40);
        drop(fixture.hold(10..30));
        fixture.home.pin(true);
        fixture.budget.allocate(25 * block()).unwrap_err();
        fixture.home.pin(false);
        fixture.budget.allocate(25 * block()).unwrap();
    }

    #[test]
    fn all_of_a_file_comes_where_there_is_room() {
        let fixture = fixture(BLOCKS_OF_FILE);
        fixture.file.promote().unwrap();
        assert_eq!(fixture.mapped(), BLOCKS_OF_FILE);
        let small = self::fixture(BLOCKS_OF_FILE - 1);
        let refused = small.file.promote().unwrap_err();
        assert!(matches!(refused, ResidenceError::NoRoom(_)), "{refused}");
        assert_eq!((small.used(), small.mapped()), (2, 2));
    }

    #[test]
    fn what_the_device_does_not_give_is_refused_and_counts_nothing() {
        let fixture = fixture(1000);
        // Pages after the end of a file cannot be read, as those of a bad sector cannot.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut");
        fs_err::write(&path, &fixture.content).unwrap();
        let mapping = Mapping::of(&File::open(&path).unwrap()).unwrap();
        let cut = PagedFile::new(&path, mapping, &[], &fixture.home).unwrap();
        let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(3 * block() as u64).unwrap();
        for patience in [Patience::Idle, Patience::Stand] {
            let refused = cut
                .hold(std::iter::once(block()..9 * block()), patience)
                .unwrap_err();
            assert!(refused.to_string().contains("cut"), "{refused}");
            assert_eq!(fixture.used(), 2);
        }
        drop(
            cut.hold(std::iter::once(block()..3 * block()), Patience::Idle)
                .unwrap(),
        );
        assert_eq!(fixture.used(), 4);
    }

    #[test]
    fn threads_that_hold_and_evict_leave_what_is_counted() {
        let fixture = fixture(24);
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                let fixture = &fixture;
                scope.spawn(move || {
                    for step in 0..300 {
                        let first = (thread * 31 + step * 7) % (BLOCKS_OF_FILE - 4);
                        let held = fixture.hold(first..first + 4);
                        // Four threads hold 16 blocks at most; what is over the budget then leaves with the holds.
                        drop(held);
                        if step % 50 == 0 {
                            fixture.file.demote();
                        }
                    }
                });
            }
        });
        fixture.file.residence.keep_budget();
        assert!(fixture.used() <= 24);
        assert_eq!(fixture.mapped(), fixture.used());
    }

    proptest! {
        #[test]
        fn what_is_mapped_is_what_is_counted(
            steps in prop::collection::vec((0..4_u8, 0..BLOCKS_OF_FILE, 1..20_usize), 1..40),
            room in 2..80_usize,
        ) {
            let fixture = fixture(room);
            let mut held = vec![];
            for (step, first, count) in steps {
                match step {
                    0 => drop(fixture.hold(first..(first + count).min(BLOCKS_OF_FILE))),
                    1 => held.push(fixture.hold(first..(first + count).min(BLOCKS_OF_FILE))),
                    2 if !held.is_empty() => drop(held.swap_remove(first % held.len())),
                    _ => fixture.file.demote(),
                }
                prop_assert_eq!(fixture.mapped(), fixture.used());
                prop_assert_eq!(fixture.home.traffic().resident_bytes, fixture.budget.used().0);
                prop_assert_eq!(fixture.file.residence.staying(), Bytes::from(2 * block()));
            }
            held.clear();
            prop_assert!(fixture.used() <= room);
        }
    }
}
