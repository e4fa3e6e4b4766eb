//! What the daemon tells an operator of itself: the settings that hold, what happened, and, to a service manager, that it is
//! ready and that it stops.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wavekv_client::Code::{InvalidArgument, ResourceExhausted};
use wavekv_client::wire::events_response::Told;
use wavekv_client::{Client, Events, wire};

use crate::bad_input::assert_refused;
use crate::harness::collection::named;
use crate::harness::daemon::command;
use crate::harness::{Collection, Daemon, Sequence, Shape};

/// Longer than any call takes, however busy the machine: one that takes longer hangs.
const A_MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn the_settings_that_hold_are_told_with_those_that_hold_by_default() {
    let daemon = Daemon::with(&["index.seed=77"]);
    let told = daemon.client().await.config().await.unwrap();
    let [now, default] = [&told.toml, &told.default_toml].map(|toml| {
        let parsed: toml::Table = toml.parse().unwrap();
        parsed
    });
    assert_eq!(now["index"]["seed"].as_integer(), Some(77));
    assert_ne!(default["index"]["seed"].as_integer(), Some(77));
    let data_dir = daemon.data_dir();
    assert_eq!(now["data_dir"].as_str(), data_dir.to_str());
    assert_eq!(told.boot_epoch, 1);
    // A file of settings, as they were: the daemon reads it.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told.toml");
    fs_err::write(&file, &told.toml).unwrap();
    let mut again = command();
    let again = again.arg("--config").arg(&file).arg("--print-config");
    assert_eq!(again.output().unwrap().stdout, told.toml.as_bytes());
}

fn all_since(after_sequence: u64) -> wire::EventsRequest {
    wire::EventsRequest {
        after_sequence,
        ..Default::default()
    }
}

/// The events that are told before the end.
async fn to_the_end(mut events: Events) -> Vec<wire::Event> {
    let mut told = vec![];
    while let Some(event) = next(&mut events).await {
        told.push(event);
    }
    told
}

async fn next(events: &mut Events) -> Option<wire::Event> {
    let word = tokio::time::timeout(A_MINUTE, events.next()).await;
    match word.unwrap().unwrap()?.told {
        Some(Told::Event(event)) => Some(event),
        other => panic!("{other:?}"),
    }
}

/// Of the events, those on a collection.
fn messages_on(events: &[wire::Event], name: &str) -> Vec<String> {
    let on = events.iter().filter(|event| {
        let mut fields = event.fields.iter();
        fields.any(|field| field.name == "collection" && field.value == format!("default/{name}"))
    });
    on.map(|event| event.message.clone()).collect()
}

async fn create(client: &Client, name: &str) -> Collection {
    let collection = Collection {
        client: client.clone(),
        name: named(name),
    };
    let request = collection.request(Shape::default(), wire::IndexParameters::default());
    client.create(request).await.unwrap();
    collection
}

#[tokio::test]
async fn what_happens_to_collections_is_an_event_whatever_is_logged() {
    let daemon = Daemon::with(&["log.level=info,wavekv::engine=off"]);
    let client = daemon.client().await;
    let whole = create(&client, "whole").await;
    whole
        .insert(&Sequence::random(Shape::default(), 60, 1), 0..60)
        .await;
    let fork = wire::ForkRequest {
        collection: Some(whole.name.clone()),
        name: "part".to_owned(),
        length: Some(20),
        ..Default::default()
    };
    client.fork(fork).await.unwrap();
    whole.delete().await;
    let events = to_the_end(client.events(all_since(0)).await.unwrap()).await;
    assert!(events.is_sorted_by(|a, b| a.sequence + 1 == b.sequence));
    assert_eq!(events[0].sequence, 1);
    assert!(events.iter().all(|event| event.unix_ms > 1_700_000_000_000));
    assert!(events.iter().any(|event| event.message == "ready"));
    let whole = messages_on(&events, "whole");
    assert_eq!(whole, ["collection created", "collection deleted"]);
    assert_eq!(messages_on(&events, "part"), ["collection forked"]);
    assert!(!daemon.log().contains("collection forked"));

    let last = events.last().unwrap().sequence;
    let none = to_the_end(client.events(all_since(last)).await.unwrap()).await;
    assert!(none.is_empty(), "{none:?}");
    let beyond = client.events(all_since(last + 1000)).await;
    assert_refused(beyond, InvalidArgument, "after_sequence is");
    let level = wire::EventsRequest {
        min_level: 9,
        ..Default::default()
    };
    assert_refused(client.events(level).await, InvalidArgument, "min_level is");
    let errors = wire::EventsRequest {
        min_level: wire::EventLevel::Error.into(),
        ..Default::default()
    };
    let errors = to_the_end(client.events(errors).await.unwrap()).await;
    assert!(errors.is_empty(), "{errors:?}");
}

#[tokio::test]
async fn who_follows_hears_what_comes_and_of_the_stop_and_does_not_delay_it() {
    let mut daemon = Daemon::with(&["shutdown_grace=1m"]);
    let client = daemon.client().await;
    let so_far = to_the_end(client.events(all_since(0)).await.unwrap()).await;
    let request = wire::EventsRequest {
        after_sequence: so_far.last().unwrap().sequence,
        follow: true,
        ..Default::default()
    };
    let mut following = client.events(request).await.unwrap();
    create(&client, "new").await;
    assert_eq!(
        next(&mut following).await.unwrap().message,
        "collection created"
    );
    daemon.signal(Signal::TERM);
    let rest = to_the_end(following).await;
    assert!(
        rest.iter().any(|event| event.message == "SIGTERM"),
        "{rest:?}"
    );
    assert!(daemon.wait().await.success());
    assert!(
        !daemon.log().contains("still in progress"),
        "{}",
        daemon.log()
    );
}

#[tokio::test]
async fn who_is_too_slow_is_told_how_much_was_lost() {
    let daemon = Daemon::start();
    let client = daemon.client().await;
    for _ in 0..600 {
        create(&client, "again").await.delete().await;
    }
    let mut events = client.events(all_since(1)).await.unwrap();
    let Some(Told::Lost(lost)) = events.next().await.unwrap().unwrap().told else {
        panic!("nothing is lost");
    };
    let rest = to_the_end(events).await;
    assert_eq!(rest[0].sequence, 2 + lost);
    assert_eq!(rest.len(), 1024);
}

#[tokio::test]
async fn a_refusal_for_want_of_room_is_an_event_and_a_burst_of_them_is_one() {
    let daemon = Daemon::with(&["disk.budget=1MiB"]);
    let client = daemon.client().await;
    let sequence = Sequence::random(Shape::default(), 4000, 1);
    let collection = create(&client, "large").await;
    for _ in 0..5 {
        let (_, refused) = collection
            .fill(&sequence, collection.length().await, 100)
            .await;
        assert_eq!(refused.code(), Some(ResourceExhausted), "{refused}");
    }
    let warnings = wire::EventsRequest {
        min_level: wire::EventLevel::Warn.into(),
        ..Default::default()
    };
    let events = to_the_end(client.events(warnings).await.unwrap()).await;
    let told: Vec<&wire::Event> = events
        .iter()
        .filter(|event| event.message == "refused for want of room")
        .collect();
    // One, or two where the machine is slow.
    assert!((1..=2).contains(&told.len()), "{events:?}");
    assert!(
        told[0]
            .fields
            .iter()
            .any(|field| field.value.contains("disk.budget"))
    );
}

#[tokio::test]
async fn a_service_manager_is_told_of_readiness_and_of_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(A_MINUTE)).unwrap();
    let data_dir = folder.path().join("data");
    let mut daemon = command()
        .arg("--data-dir")
        .arg(&data_dir)
        .args(["--listen", "", "--set", "http.listen="])
        .env("NOTIFY_SOCKET", &path)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = || {
        let mut word = [0; 256];
        let bytes = socket.recv(&mut word).unwrap();
        String::from_utf8_lossy(&word[..bytes]).trim().to_owned()
    };
    assert_eq!(told(), "READY=1");
    let address = wavekv_client::Address::Unix(data_dir.join("wavekvd.sock"));
    let client = Client::connect(&address).await.unwrap();
    client.stats(None).await.unwrap();
    drop(client);
    kill_process(
        Pid::from_raw(daemon.id().cast_signed()).unwrap(),
        Signal::TERM,
    )
    .unwrap();
    assert_eq!(told(), "STOPPING=1");
    assert!(daemon.wait().unwrap().success());
}
