//! `wavekv config` and `wavekv events`.

use crate::daemon::Daemon;
use crate::{json, wavekv};

fn said(daemon: &Daemon, line: &[&str]) -> String {
    let output = wavekv(daemon, line);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn settings_are_toml_or_json_and_only_those_that_differ_where_that_is_asked() {
    let daemon = Daemon::start();
    assert_eq!(said(&daemon, &["config"]), "a = 1\n\n[t]\nb = 2\nc = 4\n");
    assert_eq!(said(&daemon, &["config", "--diff"]), "[t]\nc = 4\n");
    let settings = json(&wavekv(&daemon, &["config", "--json"]));
    assert_eq!(settings["t"]["c"], 4);
}

#[test]
fn events_are_lines_for_people_or_for_programs() {
    let daemon = Daemon::start();
    let lines = said(&daemon, &["events"]);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].contains("5 earlier events"), "{lines:?}");
    assert!(lines[3].contains("error engine     event 3"), "{lines:?}");
    let line = ["events", "--json", "--level", "warn", "--after", "2"];
    let objects = said(&daemon, &line);
    let objects: Vec<serde_json::Value> = objects
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0]["lost"], 5);
    assert_eq!(objects[1]["message"], "event 3");
}
