//! A client, as all who work for it see it: its memory, its socket, and how many of its calls are in progress.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use wavekv_shm::line::{Alarm, Line};
use wavekv_shm::ring::{self, BrokenRing, Sender, Sleep};
use wavekv_shm::{Completion, Memory};

use crate::engine::Reserved;

/// What a client takes up, until the last who holds it is done.
#[derive(Debug)]
#[expect(dead_code, reason = "counted while they live")]
pub(super) struct Held {
    /// Its arena in `memory.budget`.
    pub(super) reserved: Reserved,
    /// Among `shm.max_connections`.
    pub(super) place: OwnedSemaphorePermit,
}

/// A client.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) memory: Arc<Memory>,
    pub(super) line: Line,
    /// Wakes the client's thread.
    pub(super) alarm: Alarm,
    pub(super) boot_epoch: u64,
    completions: Mutex<Sender<Arc<Memory>>>,
    sleep: Sleep<Arc<Memory>>,
    /// Taken and not completed.
    in_progress: AtomicU64,
    /// Of these, those that may have copies of tensors.
    computing: AtomicU64,
    /// Whether the thread waits for a call to end.
    awaited: AtomicBool,
    /// Why the client can be told nothing more.
    fault: OnceLock<String>,
    _held: Held,
}

impl Peer {
    pub(super) fn new(
        memory: Memory,
        socket: UnixStream,
        boot_epoch: u64,
        held: Held,
    ) -> io::Result<Self> {
        let memory = Arc::new(memory);
        let completions = ring::completer(Arc::clone(&memory), memory.layout());
        Ok(Self {
            line: Line::new(socket),
            alarm: Alarm::new()?,
            boot_epoch,
            completions: Mutex::new(completions),
            sleep: Sleep::of_client(Arc::clone(&memory)),
            memory,
            in_progress: AtomicU64::new(0),
            computing: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            fault: OnceLock::new(),
            _held: held,
        })
    }

    /// Calls that the client cannot have submitted any more of.
    ///
    /// # Errors
    /// [`BrokenRing`] when the client shows what cannot be.
    pub(super) fn outstanding(&self) -> Result<u64, BrokenRing> {
        let unread = self.completions.lock().unread()?;
        Ok(unread + self.in_progress())
    }

    pub(super) fn in_progress(&self) -> u64 {
        self.in_progress.load(Ordering::SeqCst)
    }

    pub(super) fn computing(&self) -> u64 {
        self.computing.load(Ordering::SeqCst)
    }

    /// Counts a call.
    pub(super) fn begin(&self, computes: bool) {
        self.in_progress.fetch_add(1, Ordering::SeqCst);
        self.computing.fetch_add(computes.into(), Ordering::SeqCst);
    }

    /// Tells the client that a call was made.
    pub(super) fn end(&self, completion: &Completion, computes: bool) {
        // Before the client knows, which may submit the next call at once.
        self.in_progress.fetch_sub(1, Ordering::SeqCst);
        self.computing.fetch_sub(computes.into(), Ordering::SeqCst);
        let sent = self.completions.lock().send(&completion.encode());
        match sent {
            Ok(()) if self.sleep.must_ring() => self.line.ring(),
            Ok(()) => {}
            Err(error) => self.fail(error.to_string()),
        }
        if self.awaited.swap(false, Ordering::SeqCst) {
            self.alarm.go_off();
        }
    }

    /// The same, when the client cannot be told: it is cut off.
    pub(super) fn give_up(&self, why: String, computes: bool) {
        self.in_progress.fetch_sub(1, Ordering::SeqCst);
        self.computing.fetch_sub(computes.into(), Ordering::SeqCst);
        self.fail(why);
    }

    /// Has the thread end the connection.
    fn fail(&self, why: String) {
        // The first reason stays.
        let _ = self.fault.set(why);
        self.alarm.go_off();
    }

    pub(super) fn fault(&self) -> Option<&String> {
        self.fault.get()
    }

    /// Has the alarm go off when a call ends. Who asks looks once more whether it still has to wait.
    pub(super) fn await_an_end(&self) {
        self.awaited.store(true, Ordering::SeqCst);
    }
}
