//! A client that speaks the contract by hand, well or badly.

use std::sync::Arc;
use std::time::Duration;

use wavekv_client::wire;
use wavekv_shm::body::{self, Request};
use wavekv_shm::handshake::{self, ConnectError, Hello};
use wavekv_shm::line::{Heard, Line};
use wavekv_shm::ring::{self, Receiver, Sender, Sleep};
use wavekv_shm::{Completion, Memory, Operation, Region, Submission};

use crate::harness::Daemon;
use crate::harness::poll::{A_MINUTE, until};

pub(super) const RING_ENTRIES: u32 = 4;
pub(super) const ARENA_BYTES: u64 = 1 << 20;
/// The request's body is at the beginning; tensors come after it, answers at the end.
const ANSWER: Region = Region {
    offset: ARENA_BYTES / 2,
    bytes: ARENA_BYTES / 2,
};

pub(super) struct Raw {
    pub(super) memory: Arc<Memory>,
    pub(super) line: Line,
    pub(super) submissions: Sender<Arc<Memory>>,
    pub(super) completions: Receiver<Arc<Memory>>,
    daemon: Sleep<Arc<Memory>>,
}

impl Raw {
    pub(super) fn connect(daemon: &Daemon) -> Self {
        Self::try_connect(daemon, RING_ENTRIES, ARENA_BYTES).unwrap()
    }

    pub(super) fn try_connect(
        daemon: &Daemon,
        ring_entries: u32,
        arena_bytes: u64,
    ) -> Result<Self, ConnectError> {
        let hello = Hello::new(ring_entries, arena_bytes);
        let connected = handshake::connect(&daemon.shm_socket(), hello, Duration::from_secs(30))?;
        let memory = Arc::new(connected.memory);
        let layout = memory.layout();
        Ok(Self {
            submissions: ring::submitter(Arc::clone(&memory), layout),
            completions: ring::completions(Arc::clone(&memory), layout),
            daemon: Sleep::of_daemon(Arc::clone(&memory)),
            line: Line::new(connected.socket),
            memory,
        })
    }

    /// A right submission of a body that is in place.
    pub(super) fn submission(operation: Operation, body: &[u8]) -> Submission {
        Submission {
            call: 7,
            operation,
            request: Region {
                offset: 0,
                bytes: body.len() as u64,
            },
            answer: ANSWER,
        }
    }

    /// Puts the body in place and submits.
    pub(super) fn submit(&mut self, operation: Operation, body: &[u8]) {
        self.memory.write(0, body).unwrap();
        self.send(&Self::submission(operation, body).encode());
    }

    /// Submits whatever it is.
    pub(super) fn send(&mut self, descriptor: &[u64; 8]) {
        self.submissions.send(descriptor).unwrap();
        self.ring();
    }

    pub(super) fn ring(&self) {
        if self.daemon.must_ring() {
            self.line.ring();
        }
    }

    /// The next completion; none when the daemon has ended the connection. This client never sleeps by the contract, it looks
    /// now and then.
    pub(super) async fn completion_unless_cut_off(&mut self) -> Option<Completion> {
        let looked = async || match self.completions.receive().unwrap() {
            Some(found) => Some(Some(found)),
            None => (self.line.hear() == Heard::End).then_some(None),
        };
        let found = until(A_MINUTE, looked).await.unwrap()?;
        Some(Completion::parse(&found, self.memory.layout()).unwrap())
    }

    /// The next completion.
    pub(super) async fn completion(&mut self) -> Completion {
        self.completion_unless_cut_off().await.unwrap()
    }

    /// The failure of a call as a whole.
    pub(super) async fn failure(&mut self) -> body::Failure {
        let completion = self.completion().await;
        assert!(completion.failed);
        body::parse(&self.memory.read(completion.body).unwrap()).unwrap()
    }

    /// Makes a call.
    pub(super) async fn answers<T: body::Field>(&mut self, request: &Request) -> body::Answers<T> {
        self.submit(request.operation(), &request.encode());
        let completion = self.completion().await;
        assert!(!completion.failed);
        body::parse(&self.memory.read(completion.body).unwrap()).unwrap()
    }

    /// Gives a collection the id 1.
    pub(super) async fn open(&mut self, name: &wire::CollectionRef) -> body::Opened {
        let open = body::Open {
            id: 1,
            name: name.name.clone(),
            ..Default::default()
        };
        let mut opened = self.answers(&Request::Open(vec![open])).await;
        opened.remove(0).unwrap()
    }

    /// Waits until the daemon has ended the connection.
    pub(super) async fn is_cut_off(&self) -> bool {
        // Its last words are no rings.
        let ended = async || (self.line.hear() == Heard::End).then_some(());
        until(A_MINUTE, ended).await.is_some()
    }
}
