//! What a stranger finds at the door: health and reflection, on the Unix socket and over TCP, encrypted or not.

use std::path::Path;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use wavekv_client::{Address, Client};
use wavekv_proto::v1::StatsRequest;
use wavekv_proto::v1::admin_service_client::AdminServiceClient;

use crate::harness::Daemon;
use crate::harness::daemon::{command, refusal};

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

/// A certificate for this machine's loopback that vouches for itself, and the settings that name it.
fn certificate(folder: &Path) -> (String, [String; 2]) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
    fs_err::write(&certificate, made.cert.pem()).unwrap();
    fs_err::write(&key, made.signing_key.serialize_pem()).unwrap();
    let settings = [
        format!("grpc.tls_certificate={}", certificate.display()),
        format!("grpc.tls_key={}", key.display()),
    ];
    (made.cert.pem(), settings)
}

#[tokio::test]
async fn with_a_certificate_tcp_is_encrypted_and_who_does_not_trust_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, [certificate, key]) = certificate(folder.path());
    let daemon = Daemon::with(&["grpc.listen=127.0.0.1:0", &certificate, &key]);
    let authority = daemon.tcp_address("127.0.0.1").await;

    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    let endpoint = Endpoint::from_shared(format!("https://{authority}")).unwrap();
    let channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
    let mut admin = AdminServiceClient::new(channel);
    let answer = admin.stats(StatsRequest::default()).await.unwrap();
    let encrypted = answer.into_inner();
    let at_the_socket = daemon.client().await.stats(None).await.unwrap();
    assert_eq!(encrypted.boot_epoch, at_the_socket.boot_epoch);

    // The system does not know who signed it. That one who does is served through this client, clients/python tests.
    let strange = Client::connect(&Address::Https(authority.clone())).await;
    let sentence = strange.unwrap_err().to_string();
    assert!(sentence.contains("certificate"), "{sentence}");
    let plain = async {
        Client::connect(&Address::Http(authority))
            .await?
            .stats(None)
            .await
    };
    assert!(plain.await.is_err());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (_, [certificate, key]) = certificate(folder.path());
    let absent = format!("grpc.tls_key={}/absent", folder.path().display());
    let garbage = folder.path().join("garbage.pem");
    fs_err::write(&garbage, "no certificate").unwrap();
    let garbage = format!("grpc.tls_certificate={}", garbage.display());
    let none = "grpc.tls_key=".to_owned();
    for (certificate, key, expected) in [
        (&certificate, &absent, "grpc.tls_key is "),
        (
            &garbage,
            &key,
            "expected a certificate and its private key as PEM",
        ),
        (&certificate, &none, "setting grpc.tls_key is \"\""),
    ] {
        let data = folder.path().join("data");
        let mut command = command();
        command
            .arg("--data-dir")
            .arg(data)
            .args(["--set", "grpc.listen=127.0.0.1:0"]);
        let said = refusal(command.args(["--set", certificate, "--set", key])).await;
        assert!(said.contains(expected), "{said}");
    }
}
