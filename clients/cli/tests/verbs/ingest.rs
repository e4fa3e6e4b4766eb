//! `wavekv ingest`, and the collections that it makes.

use crate::daemon::Daemon;
use crate::{json, trace, wavekv};

#[test]
fn ingest_stores_every_token_and_the_collection_can_be_shown_forked_and_removed() {
    let daemon = Daemon::start();
    let trace = trace(daemon.folder());
    let line = [
        "ingest",
        &trace,
        "--name",
        "doc",
        "--tokens-per-insert",
        "100",
        "--cluster",
    ];
    let ingested = json(&wavekv(&daemon, &[&line[..], &["--json"]].concat()));
    assert_eq!(
        ingested["collection"]["layer_lengths"],
        serde_json::json!([600, 600])
    );
    let again = wavekv(&daemon, &line);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("(AlreadyExists)"));
    let shown = wavekv(&daemon, &["collections", "show", "doc"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("600") && shown.contains("shares nothing"),
        "{shown}"
    );
    let shown = json(&wavekv(&daemon, &["collections", "show", "doc", "--json"]));
    assert_eq!(shown["described"]["layers"].as_array().unwrap().len(), 2);
    let fork = |line: &[&str]| wavekv(&daemon, &[&["collections", "fork"], line].concat());
    let forked = fork(&["doc", "part", "--tokens", "250"]);
    let said = String::from_utf8_lossy(&forked.stdout).into_owned();
    assert_eq!(said, "part: the first 250 tokens of doc\n");
    let forked = json(&fork(&["doc", "all", "--json"]));
    assert_eq!(forked["collection"]["length"], 600);
    assert_eq!(fork(&["none", "all"]).status.code(), Some(1));
    let removed = wavekv(&daemon, &["collections", "rm", "doc", "other"]);
    assert_eq!(removed.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&removed.stdout), "removed doc\n");
    assert!(String::from_utf8_lossy(&removed.stderr).contains("error: 1 of 2 failed"));
}
