//! Verify: whether collections are what they were, each on a thread of its own at a low priority, so that no query waits for
//! it. What is found is told as it is found, and a collection that is damaged is refused from then on, as a start would
//! refuse it; what cannot be read for now is told and nothing more.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use wavekv_storage::segment::Columns;

use crate::collection::{Collection, Finding, Report};
use crate::engine::Engine;
use crate::engine::background::lower_priority;
use crate::model::{CollectionName, Error, ErrorKind, Generation};

/// Verifications at once: each has a thread and reads the disk.
const AT_ONCE: usize = 2;
/// What waits for the caller to take it.
const WAITING: usize = 16;
/// Bytes between two words of progress.
const PROGRESS_BYTES: u64 = 16 << 20;
/// Until a caller is asked again whether it takes more.
const NAP: Duration = Duration::from_millis(10);
/// How often it is, before it is given up: a minute.
const NAPS: u32 = 6000;

/// Those that run.
#[derive(Debug, Default)]
pub(super) struct Verifications {
    running: AtomicUsize,
    stopping: AtomicBool,
}

/// How far a verification is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The collection that is looked at; none when all were.
    pub collection: Option<CollectionName>,
    /// Collections that were looked at.
    pub collections: u64,
    /// Of so many.
    pub all_collections: u64,
    /// Bytes that were looked at, of disk and of memory.
    pub bytes: u64,
    /// Of about so many.
    pub all_bytes: u64,
    /// What was found.
    pub findings: u64,
}

/// What a verification tells.
#[derive(Clone, Debug)]
pub enum Told {
    /// How far it is; the last word too.
    Progress(Progress),
    /// What it has found of a collection.
    Found(CollectionName, Generation, Box<Finding>),
}

/// What comes of a verification; it ends when this is dropped.
pub type Telling = Receiver<Result<Told, Error>>;

impl Engine {
    /// Verifies a collection, or all there are now.
    ///
    /// # Errors
    /// As [`Engine::find`]; `ResourceExhausted` when too many verifications run, `Internal` when the system gives no thread.
    pub fn verify(
        self: &Arc<Self>,
        one: Option<(CollectionName, Option<Generation>)>,
    ) -> Result<Telling, Error> {
        let wanted = match one {
            Some((name, generation)) => vec![self.find(&name, generation)?],
            None => self.registry.all(),
        };
        let running = Running::begin(self)?;
        let (telling, told) = channel(WAITING);
        let mut verification = Verification {
            progress: Progress {
                all_collections: wanted.len() as u64,
                all_bytes: wanted.iter().map(|one| one.verified_bytes()).sum(),
                ..Progress::default()
            },
            telling,
            unsaid: 0,
            abandoned: false,
            looked_at: None,
            first: None,
            shared: vec![],
            running,
        };
        // By name, so that none is kept from being deleted until its turn comes.
        let names = wanted
            .iter()
            .map(|one| (one.name().clone(), one.generation()));
        let names: Vec<(CollectionName, Generation)> = names.collect();
        let builder = std::thread::Builder::new().name("verify".to_owned());
        let begun = builder.spawn(move || {
            lower_priority();
            if verification.all(&names).is_break() {
                verification.say_why();
            }
        });
        begun.map_err(Error::internal)?;
        Ok(told)
    }

    /// Has verifications end early, since the daemon is to end.
    pub fn stop_verifying(&self) {
        self.verifications.stopping.store(true, Ordering::SeqCst);
    }

    /// Refuses a collection from now on, as a start would that finds it so; those of its calls that are in progress end on
    /// what they have.
    fn quarantine(&self, collection: &Collection, error: &Error) {
        if collection.refusal().is_some() {
            return;
        }
        let refused = Arc::new(collection.refused(error));
        tracing::error!(collection = %refused.name(), %error, "collection refused from now on");
        self.registry.replace(refused);
    }
}

/// One of the verifications that run, until it is dropped.
struct Running(Arc<Engine>);

impl Running {
    fn begin(engine: &Arc<Engine>) -> Result<Self, Error> {
        let running = &engine.verifications.running;
        let begun = running.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |running| {
            (running < AT_ONCE).then_some(running + 1)
        });
        if begun.is_err() {
            let message = format!("{AT_ONCE} verifications run: expected one of them to end first");
            return Err(Error::new(ErrorKind::ResourceExhausted, message));
        }
        Ok(Self(Arc::clone(engine)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.verifications.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A verification and whoever asked for it.
struct Verification {
    progress: Progress,
    telling: Sender<Result<Told, Error>>,
    /// Bytes since the last word.
    unsaid: u64,
    /// Nobody takes what it tells.
    abandoned: bool,
    /// The collection that is looked at.
    looked_at: Option<(CollectionName, Generation)>,
    /// The first damage of it that was found.
    first: Option<Error>,
    /// Its segments that are not as they were, and why.
    shared: Vec<(Arc<Columns>, Error)>,
    running: Running,
}

impl Verification {
    fn engine(&self) -> &Engine {
        &self.running.0
    }

    fn is_stopping(&self) -> bool {
        self.engine().verifications.stopping.load(Ordering::SeqCst)
    }

    fn all(&mut self, names: &[(CollectionName, Generation)]) -> ControlFlow<()> {
        for (name, generation) in names {
            // One that was deleted meanwhile is nobody's concern.
            if let Ok(collection) = self.engine().find(name, Some(*generation)) {
                self.looked_at = Some((name.clone(), *generation));
                self.progress.collection = Some(name.clone());
                let ended = collection.verify(self);
                self.conclude(&collection);
                ended?;
            }
            self.progress.collections += 1;
        }
        self.progress.collection = None;
        self.progress.all_bytes = self.progress.bytes;
        self.say(Ok(Told::Progress(self.progress.clone())))
    }

    /// Refuses a collection that was found damaged, and those that share what is.
    fn conclude(&mut self, collection: &Collection) {
        let Some(error) = self.first.take() else {
            return;
        };
        let shared = std::mem::take(&mut self.shared);
        let engine = self.engine();
        engine.quarantine(collection, &error);
        if shared.is_empty() {
            return;
        }
        let namespace = Some(collection.name().namespace());
        for other in engine.list(namespace, "", None, usize::MAX) {
            let damaged = shared
                .iter()
                .find(|(columns, _)| other.has_columns(columns));
            if let Some((_, error)) = damaged {
                engine.quarantine(&other, error);
            }
        }
    }

    /// Tells it when the caller takes it; broken off where nobody does, or where the daemon stops.
    fn say(&self, what: Result<Told, Error>) -> ControlFlow<()> {
        let mut what = what;
        for _ in 0..NAPS {
            if self.is_stopping() {
                return ControlFlow::Break(());
            }
            match self.telling.try_send(what) {
                Ok(()) => return ControlFlow::Continue(()),
                Err(TrySendError::Closed(_)) => return ControlFlow::Break(()),
                Err(TrySendError::Full(back)) => what = back,
            }
            std::thread::sleep(NAP);
        }
        ControlFlow::Break(())
    }

    /// Why it was broken off, for a caller that is there.
    fn say_why(&self) {
        let why = if self.is_stopping() {
            "the daemon is stopping"
        } else {
            "nobody took what was found for a minute"
        };
        let at = self.progress.collections;
        let all = self.progress.all_collections;
        let message = format!("{why}: {at} of {all} collections were verified");
        let error = Error::new(ErrorKind::Unavailable, message);
        // There may be no room for it, or nobody.
        let _ = self.telling.try_send(Err(error));
    }
}

impl Report for Verification {
    fn looked_at(&mut self, bytes: u64) -> ControlFlow<()> {
        self.progress.bytes += bytes;
        self.unsaid += bytes;
        if self.abandoned || self.is_stopping() || self.telling.is_closed() {
            return ControlFlow::Break(());
        }
        if self.unsaid >= PROGRESS_BYTES {
            self.unsaid = 0;
            // Who is slow hears of the next.
            let _ = self
                .telling
                .try_send(Ok(Told::Progress(self.progress.clone())));
        }
        ControlFlow::Continue(())
    }

    fn found(&mut self, finding: Finding) {
        self.progress.findings += 1;
        let Some((name, generation)) = self.looked_at.clone() else {
            return;
        };
        tracing::error!(collection = %name, error = %finding.error, "verification: not as it was");
        // What could not be read now may be there later.
        if finding.error.kind() == ErrorKind::DataLoss {
            self.first.get_or_insert_with(|| finding.error.clone());
            let columns = finding.shared.iter();
            let shared = columns.map(|columns| (Arc::clone(columns), finding.error.clone()));
            self.shared.extend(shared);
        }
        let told = Told::Found(name, generation, Box::new(finding));
        self.abandoned |= self.say(Ok(told)).is_break();
    }
}
