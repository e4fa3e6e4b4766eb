//! Clustering in the background: threads of their own that seal segments, so that neither inserts nor queries wait for it.
//!
//! There are as many as cores, at a low priority: they take what queries leave, and when queries want every core, about a
//! tenth. All help to build one segment, a KV head each, before the next is begun; a layer has one in the making at a time,
//! and goes to the back of the queue after each, so a long prefill does not keep the others waiting. Between steps of a
//! head a thread looks whether the daemon stops, and whether the segment is still wanted.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::collection::{Collection, PartEnd, Sealed, Sealing, Workbench};
use crate::model::{Error, ErrorKind, Generation, LayerId, SegmentIds};

/// What the background has done since the daemon's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusteringSize {
    /// Segments put in place.
    pub built: u64,
    /// Segments that a larger one replaced.
    pub merged: u64,
    /// Built and thrown away, because a truncation or deletion came first.
    pub discarded: u64,
    /// Not built, for want of memory or disk.
    pub failed: u64,
    /// Layers that wait for a thread or have one.
    pub waiting: u64,
}

/// After the first failure of a layer; twice as long after each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// At most.
const LAST_RETRY: Duration = Duration::from_mins(1);

/// How much lower the priority of these threads is than that of the others, as `nice` counts.
const NICE: i32 = 10;
/// The lowest that there is.
const LOWEST: i32 = 19;

/// The threads and their queue; they stop when this is dropped.
#[derive(Debug)]
pub struct Background {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    queue: Mutex<Queue>,
    came: Condvar,
    /// Told whenever a job has come to an end, whatever came of it.
    ended: watch::Sender<()>,
    /// Memory that the largest segment asked for so far takes while it is built.
    largest_build: AtomicU64,
    stopping: AtomicBool,
    segments: SegmentIds,
    built: AtomicU64,
    merged: AtomicU64,
    discarded: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Layers in `jobs` that nobody waits for: one entry each is enough.
    unforced: HashSet<Key>,
    /// Layers with a segment in the making, or about to have one.
    busy: HashSet<Key>,
    /// Segments in the making that have parts to be taken.
    open: VecDeque<Arc<Open>>,
    /// Jobs that failed for want of memory or disk, and when each is tried again. One a layer.
    failed: Vec<(Instant, Job)>,
}

type Key = (Generation, LayerId);

/// A segment in the making.
#[derive(Debug)]
struct Open {
    sealing: Sealing,
    job: Job,
}

/// What a thread does next.
enum Next {
    Begin(Job),
    Help(Arc<Open>, u32),
}

#[derive(Debug)]
struct Job {
    /// A deleted collection is not kept alive by its queue.
    collection: Weak<Collection>,
    layer: LayerId,
    key: Key,
    /// In a row.
    failures: u32,
    forced: Mutex<Option<Forced>>,
}

/// Somebody waits for the tail to be clustered.
#[derive(Debug)]
struct Forced {
    length: u32,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Background {
    /// `threads` of them, 0 for one a core. Segments are numbered from after `last_segment`, which no earlier start has come
    /// to.
    pub(super) fn start(threads: usize, last_segment: u64, clock: Clock) -> Result<Self, Error> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores() } else { threads };
        let mut background = Self {
            shared: Arc::new(Shared::new(last_segment, clock)),
            threads: vec![],
        };
        for thread in 0..threads {
            let shared = Arc::clone(&background.shared);
            let builder = std::thread::Builder::new().name(format!("cluster-{thread}"));
            let handle = builder.spawn(move || shared.work());
            background.threads.push(handle.map_err(Error::internal)?);
        }
        Ok(background)
    }

    /// Has the layer clustered as far as its layout asks, some time.
    pub(super) fn schedule(&self, collection: &Arc<Collection>, layer: LayerId) {
        let build_bytes = collection.build_bytes();
        self.shared
            .largest_build
            .fetch_max(build_bytes, Ordering::Relaxed);
        self.shared.push(Job::new(collection, layer, None));
    }

    /// Has the layer's tail of now clustered, and tells when it is done.
    pub(super) fn force(
        &self,
        collection: &Arc<Collection>,
        layer: LayerId,
        length: u32,
    ) -> oneshot::Receiver<Result<(), Error>> {
        let (done, wait) = oneshot::channel();
        self.shared
            .push(Job::new(collection, layer, Some(Forced { length, done })));
        wait
    }

    /// Names segments.
    pub(super) fn segment_ids(&self) -> &SegmentIds {
        &self.shared.segments
    }

    /// Has everything that failed for want of room tried again now: there may be some.
    pub(super) fn retry(&self) {
        self.shared.retry();
    }

    /// Is told whenever a job has come to an end.
    pub(super) fn ended(&self) -> watch::Receiver<()> {
        self.shared.ended.subscribe()
    }

    /// Whether segments are being built, or are about to be. What failed for want of room waits, and does not count.
    pub(super) fn gets_on(&self) -> bool {
        let queue = self.shared.queue.lock();
        !(queue.jobs.is_empty() && queue.busy.is_empty())
    }

    /// Layers whose last segment was not built, for want of memory or disk, and is to be tried again.
    pub(super) fn waiting_for_room(&self) -> usize {
        self.shared.queue.lock().failed.len()
    }

    /// Memory to leave free, so that segments can be built.
    pub(super) fn build_bytes(&self) -> u64 {
        self.shared.largest_build.load(Ordering::Relaxed)
    }

    pub(super) fn size(&self) -> ClusteringSize {
        let shared = &self.shared;
        let queue = shared.queue.lock();
        ClusteringSize {
            built: shared.built.load(Ordering::Relaxed),
            merged: shared.merged.load(Ordering::Relaxed),
            discarded: shared.discarded.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
            waiting: (queue.jobs.len() + queue.busy.len()) as u64,
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        {
            // Under the lock, or a thread between its check and its wait would miss it.
            let _queue = self.shared.queue.lock();
            self.shared.came.notify_all();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a clustering thread panicked: a bug in the daemon");
            }
        }
    }
}

impl Job {
    fn new(collection: &Arc<Collection>, layer: LayerId, forced: Option<Forced>) -> Self {
        let key = (collection.generation(), layer);
        Self {
            collection: Arc::downgrade(collection),
            layer,
            key,
            failures: 0,
            forced: Mutex::new(forced),
        }
    }

    fn finish(&self, result: Result<(), Error>) {
        if let Some(Forced { done, .. }) = self.forced.lock().take() {
            // A caller that has gone away no longer wants it.
            let _ = done.send(result);
        }
    }
}

impl Shared {
    fn new(last_segment: u64, clock: Clock) -> Self {
        Self {
            clock,
            queue: Mutex::default(),
            came: Condvar::new(),
            ended: watch::Sender::default(),
            largest_build: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            segments: SegmentIds::after(last_segment),
            built: AtomicU64::new(0),
            merged: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn push(&self, job: Job) {
        let mut queue = self.queue.lock();
        queue.push(job);
        self.came.notify_one();
    }

    fn retry(&self) {
        let mut queue = self.queue.lock();
        for (_, job) in std::mem::take(&mut queue.failed) {
            queue.push(job);
        }
        self.came.notify_all();
    }

    fn work(&self) {
        lower_priority();
        let mut bench = Workbench::default();
        while let Some(next) = self.next(&mut bench) {
            match next {
                Next::Begin(job) => self.begin(job),
                Next::Help(open, part) => self.help(&open, part, &mut bench),
            }
        }
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn next(&self, bench: &mut Workbench) -> Option<Next> {
        let mut queue = self.queue.lock();
        loop {
            if self.stopping() {
                return None;
            }
            let now = self.clock.now();
            queue.take_up_failed(now);
            if let Some(next) = queue.next() {
                return Some(next);
            }
            // Memory that nobody needs now.
            *bench = Workbench::default();
            match queue.next_retry() {
                Some(at) => {
                    let wait = at.saturating_duration_since(now);
                    self.came.wait_for(&mut queue, wait);
                }
                None => self.came.wait(&mut queue),
            }
        }
    }

    /// Begins a segment of a layer, if the layout asks for one.
    fn begin(&self, job: Job) {
        let Some(collection) = job.collection.upgrade() else {
            let gone = "the collection was deleted before its tail was clustered";
            self.done(&job);
            return job.finish(Err(Error::new(ErrorKind::NotFound, gone)));
        };
        let forced = job.forced.lock().as_ref().map(|forced| forced.length);
        let layer = collection.layer(job.layer);
        match layer.and_then(|layer| layer.begin_seal(forced)) {
            Ok(Some(sealing)) => {
                let open = Arc::new(Open { sealing, job });
                self.queue.lock().open.push_back(open);
                self.came.notify_all();
            }
            Ok(None) => {
                self.done(&job);
                job.finish(Ok(()));
            }
            Err(error) => self.fail(&collection, &job, error),
        }
    }

    /// Builds a part of a segment, and puts the segment in place if that was the last.
    fn help(&self, open: &Open, part: u32, bench: &mut Workbench) {
        let wanted = || {
            let collection = open.job.collection.upgrade();
            collection.is_some_and(|collection| {
                let layer = collection.layer(open.job.layer);
                layer.is_ok_and(|layer| layer.still_has(&open.sealing))
            })
        };
        let end = open
            .sealing
            .build(part, bench, &|| !self.stopping() && wanted());
        let end = if matches!(end, PartEnd::Stopped) && !wanted() {
            PartEnd::Discarded
        } else {
            end
        };
        if open.sealing.give_back(part, end) {
            self.conclude(open);
        }
    }

    /// Puts a segment in place; puts the job back when there may be more.
    fn conclude(&self, Open { sealing, job }: &Open) {
        let Some(collection) = job.collection.upgrade() else {
            let gone = "the collection was deleted while its tail was clustered";
            self.done(job);
            return job.finish(Err(Error::new(ErrorKind::NotFound, gone)));
        };
        let id = self.segments.next();
        let layer = collection.layer(job.layer);
        match layer.and_then(|layer| layer.conclude(id, sealing)) {
            Ok(Sealed::Built { range, merged }) => {
                self.built.fetch_add(1, Ordering::Relaxed);
                self.merged.fetch_add(merged as u64, Ordering::Relaxed);
                // Its tail has left room for others.
                self.retry();
                tracing::debug!(collection = %collection.name(), layer = %job.layer, %range, merged, "segment sealed");
                self.again(job);
            }
            Ok(Sealed::Discarded) => {
                self.discarded.fetch_add(1, Ordering::Relaxed);
                self.again(job);
            }
            Err(error) => self.fail(&collection, job, error),
        }
    }

    fn fail(&self, collection: &Collection, job: &Job, error: Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(collection = %collection.name(), layer = %job.layer, %error, "segment not built");
        let again = matches!(
            error.kind(),
            ErrorKind::ResourceExhausted | ErrorKind::Unavailable
        );
        self.done(job);
        job.finish(Err(error));
        if again {
            let wait = FIRST_RETRY.saturating_mul(1 << job.failures.min(6));
            let at = self.clock.now() + wait.min(LAST_RETRY);
            self.queue.lock().try_again(at, job);
            // Somebody has to wait for that long.
            self.came.notify_one();
        }
    }

    /// The layer may be clustered again.
    fn done(&self, job: &Job) {
        self.queue.lock().busy.remove(&job.key);
        // Another job of the layer may have waited for that.
        self.came.notify_one();
        self.ended.send_replace(());
    }

    /// The same, and there may be more to do.
    fn again(&self, job: &Job) {
        let next = Job {
            collection: Weak::clone(&job.collection),
            layer: job.layer,
            key: job.key,
            failures: 0,
            forced: Mutex::new(job.forced.lock().take()),
        };
        let mut queue = self.queue.lock();
        queue.busy.remove(&job.key);
        queue.push(next);
        self.came.notify_one();
        drop(queue);
        self.ended.send_replace(());
    }
}

impl Queue {
    fn push(&mut self, job: Job) {
        let forced = job.forced.lock().is_some();
        // A layer that failed for want of room waits for its next try, whatever else is inserted.
        if !forced && self.failed.iter().any(|(_, failed)| failed.key == job.key) {
            return;
        }
        if forced || self.unforced.insert(job.key) {
            self.jobs.push_back(job);
        }
    }

    fn try_again(&mut self, at: Instant, job: &Job) {
        let again = Job {
            collection: Weak::clone(&job.collection),
            layer: job.layer,
            key: job.key,
            failures: job.failures + 1,
            forced: Mutex::default(),
        };
        self.failed.retain(|(_, other)| other.key != job.key);
        self.failed.push((at, again));
    }

    fn next_retry(&self) -> Option<Instant> {
        self.failed.iter().map(|(at, _)| *at).min()
    }

    fn take_up_failed(&mut self, now: Instant) {
        let due = self.failed.extract_if(.., |(at, _)| *at <= now);
        for (_, job) in due.collect::<Vec<_>>() {
            self.push(job);
        }
    }

    fn next(&mut self) -> Option<Next> {
        while let Some(open) = self.open.front() {
            if let Some(part) = open.sealing.take() {
                return Some(Next::Help(Arc::clone(open), part));
            }
            self.open.pop_front();
        }
        let free = |job: &Job| !self.busy.contains(&job.key);
        let at = self.jobs.iter().position(free)?;
        let job = self.jobs.remove(at)?;
        self.busy.insert(job.key);
        if job.forced.lock().is_none() {
            self.unforced.remove(&job.key);
        }
        Some(Next::Begin(job))
    }
}

/// Of this thread alone: Linux has a priority for each.
pub(super) fn lower_priority() {
    let lowered = rustix::process::getpriority_process(None)
        .and_then(|now| rustix::process::setpriority_process(None, (now + NICE).min(LOWEST)));
    if let Err(error) = lowered {
        tracing::warn!(%error, "background threads keep the priority of the others");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::sample;
    use crate::model::{IndexParameters, NewTokens};

    #[test]
    fn a_stop_does_not_wait_for_the_segment_in_the_making() {
        const TOKENS: u32 = 17_000;
        let parameters = IndexParameters {
            segment_tokens: 16_384,
            ..IndexParameters::DEFAULT
        };
        let collection = Arc::new(sample::of_one_layer(8, 64, parameters));
        let numbers = (0..TOKENS * 8 * 64).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as u16);
        let bytes: Vec<u8> = numbers
            .flat_map(|x| (0x3f00 | x & 0xff).to_le_bytes())
            .collect();
        let layer = collection.layer(LayerId(0)).unwrap();
        let new = NewTokens {
            start: 0,
            tokens: TOKENS,
            keys: bytes.clone().into(),
            values: bytes.into(),
        };
        layer.insert(&new, u32::MAX).unwrap();

        let background = Background::start(2, 0, Clock::start()).unwrap();
        background.schedule(&collection, LayerId(0));
        loop {
            let queue = background.shared.queue.lock();
            if let Some(open) = queue.open.front()
                && let Some(part) = open.sealing.take()
            {
                // From here on nobody takes a part.
                background.shared.stopping.store(true, Ordering::SeqCst);
                open.sealing.give_back(part, PartEnd::Stopped);
                break;
            }
            drop(queue);
            std::thread::yield_now();
        }
        drop(background);
        assert!(layer.snapshot().segments().is_empty());

        // Nothing of it is left behind: the next one builds the segment.
        let background = Background::start(2, 0, Clock::start()).unwrap();
        let done = background.force(&collection, LayerId(0), TOKENS);
        done.blocking_recv().unwrap().unwrap();
        assert_eq!(background.size().waiting, 0);
        assert_eq!(layer.snapshot().segment_ranges().len(), 2);
    }
}
