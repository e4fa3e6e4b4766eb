//! A daemon process with a data directory of its own, which goes when the test ends.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use wavekv_client::{Address, Client, ConnectOptions};

use crate::harness::poll::{A_MINUTE, POLL, until};

/// What every start logs when it serves.
const READY: &str = " ready boot_epoch=";

/// A running daemon, without TCP unless the options say so. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    /// Of its log, and of its data unless that is elsewhere.
    folder: tempfile::TempDir,
    data_dir: PathBuf,
    options: Vec<String>,
    /// How often it was started.
    starts: usize,
}

impl Daemon {
    /// Starts one with the default settings and waits until it serves.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// The same with `settings`, each a `key=value` of the configuration.
    pub(crate) fn with(settings: &[&str]) -> Self {
        Self::started(None, settings)
    }

    /// The same with its data below a folder of the caller's.
    pub(crate) fn within(folder: &Path, settings: &[&str]) -> Self {
        Self::started(Some(folder), settings)
    }

    /// The same, without a wait until it serves.
    pub(crate) fn begun_within(folder: &Path, settings: &[&str]) -> Self {
        Self::spawned(Some(folder), settings)
    }

    /// The same, or what it says when it refuses to start.
    pub(crate) fn try_within(folder: &Path, settings: &[&str]) -> Result<Self, String> {
        let mut daemon = Self::spawned(Some(folder), settings);
        daemon.serves().map(|()| daemon)
    }

    fn started(elsewhere: Option<&Path>, settings: &[&str]) -> Self {
        let mut daemon = Self::spawned(elsewhere, settings);
        daemon.wait_until_it_serves();
        daemon
    }

    fn spawned(elsewhere: Option<&Path>, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = elsewhere.unwrap_or_else(|| folder.path()).join("data");
        let mut options = vec!["--set".to_owned(), "grpc.listen=".to_owned()];
        for setting in settings {
            options.extend(["--set".to_owned(), (*setting).to_owned()]);
        }
        let child = spawn(&log(folder.path()), &data_dir, &options);
        Self {
            child,
            folder,
            data_dir,
            options,
            starts: 1,
        }
    }

    /// A connection to its Unix socket.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&Address::Unix(self.socket()))
            .await
            .unwrap()
    }

    /// A connection over shared memory.
    pub(crate) async fn shm_client(&self) -> Client {
        self.shm_client_with(ConnectOptions::default()).await
    }

    /// The same with options of the caller's.
    pub(crate) async fn shm_client_with(&self, options: ConnectOptions) -> Client {
        let address = Address::Shm(self.shm_socket());
        Client::connect_with(&address, options).await.unwrap()
    }

    /// The socket of the handshake of shared memory.
    pub(crate) fn shm_socket(&self) -> PathBuf {
        self.data_dir.join("wavekvd.shm.sock")
    }

    /// The Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.data_dir.join("wavekvd.sock")
    }

    /// Where it listens on TCP, when `grpc.listen` is port 0 of `ip`.
    pub(crate) async fn tcp_address(&self, ip: &str) -> String {
        self.logged_address(&format!("listening on TCP address={ip}:"))
            .await
    }

    /// Where it answers HTTP, when `http.listen` is port 0 of 127.0.0.1.
    pub(crate) async fn http_address(&self) -> String {
        self.logged_address("listening on HTTP address=127.0.0.1:")
            .await
    }

    /// The address that its last start has logged after these words, which end before the port.
    async fn logged_address(&self, words: &str) -> String {
        let address = async || {
            // A line is in the log whole or not at all.
            let log = self.log();
            let (_, port) = log.rsplit_once(words)?;
            let port: String = port.chars().take_while(char::is_ascii_digit).collect();
            let (_, host) = words.rsplit_once('=')?;
            Some(format!("{host}{port}"))
        };
        until(A_MINUTE, address)
            .await
            .unwrap_or_else(|| panic!("no {words}:\n{}", self.log()))
    }

    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that the system says it has.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() << 10
    }

    /// The directory that it owns.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    /// The files of its collections, in order of their paths.
    pub(crate) fn collection_files(&self) -> Vec<PathBuf> {
        collection_files(&self.data_dir())
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

    /// Stops all of its threads where they are, until SIGCONT: the signal alone comes to each when the system gets to it.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.id());
        let is_stopped = |stat: &str| {
            // The name of the thread, which may be anything, is in brackets.
            let state = stat.rsplit_once(") ").map(|(_, state)| state);
            state.is_some_and(|state| state.starts_with('T'))
        };
        for _ in 0..A_MINUTE {
            let mut threads = fs_err::read_dir(&tasks).unwrap();
            let all = threads.all(|thread| {
                let stat = thread.unwrap().path().join("stat");
                // A thread may end meanwhile.
                fs_err::read_to_string(stat).map_or(true, |stat| is_stopped(&stat))
            });
            if all {
                return;
            }
            std::thread::sleep(POLL);
        }
        panic!("the daemon does not stop where it is");
    }

    /// Waits for it to end by itself. The clients in this process live on: they take part in a stop.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
            .await
            .unwrap_or_else(|| panic!("the daemon does not end:\n{}", self.log()))
    }

    /// Waits until it takes no more connections.
    pub(crate) async fn wait_until_it_stops_listening(&self) {
        let stopped = async || UnixStream::connect(self.socket()).err();
        let stopped = until(A_MINUTE, stopped).await;
        assert!(
            stopped.is_some(),
            "the daemon goes on listening:\n{}",
            self.log()
        );
    }

    /// Waits until it counts so many bytes of memory: what is deleted goes with the last call or build that holds it.
    pub(crate) async fn wait_until_it_uses(&self, client: &Client, bytes: u64) {
        let mut used = 0;
        let same = async || {
            used = used_bytes(client).await;
            (used == bytes).then_some(())
        };
        let same = until(A_MINUTE, same).await;
        assert!(
            same.is_some(),
            "the daemon uses {used} bytes, not {bytes}:\n{}",
            self.log()
        );
    }

    /// Kills it with SIGKILL, wherever it is.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills it and starts it again on the same data directory.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Starts it again on the same data directory; it must have ended.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&log(self.folder.path()), &self.data_dir, &self.options);
        self.starts += 1;
        self.wait_until_it_serves();
    }

    pub(crate) fn wait_until_it_serves(&mut self) {
        if let Err(said) = self.serves() {
            panic!("the daemon does not serve:\n{said}");
        }
    }

    /// Waits until it serves; its log, when it ends instead.
    fn serves(&mut self) -> Result<(), String> {
        for _ in 0..A_MINUTE {
            // It listens before it has opened its collections.
            if self.log().matches(READY).count() == self.starts {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(format!("it ended with {status}:\n{}", self.log()));
            }
            std::thread::sleep(POLL);
        }
        Err(self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The files of the collections of a data directory, in order of their paths.
pub(crate) fn collection_files(data_dir: &Path) -> Vec<PathBuf> {
    let mut folders = vec![data_dir.join("collections")];
    let mut files = vec![];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// The memory that the daemon counts.
pub(crate) async fn used_bytes(client: &Client) -> u64 {
    client.stats(None).await.unwrap().memory.unwrap().used_bytes
}

/// Starts a daemon that must refuse to, and gives what it says.
pub(crate) async fn refusal(command: &mut Command) -> String {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = wait(&mut child).await;
    // One that goes on serving ends here.
    let _ = child.kill();
    let mut said = String::new();
    child.stderr.unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{said}");
    said
}

/// The built daemon with nothing of this process's environment that configures it, and without HTTP unless that is set.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wavekvd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WAVEKV_") && name != "WAVEKV_REQUIRE_ISA" {
            command.env_remove(name);
        }
    }
    // Those of several tests would have one port.
    command.env("WAVEKV_HTTP__LISTEN", "");
    command
}

async fn wait(child: &mut Child) -> Option<ExitStatus> {
    until(A_MINUTE, async || child.try_wait().unwrap()).await
}

fn spawn(log: &Path, data_dir: &Path, options: &[String]) -> Child {
    let log = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    command()
        .arg("--data-dir")
        .arg(data_dir)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.into_file())
        .spawn()
        .unwrap()
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}
