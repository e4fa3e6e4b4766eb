//! What a stranger finds at the door: health and reflection, on the Unix socket and over TCP.

use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use wavekv_client::{Address, Client};

use crate::harness::Daemon;

const SERVICES: [&str; 3] = [
    "wavekv.v1.AdminService",
    "wavekv.v1.CollectionsService",
    "wavekv.v1.DataService",
];

pub(crate) async fn channel(daemon: &Daemon) -> Channel {
    let address = Address::Unix(daemon.socket()).to_string();
    let endpoint = Endpoint::from_shared(address).unwrap();
    endpoint.connect().await.unwrap()
}

#[tokio::test]
async fn health_says_that_every_service_serves() {
    let daemon = Daemon::start();
    let mut health = HealthClient::new(channel(&daemon).await);
    for service in [""].into_iter().chain(SERVICES) {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_them() {
    let daemon = Daemon::start();
    let mut reflection = ServerReflectionClient::new(channel(&daemon).await);
    let describe = SERVICES.map(|name| MessageRequest::FileContainingSymbol(name.to_owned()));
    let requests = [MessageRequest::ListServices(String::new())]
        .into_iter()
        .chain(describe)
        .map(|request| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        });
    let requests = tokio_stream::iter(requests.collect::<Vec<_>>());
    let answers = reflection.server_reflection_info(requests).await.unwrap();
    let mut answers = answers.into_inner();
    let listed = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(listed)) = listed else {
        panic!("{listed:?}");
    };
    let listed: Vec<String> = listed.service.into_iter().map(|found| found.name).collect();
    for service in SERVICES.into_iter().chain(["grpc.health.v1.Health"]) {
        assert!(listed.iter().any(|name| name == service), "{listed:?}");
    }
    for service in SERVICES {
        let described = answers.message().await.unwrap().unwrap().message_response;
        let file = matches!(described, Some(MessageResponse::FileDescriptorResponse(_)));
        assert!(file, "{service}: {described:?}");
    }
}

#[tokio::test]
async fn a_loopback_address_serves_the_same() {
    let daemon = Daemon::with(&["grpc.listen=127.0.0.1:0"]);
    let address = Address::Http(daemon.tcp_address("127.0.0.1").await);
    let over_tcp = Client::connect(&address).await.unwrap();
    let stats = over_tcp.stats(None).await.unwrap();
    let at_the_socket = daemon.client().await.stats(None).await.unwrap();
    assert_eq!(stats.boot_epoch, at_the_socket.boot_epoch);
}
