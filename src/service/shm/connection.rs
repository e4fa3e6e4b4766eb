//! The life of a connection: its thread takes calls, spins, sleeps, and ends with the client or the daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wavekv_shm::line::Heard;
use wavekv_shm::ring::{self, BrokenRing, Receiver, Sleep};
use wavekv_shm::spin::Spin;
use wavekv_shm::{Memory, Submission};

use super::calls::Desk;
use super::peer::Peer;
use crate::telemetry::metrics::{Metrics, ShmEnd};

/// Calls of one client that may have copies of tensors, each no larger than its arena; more wait in the ring.
const COMPUTING_AT_ONCE: u64 = 4;

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client is gone.
    Client,
    /// The client has broken the contract.
    Breach(String),
    /// The daemon stops.
    Stop,
}

/// The thread's side of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    peer: Arc<Peer>,
    desk: Desk,
    submissions: Receiver<Arc<Memory>>,
    sleep: Sleep<Arc<Memory>>,
    spin: Duration,
    stopping: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

impl From<BrokenRing> for End {
    fn from(broken: BrokenRing) -> Self {
        Self::Breach(broken.to_string())
    }
}

impl Connection {
    pub(super) fn new(
        peer: &Arc<Peer>,
        desk: Desk,
        spin: Duration,
        stopping: Arc<AtomicBool>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let memory = &peer.memory;
        Self {
            submissions: ring::submissions(Arc::clone(memory), memory.layout()),
            sleep: Sleep::of_daemon(Arc::clone(memory)),
            peer: Arc::clone(peer),
            desk,
            spin,
            stopping,
            metrics,
        }
    }

    /// Takes calls until there is a reason to end. What is in progress then still holds the memory.
    pub(super) fn serve(mut self) {
        self.metrics.shm_began();
        let end = loop {
            match self.next_call() {
                Ok(submission) => self.desk.take(&submission),
                Err(end) => break end,
            }
        };
        self.metrics.shm_ended(match end {
            End::Client => ShmEnd::Client,
            End::Breach(_) => ShmEnd::Breach,
            End::Stop => ShmEnd::Stop,
        });
        match end {
            End::Client => tracing::debug!("a client of shared memory is gone"),
            End::Breach(why) => {
                tracing::warn!(%why, "a client of shared memory breaks the contract: it is cut off");
                self.peer.line.farewell(&why);
            }
            End::Stop => {
                // A client that ends meanwhile is not waited for.
                let _ = self.sleep_until(|peer| peer.in_progress() == 0);
                self.peer.line.farewell("the daemon is stopping");
            }
        }
        self.peer.line.close();
    }

    /// The next call, when it may be taken.
    fn next_call(&mut self) -> Result<Submission, End> {
        loop {
            if let Some(submission) = self.look_for_a_while()? {
                return Ok(submission);
            }
            if self.peer.computing() >= COMPUTING_AT_ONCE {
                // Its submissions wait with it.
                self.sleep_until(|peer| peer.computing() < COMPUTING_AT_ONCE)?;
                continue;
            }
            self.sleep.begin();
            let found = self.look();
            if matches!(found, Ok(None)) {
                self.sleep_and_hear()?;
            }
            self.sleep.end();
            if let Some(submission) = found? {
                return Ok(submission);
            }
        }
    }

    /// Spins, unless the cores have calls of this client to work on.
    fn look_for_a_while(&mut self) -> Result<Option<Submission>, End> {
        let idle = self.peer.computing() == 0;
        let mut spin = Spin::lasting(if idle { self.spin } else { Duration::ZERO });
        loop {
            let found = self.look()?;
            if found.is_some() || !spin.again() {
                return Ok(found);
            }
        }
    }

    /// A call that is there and may be taken.
    fn look(&mut self) -> Result<Option<Submission>, End> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(End::Stop);
        }
        if let Some(fault) = self.peer.fault() {
            return Err(End::Breach(fault.clone()));
        }
        if self.peer.computing() >= COMPUTING_AT_ONCE {
            return Ok(None);
        }
        let Some(descriptor) = self.submissions.receive()? else {
            return Ok(None);
        };
        let layout = self.peer.memory.layout();
        let outstanding = self.peer.outstanding()?;
        if outstanding >= layout.ring_entries() {
            return Err(End::Breach(format!(
                "calls in progress are {}: expected at most {}, ring_entries",
                outstanding + 1,
                layout.ring_entries()
            )));
        }
        let submission = Submission::parse(&descriptor, layout);
        submission
            .map(Some)
            .map_err(|bad| End::Breach(bad.to_string()))
    }

    /// Sleeps until `done`, which calls that end may make true.
    fn sleep_until(&self, done: impl Fn(&Peer) -> bool) -> Result<(), End> {
        loop {
            self.peer.await_an_end();
            if done(&self.peer) {
                return Ok(());
            }
            self.sleep_and_hear()?;
        }
    }

    fn sleep_and_hear(&self) -> Result<(), End> {
        let slept = self.peer.line.sleep(&self.peer.alarm);
        slept.map_err(|error| End::Breach(error.to_string()))?;
        match self.peer.line.hear() {
            Heard::Rings => Ok(()),
            Heard::End => Err(End::Client),
            Heard::Nonsense(byte) => Err(End::Breach(format!(
                "a byte over the socket is {byte}: expected 1"
            ))),
        }
    }
}
