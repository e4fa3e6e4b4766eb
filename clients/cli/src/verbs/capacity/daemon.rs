//! A daemon of this command's own, on a folder that is removed with it: nobody else asks it, so that its memory and its disk are
//! those of the measurement.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wavekv_client::{Address, Client};

use crate::failure::Failure;
use crate::stopwatch::Stopwatch;

/// How long it may take to serve.
const START: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
/// Blocks of `stat` are of this size, whatever the file system's are.
const BLOCK_BYTES: u64 = 512;

/// Runs until it is dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    process: Child,
    folder: tempfile::TempDir,
}

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// In memory now.
    pub(super) resident: u64,
    /// The most that ever was.
    pub(super) peak: u64,
}

impl Daemon {
    /// Starts `program` with a memory budget, and waits until it serves.
    ///
    /// # Errors
    /// When it cannot be started, or does not serve in time.
    pub(super) async fn start(
        program: Option<&Path>,
        data: Option<&Path>,
        memory: u64,
    ) -> Result<(Self, Client), Failure> {
        let program = program.map_or_else(beside_this, Path::to_owned);
        let parent = data.map_or_else(std::env::temp_dir, Path::to_owned);
        let folder = tempfile::Builder::new()
            .prefix("wavekv-capacity-")
            .tempdir_in(&parent)?;
        let process = Command::new(&program)
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(["--set", "grpc.listen=", "--set", "log.level=warn"])
            .arg("--set")
            .arg(format!("memory.budget={memory}B"))
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| {
                let program = program.display();
                Failure::Daemon(format!(
                    "{program} cannot be started: {error}; expected a wavekvd, see --daemon"
                ))
            })?;
        let mut daemon = Self { process, folder };
        let client = daemon.connected().await?;
        Ok((daemon, client))
    }

    /// Waits until it serves.
    async fn connected(&mut self) -> Result<Client, Failure> {
        let address = Address::Unix(self.folder.path().join("data/wavekvd.sock"));
        let watch = Stopwatch::start();
        loop {
            let asked = match Client::connect(&address).await {
                Ok(client) => client.stats(None).await.map(|_| client),
                Err(error) => Err(error),
            };
            let refused = match asked {
                Ok(client) => return Ok(client),
                Err(refused) => refused,
            };
            if let Some(status) = self.process.try_wait()? {
                return Err(Failure::Daemon(format!(
                    "the daemon ended before it served ({status})"
                )));
            }
            if watch.elapsed() > START {
                return Err(refused.into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What it has in memory. Zeros where the system does not say.
    pub(super) fn memory(&self) -> Memory {
        let status = format!("/proc/{}/status", self.process.id());
        Memory::parsed(&fs_err::read_to_string(status).unwrap_or_default())
    }

    /// What its folder takes on the disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        bytes_below(self.folder.path())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // What it has stored goes with its folder: it need not end well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Memory {
    /// Out of what the system says of a process.
    fn parsed(status: &str) -> Self {
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let bytes = |name: &str| kib(name).unwrap_or(0) << 10;
        Self {
            resident: bytes("VmRSS:"),
            peak: bytes("VmHWM:"),
        }
    }
}

/// The daemon that was built or installed with this program.
fn beside_this() -> PathBuf {
    let name = "wavekvd";
    let beside = std::env::current_exe().map(|this| this.with_file_name(name));
    beside
        .ok()
        .filter(|program| program.is_file())
        .unwrap_or_else(|| name.into())
}

/// Of all files below a folder. One that goes meanwhile counts nothing.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.blocks() * BLOCK_BYTES,
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_the_system_says() {
        let status = "Name:\twavekvd\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t9\n";
        let expected = Memory {
            resident: 1 << 20,
            peak: 2 << 20,
        };
        assert_eq!(Memory::parsed(status), expected);
        assert_eq!(Memory::parsed(""), Memory::default());
    }

    #[tokio::test]
    async fn what_is_no_daemon_is_said_to_be_none() {
        let start = |program: &'static str| Daemon::start(Some(Path::new(program)), None, 1 << 24);
        let refused = start("/nonexistent/wavekvd").await.unwrap_err();
        assert!(refused.to_string().contains("--daemon"), "{refused}");
        let refused = start("/bin/true").await.unwrap_err();
        assert!(refused.to_string().contains("ended before"), "{refused}");
    }

    #[test]
    fn a_folder_takes_what_its_files_do() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder.path().join("in")).unwrap();
        for name in ["a", "in/b"] {
            fs_err::write(folder.path().join(name), vec![1; 100_000]).unwrap();
        }
        let bytes = bytes_below(folder.path());
        assert!((200_000..400_000).contains(&bytes), "{bytes}");
        assert_eq!(bytes_below(Path::new("/nonexistent")), 0);
    }
}
