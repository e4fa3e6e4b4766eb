//! Snapshots and restores: made by one thread of their own at a low priority, one after the other, so that neither queries nor the threads of
//! the network wait for them. A call that nobody waits for any more is given up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use wavekv_storage::store::snapshots::{Listed, Snapshots};

use crate::collection::Collection;
use crate::collection::snapshots::{Described, Progress, Restore, Watch};
use crate::engine::Engine;
use crate::engine::activity::{Tally, Tried};
use crate::engine::background::lower_priority;
use crate::model::{CollectionName, Error, ErrorKind, Generation, SnapshotName};

/// Calls that wait for the thread.
const WAITING: usize = 64;
/// Steps that a slow caller has not been told of; of more it is told later ones.
const UNTOLD: usize = 8;

type Job = Box<dyn FnOnce() + Send>;

/// The directory of snapshots, and the thread.
#[derive(Debug)]
pub(super) struct Archive {
    snapshots: Option<Snapshots>,
    made: Arc<Tally>,
    restored: Tally,
    stopping: Arc<AtomicBool>,
    /// None after the stop.
    at_work: Mutex<Option<(SyncSender<Job>, JoinHandle<()>)>>,
}

/// A snapshot or a restore that has been begun. Dropped, it is given up.
#[derive(Debug)]
pub struct Begun<T> {
    /// How far it is.
    pub progress: mpsc::Receiver<Progress>,
    /// What it comes to.
    pub end: oneshot::Receiver<Result<T, Error>>,
}

/// A snapshot that is there.
#[derive(Debug)]
pub struct Snapshot {
    /// What it is called.
    pub name: String,
    /// Seconds since 1970 by the clock of the file system; 0 where that does not say.
    pub made_at: u64,
    /// What it has, or why that cannot be told.
    pub described: Result<Described, Error>,
}

impl Archive {
    pub(super) fn start(snapshots: Option<Snapshots>) -> Result<Self, Error> {
        let (queue, waiting) = sync_channel(WAITING);
        let builder = std::thread::Builder::new().name("snapshots".to_owned());
        let thread = builder.spawn(move || work(&waiting));
        let thread = thread.map_err(Error::internal)?;
        Ok(Self {
            snapshots,
            made: Arc::default(),
            restored: Tally::default(),
            stopping: Arc::default(),
            at_work: Mutex::new(Some((queue, thread))),
        })
    }

    /// Snapshots and restores.
    pub(super) fn tried(&self) -> (Tried, Tried) {
        (self.made.tried(), self.restored.tried())
    }

    /// The directory.
    fn snapshots(&self) -> Result<&Snapshots, Error> {
        self.snapshots.as_ref().ok_or_else(|| {
            let message = "storage.snapshot_dir is \"\": expected the path of a directory for snapshots in the settings of the \
                 daemon";
            Error::new(ErrorKind::FailedPrecondition, message)
        })
    }

    /// Has `work` done on the thread, which is told how to say how far it is.
    fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Watch<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<Begun<T>, Error> {
        let (tell, progress) = mpsc::channel(UNTOLD);
        let (answer, end) = oneshot::channel();
        let stopping = Arc::clone(&self.stopping);
        let job = move || {
            let mut watch = |progress| {
                let wanted = !stopping.load(Ordering::SeqCst) && !tell.is_closed();
                // Whoever is slow is told of a later step.
                let _ = tell.try_send(progress);
                wanted
            };
            // A caller that has gone away no longer wants it.
            let _ = answer.send(work(&mut watch));
        };
        self.send(Box::new(job))?;
        Ok(Begun { progress, end })
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        let at_work = self.at_work.lock();
        let sent = at_work.as_ref().map(|(queue, _)| queue.try_send(job));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => {
                let message = format!(
                    "{WAITING} snapshots and restores wait: expected some of them to be done first"
                );
                Err(Error::new(ErrorKind::ResourceExhausted, message))
            }
            Some(Err(TrySendError::Disconnected(_))) | None => {
                Err(Error::new(ErrorKind::Unavailable, "the daemon is stopping"))
            }
        }
    }

    /// Gives up what is in progress, and waits for that.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let at_work = self.at_work.lock().take();
        if let Some((queue, thread)) = at_work {
            drop(queue);
            if thread.join().is_err() {
                tracing::error!("the thread of snapshots panicked: a bug in the daemon");
            }
        }
    }
}

fn work(waiting: &Receiver<Job>) {
    lower_priority();
    while let Ok(job) = waiting.recv() {
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a snapshot or restore panicked: a bug in the daemon");
        }
    }
}

impl Engine {
    /// Begins a snapshot of a collection as it is when its turn comes.
    ///
    /// # Errors
    /// As [`Engine::find`]; `FailedPrecondition` without `storage.snapshot_dir`, `ResourceExhausted` when too many wait. Later,
    /// as [`Collection::take_snapshot`].
    pub fn take_snapshot(
        &self,
        (name, generation): (&CollectionName, Option<Generation>),
        snapshot: SnapshotName,
    ) -> Result<Begun<Snapshot>, Error> {
        let snapshots = self.archive.snapshots()?.clone();
        let collection = self.find(name, generation)?;
        let made = Arc::clone(&self.archive.made);
        self.archive.begin(move |watch| {
            let taken = collection.take_snapshot(&snapshots, &snapshot, watch);
            made.count(&taken);
            taken?;
            tracing::info!(collection = %collection.name(), %snapshot, "snapshot made");
            Ok(Snapshot::of(snapshots.look(snapshot.as_str())))
        })
    }

    /// Begins to make a collection of a snapshot, under its own name where none is given.
    ///
    /// # Errors
    /// `FailedPrecondition` without `storage.snapshot_dir`, `ResourceExhausted` when too many wait. Later, `NotFound` when there
    /// is no such snapshot, `AlreadyExists` when the name of the collection is taken, and as [`Restore::run`].
    pub fn restore(
        self: &Arc<Self>,
        snapshot: SnapshotName,
        name: Option<CollectionName>,
    ) -> Result<Begun<Arc<Collection>>, Error> {
        let snapshots = self.archive.snapshots()?.clone();
        let engine = Arc::clone(self);
        self.archive.begin(move |watch| {
            let restored = engine.restore_now(&snapshots, &snapshot, name, watch);
            engine.archive.restored.count(&restored);
            restored
        })
    }

    fn restore_now(
        &self,
        snapshots: &Snapshots,
        snapshot: &SnapshotName,
        name: Option<CollectionName>,
        watch: &mut Watch<'_>,
    ) -> Result<Arc<Collection>, Error> {
        let saved = snapshots.open(snapshot.as_str())?;
        let described = Described::of(&saved)?;
        let name = name.unwrap_or_else(|| described.name.clone());
        self.registry.check_free(&name)?;
        let restore = Restore {
            saved: &saved,
            described,
            name,
            generation: self.next_generation(),
            kernels: self.kernels,
            budget: self.budget.clone(),
            store: &self.store,
            segments: self.background.segment_ids(),
        };
        let restored = self.told_if_full(restore.run(watch))?;
        let collection = self.added(restored)?;
        self.cluster_where_due(&collection);
        tracing::info!(collection = %collection.name(), %snapshot, "snapshot restored");
        Ok(collection)
    }

    /// At most `limit` snapshots in order of name, of those whose names come after `after`. Call it on the compute pool.
    ///
    /// # Errors
    /// `FailedPrecondition` without `storage.snapshot_dir`; `Unavailable` when that cannot be read.
    pub fn list_snapshots(
        &self,
        after: Option<&SnapshotName>,
        limit: usize,
    ) -> Result<Vec<Snapshot>, Error> {
        let snapshots = self.archive.snapshots()?;
        let found = snapshots.list(after.map(SnapshotName::as_str), limit)?;
        Ok(found.into_iter().map(Snapshot::of).collect())
    }

    /// Begins to remove a snapshot. What was restored from it stays.
    ///
    /// # Errors
    /// `FailedPrecondition` without `storage.snapshot_dir`, `ResourceExhausted` when too many wait. Later, `NotFound` when there
    /// is none; `Unavailable` when the disk does not work.
    pub fn delete_snapshot(&self, snapshot: SnapshotName) -> Result<Begun<()>, Error> {
        let snapshots = self.archive.snapshots()?.clone();
        self.archive.begin(move |_| {
            snapshots.remove(snapshot.as_str())?;
            tracing::info!(%snapshot, "snapshot removed");
            Ok(())
        })
    }

    /// Gives up the snapshots and restores in progress: nothing of them stays. No further one is begun.
    pub fn stop_snapshots(&self) {
        self.archive.stop();
    }

    /// Removes what an earlier process left behind that was stopped within a snapshot.
    pub(super) fn sweep_snapshots(&self) {
        let Some(snapshots) = &self.archive.snapshots else {
            return;
        };
        match snapshots.sweep() {
            Ok(swept) if swept.removed > 0 => {
                tracing::info!(snapshots = swept.removed, "removed what is no snapshot");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "what is no snapshot was not looked for"),
        }
    }
}

impl Snapshot {
    fn of(listed: Listed) -> Self {
        let described = listed.saved.map_err(Error::from);
        let since_1970 = listed
            .made
            .and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok());
        Self {
            name: listed.name,
            made_at: since_1970.map_or(0, |made| made.as_secs()),
            described: described.and_then(|saved| Described::of(&saved)),
        }
    }
}
