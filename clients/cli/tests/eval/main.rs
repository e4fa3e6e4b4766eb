//! The real `wavekv` process against a small daemon that computes everything exactly.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a step that fails fails its test")]

mod daemon;

use std::path::Path;
use std::process::{Command, Output};

use daemon::Daemon;

fn wavekv(daemon: &Daemon, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wavekv"));
    command
        .args(arguments)
        .env("WAVEKV_ADDRESS", daemon.address())
        .output()
        .unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn trace(folder: &Path) -> String {
    let path = folder
        .join("small.safetensors")
        .to_str()
        .unwrap()
        .to_owned();
    let line = [
        "generate",
        &path,
        "--tokens",
        "600",
        "--layers",
        "2",
        "--value-dim",
        "32",
        "--json",
    ];
    let output = Command::new(env!("CARGO_BIN_EXE_wavekv"))
        .args(line)
        .output()
        .unwrap();
    assert_eq!(json(&output)["trace"]["tokens"], 600);
    path
}

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
        }
    }
    // The collections of the replay are gone.
    assert_eq!(
        json(&wavekv(&daemon, &["collections", "ls", "--json"])),
        serde_json::json!([])
    );
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

#[test]
fn ingest_stores_every_token_and_the_collection_can_be_shown_and_removed() {
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
    assert!(String::from_utf8_lossy(&shown.stdout).contains("600"));
    let removed = wavekv(&daemon, &["collections", "rm", "doc", "other"]);
    assert_eq!(removed.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&removed.stdout), "removed doc\n");
    assert!(String::from_utf8_lossy(&removed.stderr).contains("error: 1 of 2 failed"));
}

#[test]
fn exit_codes_tell_usage_files_and_connections_apart() {
    let daemon = Daemon::start();
    let code = |arguments: &[&str]| wavekv(&daemon, arguments).status.code();
    assert_eq!(code(&["stats"]), Some(0));
    assert_eq!(code(&["eval"]), Some(2));
    assert_eq!(code(&["eval", "/no/such/file"]), Some(2));
    assert_eq!(code(&["stats", "--address", "unix:/no/such.sock"]), Some(3));
    assert_eq!(code(&["collections", "show", "nothing"]), Some(1));
}
