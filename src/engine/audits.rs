//! Audits that nobody asked for: a share of all answers, measured after they were given, so that no caller waits for one.
//!
//! One query token of an answer is answered again on the snapshot that it was answered on, this time with its audit, by
//! one thread of its own; what is found changes later answers alone. Which answers are chosen follows from a seed and
//! their number. Where more are chosen than the thread has time for they are skipped, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::collection::attend::Attend;
use crate::index::audit::Seed;
use crate::model::Error;

/// Answers that wait for the thread; each holds on to the snapshot that it was made on.
const WAITING: usize = 16;

/// Chooses answers, and the thread that audits them; it stops when this is dropped.
#[derive(Debug)]
pub(super) struct Audits {
    share: f64,
    seed: Seed,
    answers: AtomicU64,
    skipped: AtomicU64,
    /// Made because their callers asked for it.
    asked: AtomicU64,
    /// Made by the thread.
    unasked: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    /// None while stopping.
    queue: Option<SyncSender<Attend>>,
    thread: Option<JoinHandle<()>>,
}

impl Audits {
    /// Audits a share of the answers, 0 to 1.
    pub(super) fn start(share: f64, seed: Seed) -> Result<Self, Error> {
        let (queue, waiting) = sync_channel(WAITING);
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let unasked = Arc::new(AtomicU64::new(0));
        let made = Arc::clone(&unasked);
        let builder = std::thread::Builder::new().name("audit".to_owned());
        let thread = builder.spawn(move || work(&waiting, &stop, &made));
        Ok(Self {
            share,
            seed,
            answers: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            unasked,
            stopping,
            queue: Some(queue),
            thread: Some(thread.map_err(Error::internal)?),
        })
    }

    /// Of the next answer, or of an audit that was asked for.
    pub(super) fn next_seed(&self) -> Seed {
        self.seed.of(self.answers.fetch_add(1, Ordering::Relaxed))
    }

    /// Has an answer that was given audited, if it is one of the share.
    pub(super) fn consider(&self, given: Attend) {
        if given.wants_audit() {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
        let seed = self.next_seed();
        if given.wants_audit() || given.is_exact() || !seed.is_among(self.share) {
            return;
        }
        if let Some(queue) = &self.queue
            && let Err(TrySendError::Full(_)) =
                queue.try_send(given.audited_in_one_token(seed.of(0)))
        {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were made, because their callers asked for it, and unasked.
    pub(super) fn made(&self) -> (u64, u64) {
        let unasked = self.unasked.load(Ordering::Relaxed);
        (self.asked.load(Ordering::Relaxed), unasked)
    }

    /// Chosen, and not audited for want of time.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

impl Drop for Audits {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the auditing thread panicked: a bug in the daemon");
        }
    }
}

fn work(waiting: &Receiver<Attend>, stopping: &AtomicBool, made: &AtomicU64) {
    while let Ok(attend) = waiting.recv() {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        let heads: Result<Vec<_>, Error> = attend.heads().map(|head| attend.head(head)).collect();
        match heads {
            Ok(heads) => {
                attend.learn(&heads);
                made.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(%error, "answer not audited"),
        }
    }
}
