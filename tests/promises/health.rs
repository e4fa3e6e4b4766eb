//! Health: what a daemon says of itself, over HTTP and gRPC, when it is well and when it is not, and to whom it says nothing.

use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::process::Signal;
use wavekv_client::wire::Severity;
use wavekv_client::wire::events_response::Told;
use wavekv_client::{Address, Client, Code, wire};

use crate::harness::daemon::{collection_files, command, refusal};
use crate::harness::http::{ask, get, get_json};
use crate::harness::poll::{A_MINUTE, until};
use crate::harness::{Collection, Daemon, Sequence, Shape};

const HTTP: &str = "http.listen=127.0.0.1:0";

/// Of what is not well, that whoever runs the tests may have a full disk.
fn of_this_daemon(code: &str) -> bool {
    code != "disk_low"
}

fn codes(health: &wire::HealthResponse) -> Vec<&str> {
    let codes = health.reasons.iter().map(|reason| reason.code.as_str());
    codes.filter(|code| of_this_daemon(code)).collect()
}

#[tokio::test]
async fn a_daemon_that_is_well_says_so_on_every_way() {
    let daemon = Daemon::with(&[HTTP]);
    let address = daemon.http_address().await;
    for path in ["/livez", "/readyz"] {
        let answer = get(&address, path).await;
        assert_eq!((answer.status, &*answer.body), (200, "ok\n"), "{path}");
        let (status, json) = get_json(&address, path).await;
        let expected = serde_json::json!({ "status": "ok", "reasons": [] });
        assert_eq!((status, json), (200, expected), "{path}");
    }
    assert_eq!(get(&address, "/healthz").await.status, 200);
    let client = daemon.client().await;
    let health = client.health().await.unwrap();
    assert!(health.ready && codes(&health).is_empty(), "{health:?}");
    let stats = client.stats(None).await.unwrap();
    assert_eq!(health.boot_epoch, stats.boot_epoch);
}

/// A daemon that opens its only collection until somebody writes to the file, and the collection.
async fn recovering(folder: &Path) -> (Daemon, PathBuf, Collection) {
    let mut daemon = Daemon::within(folder, &[]);
    let shape = Shape::default();
    let collection = Collection::create(&daemon.client().await, shape).await;
    collection
        .insert(&Sequence::random(shape, 400, 1), 0..400)
        .await;
    collection.settle().await;
    daemon.kill();
    // Whoever opens it waits until somebody writes.
    let segments = collection_files(&daemon.data_dir()).into_iter();
    let mut segments = segments.filter(|path| path.extension().is_some_and(|end| end == "arrow"));
    let segment = segments.next().unwrap();
    fs_err::remove_file(&segment).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &segment, mode).unwrap();

    (Daemon::begun_within(folder, &[HTTP]), segment, collection)
}

/// Lets whoever waits to read the file, if anybody does, find that there is nothing in it.
fn write_nothing_to(segment: &Path) {
    let mut options = fs_err::OpenOptions::new();
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    options.write(true).custom_flags(nonblocking);
    drop(options.open(segment));
}

#[tokio::test]
async fn a_daemon_that_recovers_says_so_and_then_names_what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, segment, collection) = recovering(folder.path()).await;
    let address = daemon.http_address().await;
    assert_eq!(get(&address, "/livez").await.status, 200);
    for path in ["/readyz", "/healthz"] {
        let answer = get(&address, path).await;
        assert_eq!(answer.status, 503, "{path}");
        let sentence =
            "unavailable recovering: the daemon is opening its collections: 0 of 1 are open\n";
        assert!(answer.body.starts_with(sentence), "{}", answer.body);
        let (status, json) = get_json(&address, path).await;
        assert_eq!((status, &json["status"]), (503, &"unavailable".into()));
        assert_eq!(json["reasons"][0]["code"], "recovering");
    }
    let (status, overview) = get_json(&address, "/inspector/api/overview").await;
    assert_eq!((status, &overview["status"]), (200, &"unavailable".into()));
    assert!(overview["sizes"].is_null(), "{overview}");
    let (status, refused) = get_json(&address, "/inspector/api/collections").await;
    let sentence = "the daemon is opening its collections: 0 of 1 are open";
    assert_eq!((status, &refused["error"]), (503, &sentence.into()));
    let client = daemon.client().await;
    let health = client.health().await.unwrap();
    assert!(!health.ready);
    assert_eq!(codes(&health), ["recovering"]);
    assert_eq!(health.reasons[0].severity(), Severity::Unavailable);
    let early = client.stats(None).await.unwrap_err();
    assert_eq!(early.code(), Some(Code::Unavailable), "{early}");

    let opened = async || {
        write_nothing_to(&segment);
        (get(&address, "/readyz").await.status == 200).then_some(())
    };
    assert!(until(A_MINUTE, opened).await.is_some(), "{}", daemon.log());
    daemon.wait_until_it_serves();
    let health = client.health().await.unwrap();
    assert!(health.ready);
    assert_eq!(codes(&health), ["collections_refused"]);
    let name = &collection.name.name;
    let (status, json) = get_json(&address, "/healthz").await;
    assert_eq!((status, &json["status"]), (200, &"degraded".into()));
    let answer = get(&address, "/healthz").await;
    assert!(answer.body.contains(name), "{}", answer.body);
    collection.on(&client).delete().await;
    assert!(codes(&client.health().await.unwrap()).is_empty());
}

#[tokio::test]
async fn who_asks_a_daemon_that_recovers_for_settings_and_events_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, segment, _collection) = recovering(folder.path()).await;
    let socket = async || Client::connect(&Address::Unix(daemon.socket())).await.ok();
    let client = until(A_MINUTE, socket).await.unwrap();
    let told = client.config().await.unwrap();
    let settings: toml::Table = told.toml.parse().unwrap();
    assert_eq!(settings["data_dir"].as_str(), daemon.data_dir().to_str());
    let request = wire::EventsRequest {
        follow: true,
        ..Default::default()
    };
    let mut events = client.events(request).await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    let Some(Told::Event(first)) = first.told else {
        panic!("{first:?}");
    };
    assert_eq!(first.sequence, 1);
    client.activity(1).await.unwrap();
    assert!(!client.health().await.unwrap().ready);

    let ready = async {
        while let Some(word) = events.next().await.unwrap() {
            if matches!(word.told, Some(Told::Event(event)) if event.message == "ready") {
                return true;
            }
        }
        false
    };
    let opened = async || {
        write_nothing_to(&segment);
        client.health().await.unwrap().ready.then_some(())
    };
    let (ready, opened) = tokio::join!(ready, until(A_MINUTE, opened));
    assert!(ready && opened.is_some(), "{}", daemon.log());
}

#[tokio::test]
async fn a_disk_budget_that_is_nearly_used_up_is_told() {
    let daemon = Daemon::with(&["disk.budget=1MiB"]);
    let client = daemon.client().await;
    let shape = Shape::default();
    let collection = Collection::create(&client, shape).await;
    let sequence = Sequence::random(shape, 20_000, 1);
    let mut stored = 0;
    // Segments that are merged meanwhile make room again.
    let told = async || {
        let (length, full) = collection.fill(&sequence, stored, 20).await;
        assert_eq!(full.code(), Some(Code::ResourceExhausted), "{full}");
        stored = length;
        let health = client.health().await.unwrap();
        let told = codes(&health).contains(&"disk_budget_low");
        told.then_some(health.ready)
    };
    assert_eq!(until(A_MINUTE, told).await, Some(true));
}

#[tokio::test]
async fn a_daemon_that_stops_says_so_as_long_as_a_call_is_in_progress() {
    let mut daemon = Daemon::with(&[HTTP, "shutdown_grace=10m"]);
    let address = daemon.http_address().await;
    let client = daemon.client().await;
    let (entries, stream) = tokio::sync::mpsc::channel(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let shape = Shape::default();
    let collection = Collection::create(&client, shape).await;
    let sequence = Sequence::random(shape, 2, 1);
    let streaming = client.clone();
    let call = tokio::spawn(async move { streaming.insert_stream(stream, 1).await });
    for token in 0..2 {
        let entry = collection.entry(&sequence, token..token + 1);
        entries.send(entry).await.unwrap();
    }
    let stored = async || (collection.length().await > 0).then_some(());
    assert!(until(A_MINUTE, stored).await.is_some());
    daemon.signal(Signal::TERM);
    daemon.wait_until_it_stops_listening().await;
    let answer = get(&address, "/readyz").await;
    let said = (answer.status, answer.body.as_str());
    assert_eq!(
        said,
        (503, "unavailable stopping: the daemon is stopping\n")
    );
    assert_eq!(get(&address, "/livez").await.status, 200);
    drop(entries);
    assert_eq!(call.await.unwrap().unwrap().stored_entries, 2);
    assert!(daemon.wait().await.success(), "{}", daemon.log());
}

#[tokio::test]
async fn a_page_of_the_web_finds_nothing_at_the_door() {
    let daemon = Daemon::with(&[HTTP]);
    let address = daemon.http_address().await;
    let named = |host: &str| format!("GET /livez HTTP/1.1\r\nHost: {host}");
    for host in [
        "evil.example",
        "evil.example:7601",
        "localhost.evil.example",
    ] {
        let answer = ask(&address, &named(host)).await;
        assert_eq!(answer.status, 403, "{host}: {answer:?}");
        assert!(answer.body.contains(host), "{answer:?}");
    }
    for host in ["localhost", "127.0.0.1", "[::1]:7601"] {
        assert_eq!(ask(&address, &named(host)).await.status, 200, "{host}");
    }
    let whole = "GET http://evil.example/livez HTTP/1.1\r\nHost: localhost";
    assert_eq!(ask(&address, whole).await.status, 403);
    for method in ["POST", "DELETE", "OPTIONS"] {
        let head = format!("{method} /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0");
        let answer = ask(&address, &head).await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{answer:?}");
        assert!(!answer.head.contains("access-control"), "{answer:?}");
    }
    let answer = get(&address, "/nothing").await;
    assert_eq!(answer.status, 404);
    for header in ["cache-control: no-store", "x-content-type-options: nosniff"] {
        assert!(answer.head.contains(header), "{answer:?}");
    }
    let head = ask(&address, "HEAD /livez HTTP/1.1\r\nHost: localhost").await;
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[tokio::test]
async fn a_wider_address_is_refused_unless_it_is_allowed_and_a_taken_one_is_named() {
    let said = refusal(command().args(["--set", "http.listen=0.0.0.0:0"])).await;
    let named = "setting http.listen is \"0.0.0.0:0\" (from flag --set";
    assert!(
        said.contains(named) && said.contains("http.allow_non_loopback"),
        "{said}"
    );

    let other = Daemon::with(&[HTTP, "http.allow_non_loopback=true"]);
    let address = other.http_address().await;
    let head = "GET /livez HTTP/1.1\r\nHost: any.example";
    assert_eq!(ask(&address, head).await.status, 200);
    let folder = tempfile::tempdir().unwrap();
    let mut command = command();
    command.arg("--data-dir").arg(folder.path().join("data"));
    command.args(["--listen", "", "--set", &format!("http.listen={address}")]);
    let said = refusal(&mut command).await;
    assert!(
        said.contains(&format!("http.listen is {address}: ")),
        "{said}"
    );
}
