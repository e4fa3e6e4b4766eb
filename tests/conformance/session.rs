//! What a client has to be able to do, and who can.

use std::fmt;
use std::time::Duration;

use wavekv_client::{Address, Code};

use crate::program::Program;
use crate::rust::{Async, Blocking};

/// Heads of the sequences that every client is asked about: one layer, f32.
pub(crate) const Q_HEADS: usize = 4;
pub(crate) const KV_HEADS: usize = 2;
pub(crate) const DIM: usize = 32;

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no daemon, or the connection to it broke.
    Away,
    /// The daemon's, or the client's own: the deadline.
    Refused(Code),
}

/// How a step is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ask {
    Exact,
    /// Everything retrieved: the way of the index, and no difference to exact.
    Everything,
    /// As the daemon chooses.
    Default,
}

/// A connection. Collections are of the geometry above; tensors are `[tokens, heads, DIM]`.
pub(crate) trait Session: Send {
    fn create(&mut self, name: &str, durable: bool) -> Result<(), Failure>;
    fn insert(&mut self, name: &str, start: u32, k: &[f32], v: &[f32]) -> Result<(), Failure>;
    fn cluster(&mut self, name: &str) -> Result<(), Failure>;
    /// One step: K and V of a token are inserted at `start`, and `q` is answered.
    fn attend(
        &mut self,
        name: &str,
        ask: Ask,
        start: u32,
        step: [&[f32]; 3],
    ) -> Result<Vec<f32>, Failure>;
    fn fork(&mut self, name: &str, to: &str, length: u32) -> Result<(), Failure>;
    fn truncate(&mut self, name: &str, length: u32) -> Result<(), Failure>;
    fn delete(&mut self, name: &str) -> Result<(), Failure>;
}

/// Makes connections by one client.
#[derive(Debug, Clone)]
pub(crate) enum Maker {
    Async,
    Blocking,
    Program(Program),
}

impl Maker {
    /// All that can be asked here.
    pub(crate) fn all() -> Vec<Self> {
        let programs = Program::all().into_iter().map(Self::Program);
        [Self::Async, Self::Blocking]
            .into_iter()
            .chain(programs)
            .collect()
    }

    /// Connects, with a deadline for each call.
    pub(crate) fn session(&self, address: &Address, deadline: Duration) -> Box<dyn Session> {
        match self {
            Self::Async => Box::new(Async::connect(address, deadline)),
            Self::Blocking => Box::new(Blocking::connect(address, deadline)),
            Self::Program(program) => Box::new(program.connect(address, deadline)),
        }
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Async => write!(f, "the async client in Rust"),
            Self::Blocking => write!(f, "the blocking client in Rust"),
            Self::Program(program) => write!(f, "{program}"),
        }
    }
}
