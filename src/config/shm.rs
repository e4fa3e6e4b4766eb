//! Shared memory: for engines on this machine.

use std::path::PathBuf;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;
use super::notation;

/// Table `[shm]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct ShmSettings {
    /// Path of the socket of the handshake, which the daemon's user alone can open. "": wavekvd.shm.sock in the data
    /// directory.
    pub socket: PathBuf,

    /// Users who may connect beside the daemon's own: numbers with commas between them, as in "1000,1001". They read and
    /// write every collection. Where there are any, everybody who can reach `socket` can open it, and others are refused.
    #[serde(with = "notation::numbers")]
    pub allow_uids: Vec<u32>,

    /// Connections at once, each with a thread: up to 4096. 0: no shared memory.
    pub max_connections: u32,

    /// Largest arena of a connection, which counts in memory.budget: "64KiB" to "1TiB".
    #[serde(with = "notation::size")]
    pub max_arena_bytes: ByteSize,

    /// Most entries of a ring, calls that a client may have in progress: 2 to 4096.
    pub max_ring_entries: u32,

    /// Microseconds that a connection's thread looks for the next call before it sleeps: up to 1000000. It keeps a core
    /// busy meanwhile.
    pub spin_us: u32,
}

impl Default for ShmSettings {
    fn default() -> Self {
        Self {
            socket: PathBuf::new(),
            allow_uids: vec![],
            max_connections: 64,
            max_arena_bytes: ByteSize::mib(256),
            max_ring_entries: 1024,
            spin_us: 20,
        }
    }
}

impl ShmSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("shm.max_connections", self.max_connections, &(0..=4096));
        checks.require(
            (ByteSize::kib(64)..=ByteSize::tib(1)).contains(&self.max_arena_bytes),
            "shm.max_arena_bytes",
            notation::exact(self.max_arena_bytes),
            "64KiB to 1TiB",
        );
        checks.range("shm.max_ring_entries", self.max_ring_entries, &(2..=4096));
        checks.range("shm.spin_us", self.spin_us, &(0..=1_000_000));
    }
}
