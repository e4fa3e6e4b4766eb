//! The client against a daemon that answers badly on purpose.
#![forbid(unsafe_code)]

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::Frame;
use tokio::net::UnixListener;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::codegen::{Bytes, http};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tower::util::MapResponseLayer;
use wavekv_client::wire::data_service_server::{DataService, DataServiceServer};
use wavekv_client::wire::{self, insert_result};
use wavekv_client::{Address, Client, ClientError, Code, ConnectOptions};

/// Insert refuses entries at position 13; `SegmentCluster` answers nothing; `TopClusters` an empty result;
/// Estimate refuses the call; Attend takes a minute; Fetch answers 1 MiB.
struct Awkward;

fn insert_result(entry: &wire::InsertEntry) -> wire::InsertResult {
    let outcome = if entry.start_position == 13 {
        insert_result::Outcome::Error(unlucky())
    } else {
        let length = entry.start_position + 1;
        insert_result::Outcome::Ok(wire::InsertOutcome {
            length,
            ..Default::default()
        })
    };
    wire::InsertResult {
        outcome: Some(outcome),
    }
}

fn unlucky() -> wire::EntryError {
    let message = "start_position is 13, expected 12".into();
    wire::EntryError {
        code: Code::OutOfRange as i32,
        message,
    }
}

#[tonic::async_trait]
impl DataService for Awkward {
    async fn insert(
        &self,
        request: Request<wire::InsertRequest>,
    ) -> Result<Response<wire::InsertResponse>, Status> {
        let results = request
            .get_ref()
            .entries
            .iter()
            .map(insert_result)
            .collect();
        Ok(Response::new(wire::InsertResponse {
            results,
            boot_epoch: 5,
        }))
    }

    async fn insert_stream(
        &self,
        request: Request<Streaming<wire::InsertStreamRequest>>,
    ) -> Result<Response<wire::InsertStreamResponse>, Status> {
        let mut answer = wire::InsertStreamResponse::default();
        let mut messages = request.into_inner();
        while let Some(message) = messages.next().await {
            for entry in message?.entries {
                if entry.start_position == 13 {
                    let entry = answer.stored_entries + answer.failed_entries;
                    answer.failures.push(wire::StreamFailure {
                        entry,
                        error: Some(unlucky()),
                    });
                    answer.failed_entries += 1;
                } else {
                    answer.stored_entries += 1;
                }
            }
        }
        Ok(Response::new(answer))
    }

    async fn segment_cluster(
        &self,
        _: Request<wire::SegmentClusterRequest>,
    ) -> Result<Response<wire::SegmentClusterResponse>, Status> {
        Ok(Response::new(wire::SegmentClusterResponse::default()))
    }

    async fn top_clusters(
        &self,
        _: Request<wire::TopClustersRequest>,
    ) -> Result<Response<wire::TopClustersResponse>, Status> {
        let results = vec![wire::TopClustersResult { outcome: None }];
        Ok(Response::new(wire::TopClustersResponse {
            results,
            boot_epoch: 5,
        }))
    }

    async fn estimate(
        &self,
        _: Request<wire::EstimateRequest>,
    ) -> Result<Response<wire::EstimateResponse>, Status> {
        Err(Status::unavailable("the daemon is draining"))
    }

    async fn attend(
        &self,
        _: Request<wire::AttendRequest>,
    ) -> Result<Response<wire::AttendResponse>, Status> {
        tokio::time::sleep(Duration::from_mins(1)).await;
        Ok(Response::new(wire::AttendResponse::default()))
    }

    async fn fetch(
        &self,
        _: Request<wire::FetchRequest>,
    ) -> Result<Response<wire::FetchResponse>, Status> {
        let k = wire::Tensor {
            data: vec![0; 1 << 20].into(),
            ..Default::default()
        };
        let outcome = wire::FetchOutcome {
            k: Some(k),
            ..Default::default()
        };
        let outcome = Some(wire::fetch_result::Outcome::Ok(outcome));
        let results = vec![wire::FetchResult { outcome }];
        Ok(Response::new(wire::FetchResponse {
            results,
            boot_epoch: 5,
        }))
    }
}

/// An answer that has begun and does not go on.
struct Stalled;

impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Pending
    }
}

/// A client of `Awkward`, which is served as long as the folder lives.
async fn client(options: ConnectOptions) -> Result<(Client, tempfile::TempDir), ClientError> {
    let (listener, folder) = listener()?;
    let server = Server::builder().add_service(DataServiceServer::new(Awkward));
    tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    connected(folder, options).await
}

/// Serves answers that are all [`Stalled`].
async fn serve_stalled(listener: UnixListener) -> Result<(), tonic::transport::Error> {
    let stall = |answer: http::Response<Body>| answer.map(|_| Body::new(Stalled));
    let server = Server::builder()
        .layer(MapResponseLayer::new(stall))
        .add_service(DataServiceServer::new(Awkward));
    let connections = UnixListenerStream::new(listener);
    server.serve_with_incoming(connections).await
}

/// A client of a daemon whose answers are all [`Stalled`].
async fn client_of_stalled() -> Result<(Client, tempfile::TempDir), ClientError> {
    let (listener, folder) = listener()?;
    tokio::spawn(serve_stalled(listener));
    connected(folder, ConnectOptions::default()).await
}

/// The same, from a daemon that dies with all of its connections.
async fn client_of_stalled_that_dies(
    after: Duration,
) -> Result<(Client, tempfile::TempDir), ClientError> {
    let (listener, folder) = listener()?;
    let listener = listener.into_std().map_err(|error| malformed(&error))?;
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let serving = serve_stalled(UnixListener::from_std(listener)?);
            let _dead = tokio::time::timeout(after, serving).await;
            std::io::Result::Ok(())
        })
    });
    connected(folder, ConnectOptions::default()).await
}

fn listener() -> Result<(UnixListener, tempfile::TempDir), ClientError> {
    let folder = tempfile::tempdir().map_err(|error| malformed(&error))?;
    let listener =
        UnixListener::bind(folder.path().join("d.sock")).map_err(|error| malformed(&error))?;
    Ok((listener, folder))
}

fn malformed(error: &std::io::Error) -> ClientError {
    ClientError::Protocol {
        what: error.to_string(),
    }
}

async fn connected(
    folder: tempfile::TempDir,
    options: ConnectOptions,
) -> Result<(Client, tempfile::TempDir), ClientError> {
    let address = Address::Unix(folder.path().join("d.sock"));
    Ok((Client::connect_with(&address, options).await?, folder))
}

fn at(start_position: u32) -> wire::InsertEntry {
    wire::InsertEntry {
        start_position,
        ..Default::default()
    }
}

#[tokio::test]
async fn an_entry_fails_alone_and_with_its_index() {
    let (client, _folder) = client(ConnectOptions::default()).await.unwrap();
    let batch = client.insert(vec![at(1), at(13), at(2)]).await.unwrap();
    assert_eq!(batch.boot_epoch, 5);
    assert_eq!(batch.results[2].as_ref().unwrap().length, 3);
    let failed = batch.all().unwrap_err();
    assert_eq!(
        failed.to_string(),
        "entry 1: start_position is 13, expected 12 (OutOfRange)"
    );
    assert_eq!(client.insert_one(at(4)).await.unwrap().length, 5);
    let failed = client.insert_one(at(13)).await.unwrap_err();
    assert!(matches!(
        failed,
        ClientError::Entry {
            index: 0,
            code: Code::OutOfRange,
            ..
        }
    ));
}

#[tokio::test]
async fn a_stream_names_the_entry_that_failed() {
    let (client, _folder) = client(ConnectOptions::default()).await.unwrap();
    let stream = |positions: Vec<u32>| tokio_stream::iter(positions.into_iter().map(at));
    let answer = client
        .insert_stream_all(stream((0..10).collect()), 20)
        .await
        .unwrap();
    assert_eq!(answer.stored_entries, 10);
    let failed = client
        .insert_stream_all(stream(vec![1, 2, 13, 4]), 20)
        .await
        .unwrap_err();
    assert!(matches!(
        failed,
        ClientError::Entry {
            index: 2,
            code: Code::OutOfRange,
            ..
        }
    ));
    let answer = client
        .insert_stream(stream(vec![1, 2, 13, 4]), 20)
        .await
        .unwrap();
    assert_eq!((answer.stored_entries, answer.failed_entries), (3, 1));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_call_is_malformed() {
    let (client, _folder) = client(ConnectOptions::default()).await.unwrap();
    let none = client
        .segment_cluster_one(wire::LayerRef::default())
        .await
        .unwrap_err();
    assert_eq!(
        none.to_string(),
        "malformed answer: 0 results for 1 entries"
    );
    let empty = client
        .top_clusters_one(wire::TopClustersEntry::default())
        .await
        .unwrap_err();
    assert_eq!(
        empty.to_string(),
        "malformed answer: entry 0 has no outcome"
    );
}

#[tokio::test]
async fn a_refused_call_has_the_daemons_code_and_sentence() {
    let (client, _folder) = client(ConnectOptions::default()).await.unwrap();
    let refused = client.estimate(Vec::new()).await.unwrap_err();
    let message = "the daemon is draining".into();
    assert_eq!(
        refused,
        ClientError::Refused {
            code: Code::Unavailable,
            message
        }
    );
    // A service that this daemon does not have.
    let refused = client.stats(None).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unimplemented));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let (client, _folder) = client(ConnectOptions::default()).await.unwrap();
    let hasty = client.with_deadline(Some(Duration::from_millis(50)));
    let late = hasty.attend(Vec::new()).await.unwrap_err();
    let sentence = "the answer took longer than 50ms (DeadlineExceeded)";
    assert_eq!(late.to_string(), sentence);
}

#[tokio::test]
async fn a_call_whose_answer_has_begun_ends_at_its_deadline() {
    let (client, _folder) = client_of_stalled().await.unwrap();
    let hasty = client.with_deadline(Some(Duration::from_millis(50)));
    let late = hasty.insert_one(at(1)).await.unwrap_err();
    assert_eq!(late.code(), Some(Code::DeadlineExceeded), "{late}");
}

#[tokio::test]
async fn a_connection_that_breaks_within_an_answer_is_lost() {
    let soon = Duration::from_millis(200);
    let (client, _folder) = client_of_stalled_that_dies(soon).await.unwrap();
    let lost = client.insert_one(at(1)).await.unwrap_err();
    assert!(matches!(lost, ClientError::Lost { .. }), "{lost}");
}

#[tokio::test]
async fn an_answer_larger_than_allowed_is_refused() {
    let small = ConnectOptions {
        message_bytes: 1 << 16,
        ..ConnectOptions::default()
    };
    let (client, _folder) = client(small).await.unwrap();
    let refused = client
        .fetch_one(wire::FetchEntry::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some(Code::OutOfRange), "{refused}");
}

#[tokio::test]
async fn without_a_daemon_the_address_is_named() {
    let address: Address = "unix:/no/such.sock".parse().unwrap();
    let refused = Client::connect(&address).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("cannot connect to unix:/no/such.sock: No such file")
    );
}

#[tokio::test]
async fn a_listener_that_never_answers_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mute.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let connect_timeout = Duration::from_millis(100);
    let options = ConnectOptions {
        connect_timeout,
        ..ConnectOptions::default()
    };
    let connected = Client::connect_with(&Address::Unix(path), options).await;
    // HTTP/2 lets a client speak first, so a connection may stand; then the deadline is what ends a call.
    if let Ok(client) = connected {
        let call = client
            .with_deadline(Some(connect_timeout))
            .stats(None)
            .await;
        assert!(call.is_err());
    }
}
