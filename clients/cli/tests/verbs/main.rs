//! The real `wavekv` process against a small daemon that computes everything exactly.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a step that fails fails its test")]

mod about;
mod bench;
mod collections;
mod daemon;
mod eval;
mod export;
mod ingest;
mod pages;
mod top;

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
fn exit_codes_tell_usage_files_and_connections_apart() {
    let daemon = Daemon::start();
    let code = |arguments: &[&str]| wavekv(&daemon, arguments).status.code();
    assert_eq!(code(&["stats"]), Some(0));
    assert_eq!(code(&["eval"]), Some(2));
    assert_eq!(code(&["eval", "/no/such/file"]), Some(2));
    assert_eq!(code(&["stats", "--address", "unix:/no/such.sock"]), Some(3));
    assert_eq!(code(&["collections", "show", "nothing"]), Some(1));
}
