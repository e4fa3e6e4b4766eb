//! A daemon with points at which it fails, as a test tells it on its standard input.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};

use wavekv_client::{Address, Client};

use crate::harness::daemon::{self, command};
use crate::harness::poll::{A_MINUTE, until};

/// A running daemon. Killed when it is dropped.
pub(crate) struct Faulty {
    folder: tempfile::TempDir,
    snapshots: PathBuf,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Faulty {
    /// One that has a data directory of its own and serves.
    pub(crate) fn start() -> Self {
        let mut daemon = Self::begin(tempfile::tempdir().unwrap());
        daemon.say("go");
        daemon
    }

    /// The same with its snapshots elsewhere.
    pub(crate) fn start_with_snapshots(snapshots: PathBuf) -> Self {
        let mut daemon = Self::begin_with(tempfile::tempdir().unwrap(), snapshots);
        daemon.say("go");
        daemon
    }

    /// The same, which notes what the device has in `synced` in its folder.
    pub(crate) fn noting() -> Self {
        let mut daemon = Self::begin(tempfile::tempdir().unwrap());
        let notes = daemon.folder().join("synced");
        assert_eq!(daemon.say(&format!("note {}", notes.display())), "ok");
        daemon.say("go");
        daemon
    }

    /// One that waits to be told to `go`.
    fn begin(folder: tempfile::TempDir) -> Self {
        let snapshots = folder.path().join("snapshots");
        Self::begin_with(folder, snapshots)
    }

    fn begin_with(folder: tempfile::TempDir, snapshots: PathBuf) -> Self {
        let log = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.path().join("log"))
            .unwrap();
        let mut child = command()
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(["--set", "grpc.listen=", "--set", "memory.budget=1GiB"])
            .arg("--set")
            .arg(format!("storage.snapshot_dir={}", snapshots.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.into_file())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            folder,
            snapshots,
        }
    }

    /// A line, and its answer.
    pub(crate) fn say(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    /// Has something happen at a point.
    pub(crate) fn set(&mut self, point: &str, actions: &str) {
        assert_eq!(self.say(&format!("set {point} {actions}")), "ok");
    }

    /// The names of all points.
    pub(crate) fn points() -> Vec<String> {
        let mut daemon = Self::begin(tempfile::tempdir().unwrap());
        let points = daemon.say("points");
        points.split(' ').map(str::to_owned).collect()
    }

    /// Those of what shares files: forks, snapshots and the sweep of a start; tests of their own come to them.
    pub(crate) fn is_of_sharing(point: &str) -> bool {
        let rooms = ["share.", "fork.", "snapshot.", "sweep."];
        rooms.iter().any(|room| point.starts_with(room))
    }

    /// A connection, once it serves.
    pub(crate) async fn client(&self) -> Client {
        let socket = self.data_dir().join("wavekvd.sock");
        let connect = async || {
            let client = Client::connect(&Address::Unix(socket.clone())).await.ok()?;
            // It listens before it has opened its collections.
            client.stats(None).await.ok()?;
            Some(client)
        };
        let client = until(A_MINUTE, connect).await;
        client.unwrap_or_else(|| panic!("the daemon does not serve:\n{}", self.log()))
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(&mut self) -> Option<ExitStatus> {
        until(A_MINUTE, async || self.child.try_wait().unwrap()).await
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Starts one on its data directory, which waits to be told to `go`; it must have ended.
    pub(crate) fn begin_again(mut self) -> Self {
        self.kill();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::begin_with(folder, self.snapshots.clone())
    }

    /// The same, and it goes.
    pub(crate) fn start_again(self) -> Self {
        let mut daemon = self.begin_again();
        daemon.say("go");
        daemon
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where its snapshots are.
    pub(crate) fn snapshot_dir(&self) -> PathBuf {
        self.snapshots.clone()
    }

    /// The files of its collections.
    pub(crate) fn collection_files(&self) -> Vec<PathBuf> {
        daemon::collection_files(&self.data_dir())
    }

    /// The folders in the directory of snapshots, of those that are none too; in order of their paths.
    pub(crate) fn snapshot_folders(&self) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(self.snapshot_dir());
        let entries = entries.into_iter().flatten();
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders
    }

    /// The files in them.
    pub(crate) fn snapshot_files(&self) -> Vec<PathBuf> {
        let folders = self.snapshot_folders();
        let files = folders
            .iter()
            .flat_map(|folder| fs_err::read_dir(folder).unwrap());
        files.map(|entry| entry.unwrap().path()).collect()
    }

    pub(crate) fn log(&self) -> String {
        fs_err::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.kill();
    }
}
