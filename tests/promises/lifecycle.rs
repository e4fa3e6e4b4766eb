//! The life of the daemon: it ends when it is asked to and leaves no call unanswered, and starts again after any end.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc::{self, Sender};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use wavekv_client::{ClientError, wire};

use crate::harness::collection::SMALL_INDEX;
use crate::harness::poll::{A_MINUTE, until};
use crate::harness::{Collection, Daemon, Sequence, Shape, daemon};
use crate::services;

/// What a client of HTTP/2 says first: the preface, and settings that change nothing.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A call that is in progress for as long as the test likes: a stream whose first entry is stored.
struct InProgress {
    collection: Collection,
    sequence: Sequence,
    entries: Sender<wire::InsertEntry>,
    call: JoinHandle<Result<wire::InsertStreamResponse, ClientError>>,
}

impl InProgress {
    async fn start(daemon: &Daemon) -> Self {
        let client = daemon.client().await;
        let shape = Shape::default();
        let collection = Collection::create(&client, shape).await;
        let (entries, stream) = mpsc::channel(8);
        // A message each; an entry is sent when the next one comes.
        let call = async move { client.insert_stream(ReceiverStream::new(stream), 1).await };
        let started = Self {
            collection,
            sequence: Sequence::random(shape, 3, 1),
            entries,
            call: tokio::spawn(call),
        };
        started.send(0).await;
        started.send(1).await;
        let stored = async || (started.length().await > 0).then_some(());
        let stored = until(A_MINUTE, stored).await;
        assert!(
            stored.is_some(),
            "the first entry of the stream is not stored"
        );
        started
    }

    async fn send(&self, token: usize) {
        let entry = self.collection.entry(&self.sequence, token..token + 1);
        self.entries.send(entry).await.unwrap();
    }

    async fn length(&self) -> u32 {
        let Collection { client, name } = &self.collection;
        client.get(name.clone()).await.unwrap().length
    }
}

#[tokio::test]
async fn a_signal_to_stop_lets_the_calls_in_progress_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::start();
        let started = InProgress::start(&daemon).await;
        daemon.signal(signal);
        daemon.wait_until_it_stops_listening().await;
        started.send(2).await;
        drop(started.entries);
        let answer = started.call.await.unwrap().unwrap();
        assert_eq!((answer.stored_entries, answer.failed_entries), (3, 0));
        assert!(daemon.wait().await.success(), "{}", daemon.log());
        assert!(!daemon.socket().exists());
    }
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_off_after_the_grace() {
    let mut daemon = Daemon::with(&["shutdown_grace=10ms"]);
    let started = InProgress::start(&daemon).await;
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().await.success(), "{}", daemon.log());
    let answer = started.call.await.unwrap();
    assert!(
        matches!(answer, Err(ClientError::Lost { .. })),
        "{answer:?}"
    );
}

/// A client that is frozen without a call: it has connected and said nothing, or as much as a client without a call says,
/// and does not read that the daemon stops.
fn frozen(daemon: &Daemon, said: &[u8]) -> UnixStream {
    let mut connection = UnixStream::connect(daemon.socket()).unwrap();
    connection.write_all(said).unwrap();
    if !said.is_empty() {
        // The daemon answers with settings of its own.
        connection.read_exact(&mut [0; 9]).unwrap();
    }
    connection
}

#[tokio::test]
async fn a_client_without_a_call_does_not_hold_up_a_stop() {
    let mut daemon = Daemon::with(&["shutdown_grace=10m"]);
    let (_silent, _idle) = (frozen(&daemon, b""), frozen(&daemon, HTTP2));
    let mut health = HealthClient::new(services::channel(&daemon).await);
    let _watching = health.watch(HealthCheckRequest::default()).await.unwrap();
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().await.success(), "{}", daemon.log());
}

#[tokio::test]
async fn a_client_that_is_frozen_does_not_cut_off_the_call_of_another() {
    let mut daemon = Daemon::start();
    let started = InProgress::start(&daemon).await;
    let _idle = frozen(&daemon, HTTP2);
    daemon.signal(Signal::TERM);
    daemon.wait_until_it_stops_listening().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    started.send(2).await;
    drop(started.entries);
    let answer = started.call.await.unwrap().unwrap();
    assert_eq!((answer.stored_entries, answer.failed_entries), (3, 0));
    assert!(daemon.wait().await.success(), "{}", daemon.log());
}

#[tokio::test]
async fn every_start_is_told_from_the_others_and_no_generation_comes_twice() {
    let mut daemon = Daemon::start();
    let mut epochs = vec![];
    let mut generations = BTreeSet::new();
    for clean in [false, true, false] {
        let client = daemon.client().await;
        epochs.push(client.stats(None).await.unwrap().boot_epoch);
        let collection = Collection::unmade(&client);
        for _ in 0..3 {
            let made = collection.make(Shape::default(), SMALL_INDEX).await;
            assert!(generations.insert(made.generation), "{generations:?}");
            collection.delete().await;
        }
        if clean {
            daemon.signal(Signal::TERM);
            assert!(daemon.wait().await.success(), "{}", daemon.log());
        } else {
            daemon.kill();
        }
        daemon.start_again();
    }
    assert!(
        epochs.is_sorted_by(|before, after| before < after),
        "{epochs:?}"
    );
}

#[tokio::test]
async fn a_data_directory_has_one_daemon_at_a_time() {
    let daemon = Daemon::start();
    let data_dir = daemon.data_dir();
    let mut second = daemon::command();
    let said = daemon::refusal(second.arg("--data-dir").arg(&data_dir)).await;
    let named = format!("data_dir: data directory {}", data_dir.display());
    assert!(said.contains(&named), "{said}");
    assert!(said.contains(&format!("process {}", daemon.id())), "{said}");
}

#[tokio::test]
async fn the_socket_is_its_users_alone() {
    let daemon = Daemon::start();
    // A socket has its mode before a call is answered there, but a moment after it can be connected to.
    daemon.client().await.stats(None).await.unwrap();
    let mode = |path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(daemon.socket()), 0o600);
    assert_eq!(mode(daemon.data_dir()), 0o700);
}
