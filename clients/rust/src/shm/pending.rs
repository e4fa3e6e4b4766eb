//! The calls of a connection that are in progress, and the completions that end them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use tokio::sync::OwnedSemaphorePermit;
use wavekv_shm::ring::Receiver;
use wavekv_shm::{Completion, Memory};

use super::arena::Block;

/// What a call holds until the daemon has answered.
#[derive(Debug)]
pub(super) struct Held {
    /// Its request and its answer.
    pub(super) block: Block,
    /// Among those that the ring has room for.
    #[expect(dead_code, reason = "held while it lives")]
    pub(super) place: OwnedSemaphorePermit,
}

/// A call in progress.
#[derive(Debug)]
struct Call {
    held: Held,
    completion: Option<Completion>,
    waker: Option<Waker>,
    /// Whether somebody waits for it.
    wanted: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Pending {
    completions: Receiver<Arc<Memory>>,
    memory: Arc<Memory>,
    /// By number: few, and looked for all the time.
    calls: BTreeMap<u64, Call>,
    last: u64,
}

impl Pending {
    pub(super) fn new(completions: Receiver<Arc<Memory>>, memory: Arc<Memory>) -> Self {
        Self {
            completions,
            memory,
            calls: BTreeMap::new(),
            last: 0,
        }
    }

    /// A number for a call that is about to be submitted.
    pub(super) fn begin(&mut self, held: Held) -> u64 {
        self.last += 1;
        let call = Call {
            held,
            completion: None,
            waker: None,
            wanted: true,
        };
        self.calls.insert(self.last, call);
        self.last
    }

    /// Takes a call back that was not submitted.
    pub(super) fn cancel(&mut self, number: u64) {
        self.calls.remove(&number);
    }

    /// Reads the completions that are there, and wakes who waits for them.
    ///
    /// # Errors
    /// What the daemon shows and cannot be.
    pub(super) fn collect(&mut self) -> Result<(), String> {
        while let Some(descriptor) = self.completions.receive().map_err(|lie| lie.to_string())? {
            let completion = Completion::parse(&descriptor, self.memory.layout());
            let completion = completion.map_err(|bad| bad.to_string())?;
            let number = completion.call;
            let Some(call) = self.calls.get_mut(&number) else {
                return Err(format!(
                    "call {number} is completed and was not in progress"
                ));
            };
            if call.wanted {
                call.completion = Some(completion);
                if let Some(waker) = call.waker.take() {
                    waker.wake();
                }
            } else {
                self.calls.remove(&number);
            }
        }
        Ok(())
    }

    /// The completion of a call, which then is over.
    pub(super) fn take(&mut self, number: u64) -> Option<(Completion, Held)> {
        let completion = self.calls.get(&number)?.completion?;
        let call = self.calls.remove(&number)?;
        Some((completion, call.held))
    }

    /// Has `waker` woken when the call is over.
    pub(super) fn wait(&mut self, number: u64, waker: &Waker) {
        if let Some(call) = self.calls.get_mut(&number) {
            match &mut call.waker {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
    }

    /// Whether somebody sleeps until a call is over.
    pub(super) fn is_awaited(&self) -> bool {
        self.calls.values().any(|call| call.waker.is_some())
    }

    /// Says that nobody waits for a call any more. What it holds is free when the daemon has answered.
    pub(super) fn abandon(&mut self, number: u64) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.wanted = false;
            call.waker = None;
            if call.completion.is_some() {
                self.calls.remove(&number);
            }
        }
    }

    /// Wakes all who wait: there will be no more completions.
    pub(super) fn wake_all(&mut self) {
        for call in self.calls.values_mut() {
            if let Some(waker) = call.waker.take() {
                waker.wake();
            }
        }
    }
}
