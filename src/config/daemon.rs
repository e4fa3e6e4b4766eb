//! All settings, and those of the daemon as a whole.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::{Checks, Failure};
use super::{
    AttendSettings, AuditSettings, ComputeSettings, ConfigError, DiskSettings, GrpcSettings,
    HttpSettings, IndexSettings, LimitSettings, LogSettings, MemorySettings, ShmSettings,
    StorageSettings, TraceSettings,
};

const MAX_SHUTDOWN_GRACE: Duration = Duration::from_hours(1);

/// All settings of the daemon.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Directory of everything that the daemon keeps. Made when there is none; it must belong to the daemon's user alone
    /// (mode 0700), and one daemon at a time uses it.
    pub data_dir: PathBuf,

    /// How long calls in progress may go on after SIGTERM or SIGINT: up to "1h".
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,

    /// Where the daemon listens.
    #[toml_example(nesting)]
    pub grpc: GrpcSettings,

    /// HTTP, for those who watch over the daemon.
    #[toml_example(nesting)]
    pub http: HttpSettings,

    /// Shared memory, for engines on this machine.
    #[toml_example(nesting)]
    pub shm: ShmSettings,

    /// Memory.
    #[toml_example(nesting)]
    pub memory: MemorySettings,

    /// The disk.
    #[toml_example(nesting)]
    pub disk: DiskSettings,

    /// What outlives what.
    #[toml_example(nesting)]
    pub storage: StorageSettings,

    /// Threads.
    #[toml_example(nesting)]
    pub compute: ComputeSettings,

    /// How the index of a collection is built, where its creator does not say. A collection keeps what it was created
    /// with.
    #[toml_example(nesting)]
    pub index: IndexSettings,

    /// How attention is answered, where the call does not say.
    #[toml_example(nesting)]
    pub attend: AttendSettings,

    /// How answers are checked.
    #[toml_example(nesting)]
    pub audit: AuditSettings,

    /// What is refused.
    #[toml_example(nesting)]
    pub limits: LimitSettings,

    /// The log, on standard error.
    #[toml_example(nesting)]
    pub log: LogSettings,

    /// Traces of calls, to OpenTelemetry.
    #[toml_example(nesting)]
    pub trace: TraceSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("wavekv-data"),
            shutdown_grace: Duration::from_secs(10),
            grpc: GrpcSettings::default(),
            http: HttpSettings::default(),
            shm: ShmSettings::default(),
            memory: MemorySettings::default(),
            disk: DiskSettings::default(),
            storage: StorageSettings::default(),
            compute: ComputeSettings::default(),
            index: IndexSettings::default(),
            attend: AttendSettings::default(),
            audit: AuditSettings::default(),
            limits: LimitSettings::default(),
            log: LogSettings::default(),
            trace: TraceSettings::default(),
        }
    }
}

impl Settings {
    /// Where the Unix socket stands: `grpc.unix_socket`, or `wavekvd.sock` in the data directory.
    pub fn unix_socket(&self) -> PathBuf {
        if self.grpc.unix_socket.as_os_str().is_empty() {
            self.data_dir.join("wavekvd.sock")
        } else {
            self.grpc.unix_socket.clone()
        }
    }

    /// Where the socket of shared memory stands: `shm.socket`, or `wavekvd.shm.sock` in the data directory.
    pub fn shm_socket(&self) -> PathBuf {
        if self.shm.socket.as_os_str().is_empty() {
            self.data_dir.join("wavekvd.shm.sock")
        } else {
            self.shm.socket.clone()
        }
    }

    /// The settings as a file that [`load`](Self::load) reads back to the same.
    ///
    /// # Errors
    /// [`ConfigError::Print`] when a path is not UTF-8.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        Ok(toml::to_string(self)?)
    }

    /// What is out of its range.
    pub(super) fn failures(&self) -> Vec<Failure> {
        let mut checks = Checks::default();
        checks.require(
            !self.data_dir.as_os_str().is_empty(),
            "data_dir",
            "\"\"",
            "the path of a directory",
        );
        checks.require(
            self.shutdown_grace <= MAX_SHUTDOWN_GRACE,
            "shutdown_grace",
            format!("{:?}", self.shutdown_grace),
            "0s to 1h",
        );
        self.grpc.check(&mut checks);
        self.http.check(&mut checks);
        self.shm.check(&mut checks);
        self.memory.check(&mut checks);
        self.disk.check(&mut checks);
        self.storage.check(&self.data_dir, &mut checks);
        self.compute.check(&mut checks);
        self.index.check(&mut checks);
        self.attend.check(&mut checks);
        self.audit.check(&mut checks);
        self.limits.check(&mut checks);
        self.trace.check(&mut checks);
        checks.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_their_ranges() {
        assert!(Settings::default().failures().is_empty());
    }

    #[test]
    fn the_sockets_are_in_the_data_directory_unless_they_are_set() {
        let mut settings = Settings {
            data_dir: "/var/lib/wavekv".into(),
            ..Settings::default()
        };
        assert_eq!(
            settings.unix_socket(),
            PathBuf::from("/var/lib/wavekv/wavekvd.sock")
        );
        assert_eq!(
            settings.shm_socket(),
            PathBuf::from("/var/lib/wavekv/wavekvd.shm.sock")
        );
        settings.shm.socket = "/run/wavekv.shm".into();
        assert_eq!(settings.shm_socket(), PathBuf::from("/run/wavekv.shm"));
        settings.grpc.unix_socket = "/run/wavekv.sock".into();
        assert_eq!(settings.unix_socket(), PathBuf::from("/run/wavekv.sock"));
    }
}
