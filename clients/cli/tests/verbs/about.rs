//! `wavekv health`, `wavekv config` and `wavekv events`.

use wavekv_client::wire;

use crate::daemon::Daemon;
use crate::{json, wavekv};

fn said(daemon: &Daemon, line: &[&str]) -> String {
    let output = wavekv(daemon, line);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn in_health(ready: bool, severity: wire::Severity, code: &str) -> Daemon {
    let reason = wire::HealthReason {
        severity: severity.into(),
        code: code.into(),
        sentence: "because it is so".into(),
    };
    Daemon::in_health(wire::HealthResponse {
        ready,
        reasons: vec![reason],
        ..Default::default()
    })
}

#[test]
fn health_is_a_word_and_reasons_and_its_exit_code_says_whether_calls_are_answered() {
    assert_eq!(said(&Daemon::start(), &["health"]), "ready\n");
    let degraded = in_health(true, wire::Severity::Degraded, "disk_low");
    let page = said(&degraded, &["health"]);
    assert!(page.starts_with("ready, degraded\n"), "{page}");
    assert!(
        page.contains("disk_low") && page.contains("because"),
        "{page}"
    );

    let opening = in_health(false, wire::Severity::Unavailable, "recovering");
    for line in [&["health"][..], &["health", "--json"]] {
        let output = wavekv(&opening, line);
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let page = String::from_utf8(output.stdout).unwrap();
        assert!(
            page.contains("unavailable") && page.contains("recovering"),
            "{page}"
        );
    }
    let absent = ["health", "--address", "unix:/no/such.sock"];
    assert_eq!(wavekv(&opening, &absent).status.code(), Some(3));
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
