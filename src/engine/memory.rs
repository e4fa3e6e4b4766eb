//! Keeps the process within `memory.budget`, and not only the sum of what is counted: a thread that looks again and again at how
//! much memory the process has, and has blocks leave for the rest of it ([`Residence::observe`]).

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use wavekv_storage::Residence;

use crate::model::Error;

/// Between two looks: in less time nobody allocates much, and one look takes some microseconds.
const LOOK: Duration = Duration::from_millis(10);

/// The thread; it stops when this is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    /// None while stopping.
    going_on: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    pub(super) fn start(residence: Residence) -> Result<Self, Error> {
        let (going_on, stopped) = sync_channel(0);
        let builder = std::thread::Builder::new().name("memory".to_owned());
        let thread = builder.spawn(move || watch(&residence, &stopped));
        Ok(Self {
            going_on: Some(going_on),
            thread: Some(thread.map_err(Error::internal)?),
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.going_on = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches memory panicked: a bug in the daemon");
        }
    }
}

fn watch(residence: &Residence, stopped: &Receiver<()>) {
    while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        residence.observe();
    }
}
