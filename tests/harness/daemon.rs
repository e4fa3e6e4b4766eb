//! A daemon process with a data directory of its own, which goes when the test ends.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wavekv_client::{Address, Client};

const POLL: Duration = Duration::from_millis(5);
/// A minute: longer than any start or stop takes, however busy the machine.
const POLLS: u32 = 12_000;

/// A running daemon, without TCP unless the options say so. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
    options: Vec<String>,
}

impl Daemon {
    /// Starts one with the default settings and waits until it serves.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// The same with `settings`, each a `key=value` of the configuration.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = vec!["--set".to_owned(), "grpc.listen=".to_owned()];
        for setting in settings {
            options.extend(["--set".to_owned(), (*setting).to_owned()]);
        }
        let child = spawn(folder.path(), &options);
        let mut daemon = Self {
            child,
            folder,
            options,
        };
        daemon.wait_until_it_serves();
        daemon
    }

    /// A connection to its Unix socket.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&Address::Unix(self.socket()))
            .await
            .unwrap()
    }

    /// The Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        data_dir(self.folder.path()).join("wavekvd.sock")
    }

    /// The directory that it owns.
    pub(crate) fn data_dir(&self) -> PathBuf {
        data_dir(self.folder.path())
    }

    /// What it has logged so far, over all its starts.
    pub(crate) fn log(&self) -> String {
        fs_err::read_to_string(log(self.folder.path())).unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        for _ in 0..POLLS {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(POLL);
        }
        panic!("the daemon does not end:\n{}", self.log());
    }

    /// Kills it with SIGKILL, wherever it is.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same data directory; it must have ended.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), &self.options);
        self.wait_until_it_serves();
    }

    fn wait_until_it_serves(&mut self) {
        for _ in 0..POLLS {
            if UnixStream::connect(self.socket()).is_ok() {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            std::thread::sleep(POLL);
        }
        panic!("the daemon does not serve:\n{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The built daemon with nothing of this process's environment that configures it.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wavekvd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WAVEKV_") && name != "WAVEKV_REQUIRE_ISA" {
            command.env_remove(name);
        }
    }
    command
}

fn spawn(folder: &Path, options: &[String]) -> Child {
    let log = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log(folder))
        .unwrap();
    command()
        .arg("--data-dir")
        .arg(data_dir(folder))
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.into_file())
        .spawn()
        .unwrap()
}

fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}
