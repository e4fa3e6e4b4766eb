//! Clustering in the background: threads of their own that seal segments layer by layer, so that neither inserts nor
//! queries wait for it.
//!
//! A layer always goes to the same thread, so no layer is built twice at once; after each segment it goes to the back of
//! the queue, so a long prefill does not keep the others waiting.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::collection::{Collection, Sealed};
use crate::model::{Error, ErrorKind, Generation, LayerId, SegmentId};

/// What the background has done since the daemon's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusteringSize {
    /// Segments put in place.
    pub built: u64,
    /// Segments that a larger one replaced.
    pub merged: u64,
    /// Built and thrown away, because a truncation or deletion came first.
    pub discarded: u64,
    /// Not built, for want of memory.
    pub failed: u64,
    /// Layers that wait for a thread or have one.
    pub waiting: u64,
}

/// The threads and their queues; they stop when this is dropped.
#[derive(Debug)]
pub struct Background {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    queues: Vec<Queue>,
    stopping: AtomicBool,
    segments: AtomicU64,
    built: AtomicU64,
    merged: AtomicU64,
    discarded: AtomicU64,
    failed: AtomicU64,
    running: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Layers in `jobs` that nobody waits for: one entry each is enough.
    unforced: HashSet<(Generation, LayerId)>,
}

#[derive(Debug)]
struct Job {
    /// A deleted collection is not kept alive by its queue.
    collection: Weak<Collection>,
    layer: LayerId,
    key: (Generation, LayerId),
    forced: Option<Forced>,
}

/// Somebody waits for the tail to be clustered.
#[derive(Debug)]
struct Forced {
    length: u32,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Background {
    pub(super) fn start(threads: usize) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            queues: (0..threads.max(1)).map(|_| Queue::default()).collect(),
            stopping: AtomicBool::new(false),
            segments: AtomicU64::new(0),
            built: AtomicU64::new(0),
            merged: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            running: AtomicUsize::new(0),
        });
        let mut background = Self {
            shared,
            threads: vec![],
        };
        for thread in 0..background.shared.queues.len() {
            let shared = Arc::clone(&background.shared);
            let builder = std::thread::Builder::new().name(format!("cluster-{thread}"));
            let handle = builder.spawn(move || shared.work(&shared.queues[thread]));
            background.threads.push(handle.map_err(Error::internal)?);
        }
        Ok(background)
    }

    /// Has the layer clustered as far as its layout asks, some time.
    pub(super) fn schedule(&self, collection: &Arc<Collection>, layer: LayerId) {
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

    pub(super) fn size(&self) -> ClusteringSize {
        let shared = &self.shared;
        // Waiting before running: a job on its way from one to the other is counted twice rather than not at all.
        let queued: usize = shared
            .queues
            .iter()
            .map(|queue| queue.waiting.lock().jobs.len())
            .sum();
        let running = shared.running.load(Ordering::SeqCst);
        ClusteringSize {
            built: shared.built.load(Ordering::Relaxed),
            merged: shared.merged.load(Ordering::Relaxed),
            discarded: shared.discarded.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
            waiting: (queued + running) as u64,
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for queue in &self.shared.queues {
            // Under the lock, or a thread between its check and its wait would miss it.
            let _waiting = queue.waiting.lock();
            queue.came.notify_all();
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
            forced,
        }
    }

    fn finish(self, result: Result<(), Error>) {
        if let Some(Forced { done, .. }) = self.forced {
            // A caller that has gone away no longer wants it.
            let _ = done.send(result);
        }
    }
}

impl Shared {
    fn push(&self, job: Job) {
        let mut hasher = DefaultHasher::new();
        job.key.hash(&mut hasher);
        let queue = &self.queues[(hasher.finish() % self.queues.len() as u64) as usize];
        let mut waiting = queue.waiting.lock();
        if job.forced.is_none() && !waiting.unforced.insert(job.key) {
            return;
        }
        waiting.jobs.push_back(job);
        queue.came.notify_one();
    }

    fn work(&self, queue: &Queue) {
        while let Some(job) = self.next(queue) {
            self.run(job);
            self.running.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn next(&self, queue: &Queue) -> Option<Job> {
        let mut waiting = queue.waiting.lock();
        loop {
            if self.stopping.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(job) = waiting.jobs.pop_front() {
                if job.forced.is_none() {
                    waiting.unforced.remove(&job.key);
                }
                self.running.fetch_add(1, Ordering::SeqCst);
                return Some(job);
            }
            queue.came.wait(&mut waiting);
        }
    }

    /// Builds one segment; puts the job back when there may be more.
    fn run(&self, job: Job) {
        let Some(collection) = job.collection.upgrade() else {
            let gone = "the collection was deleted before its tail was clustered";
            return job.finish(Err(Error::new(ErrorKind::NotFound, gone)));
        };
        let id = SegmentId(self.segments.fetch_add(1, Ordering::Relaxed) + 1);
        let forced = job.forced.as_ref().map(|forced| forced.length);
        let sealed = collection
            .layer(job.layer)
            .and_then(|layer| layer.seal_next(id, forced));
        match sealed {
            Ok(Sealed::Nothing) => job.finish(Ok(())),
            Ok(Sealed::Built { range, merged }) => {
                self.built.fetch_add(1, Ordering::Relaxed);
                self.merged.fetch_add(merged as u64, Ordering::Relaxed);
                tracing::debug!(collection = %collection.name(), layer = %job.layer, %range, merged, "segment sealed");
                self.push(job);
            }
            Ok(Sealed::Discarded) => {
                self.discarded.fetch_add(1, Ordering::Relaxed);
                self.push(job);
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(collection = %collection.name(), layer = %job.layer, %error, "segment not built");
                job.finish(Err(error));
            }
        }
    }
}
