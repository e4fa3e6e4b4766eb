//! What a daemon has: as the system says, and as it says itself.

use wavekv_client::Client;

use crate::harness::Daemon;
use crate::harness::daemon::used_bytes;
use crate::harness::poll::{A_MINUTE, until};

/// What the catalog may have in memory by then and had not at a start: three tables of 16 MiB that are written to, as many that
/// wait to be written out, and what RocksDB has read of those on disk.
const CATALOG_BYTES: u64 = 128 << 20;

/// Of one moment in which nothing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vitals {
    pub(crate) resident_bytes: u64,
    /// Counted in `memory.budget`.
    pub(crate) counted_bytes: u64,
    pub(crate) threads: usize,
    /// Descriptors of connections and of shared memory.
    pub(crate) connections: usize,
    /// Of files: those of the catalog come and go with its compactions.
    pub(crate) files: usize,
    /// Of collections.
    pub(crate) collection_files: usize,
    /// Counted in `disk.budget`.
    pub(crate) disk_bytes: u64,
}

impl Vitals {
    /// Once they do not change any more: what a client had that was killed goes a little later. They are read over one
    /// connection, which they count.
    pub(crate) async fn settled(daemon: &Daemon) -> Self {
        let client = daemon.client().await;
        let mut last = None;
        let mut same = 0;
        let settled = async || {
            let now = Self::read(daemon, &client).await;
            // What is resident is never quite the same.
            let shape = Self {
                resident_bytes: 0,
                ..now
            };
            same = if last == Some(shape) { same + 1 } else { 0 };
            last = Some(shape);
            (same == 100).then_some(now)
        };
        until(2 * A_MINUTE, settled).await.unwrap()
    }

    async fn read(daemon: &Daemon, client: &Client) -> Self {
        let folder =
            |name: &str| fs_err::read_dir(format!("/proc/{}/{name}", daemon.id())).unwrap();
        let descriptors: Vec<String> = folder("fd")
            .filter_map(|entry| {
                // One may be closed meanwhile.
                let target = fs_err::read_link(entry.unwrap().path()).ok()?;
                Some(target.to_string_lossy().into_owned())
            })
            .collect();
        let of_connection = |target: &&String| {
            ["socket:", "anon_inode:", "/memfd:"]
                .iter()
                .any(|kind| target.starts_with(kind))
        };
        let connections = descriptors.iter().filter(of_connection).count();
        let stats = client.stats(None).await.unwrap();
        Self {
            resident_bytes: daemon.resident_bytes(),
            counted_bytes: used_bytes(client).await,
            threads: folder("task").count(),
            connections,
            files: descriptors.len() - connections,
            collection_files: daemon.collection_files().len(),
            disk_bytes: stats.disk.unwrap().used_bytes,
        }
    }

    /// Asserts that all is as it was before: nothing that a client had is left.
    pub(crate) fn assert_as(&self, before: &Self) {
        let same = |vitals: &Self| {
            [
                vitals.counted_bytes,
                vitals.threads as u64,
                vitals.connections as u64,
                vitals.collection_files as u64,
                vitals.disk_bytes,
            ]
        };
        assert_eq!(same(self), same(before), "{self:?} after {before:?}");
        // Tables of the catalog.
        assert!(self.files <= before.files + 32, "{self:?} after {before:?}");
        let most = before.resident_bytes + CATALOG_BYTES;
        assert!(self.resident_bytes <= most, "{self:?} after {before:?}");
    }
}
