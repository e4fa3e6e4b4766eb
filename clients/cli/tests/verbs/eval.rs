//! `wavekv eval`: its replay, and what it leaves behind.

use crate::daemon::Daemon;
use crate::{json, trace, wavekv};

#[test]
fn eval_replays_both_sets_and_finds_an_exact_daemon_exact() {
    let daemon = Daemon::start();
    let trace = trace(daemon.folder());
    let line = [
        "eval",
        &trace,
        "--queries",
        "all",
        "--mode",
        "exact",
        "--mode",
        "adaptive:0.05",
    ];
    let report = json(&wavekv(
        &daemon,
        &[&line[..], &["--per-layer", "--json"]].concat(),
    ));
    assert_eq!(report["isa"], "fake");
    let blocks = report["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        assert_eq!(block["count"], 64);
        let rows = block["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 6);
        for row in rows {
            assert!(row["error_p99"].as_f64().unwrap() < 1e-5, "{row}");
            assert!(
                (row["recalled_mass_p5"].as_f64().unwrap() - 1.0).abs() < 1e-5,
                "{row}"
            );
            assert_eq!(row["calibrated_share"], 1.0);
            assert_eq!(row["token_share"], 1.0);
            assert_eq!(row["audit"], serde_json::Value::Null);
        }
    }
    // The collections of the replay are gone.
    assert_eq!(
        json(&wavekv(&daemon, &["collections", "ls", "--json"])),
        serde_json::json!([])
    );
}

#[test]
fn eval_compares_what_audits_say_with_what_is_true() {
    let daemon = Daemon::start();
    let trace = trace(daemon.folder());
    let line = ["eval", &trace, "--mode", "exact", "--audit", "--json"];
    let report = json(&wavekv(&daemon, &line));
    let row = &report["blocks"][0]["rows"][0];
    assert_eq!(row["audit"]["covered_share"], 1.0);
    assert_eq!(row["audit"]["audited_mean"], 0.0);
}

#[test]
fn a_failed_replay_removes_its_collection_and_says_why() {
    let daemon = Daemon::start();
    let trace = trace(daemon.folder());
    let output = wavekv(&daemon, &["eval", &trace, "--mode", "retroinfer"]);
    assert_eq!(output.status.code(), Some(1));
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        sentence,
        "error: entry 0: mode retroinfer is beyond this daemon (InvalidArgument)\n"
    );
    assert_eq!(
        json(&wavekv(&daemon, &["collections", "ls", "--json"])),
        serde_json::json!([])
    );
}
