//! `wavekv top` without a terminal.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::daemon::Daemon;
use crate::{json, wavekv};

#[test]
fn one_page_is_of_one_interval() {
    let daemon = Daemon::start();
    let line = ["top", "--once", "--interval", "0.1"];
    let output = wavekv(&daemon, &line);
    assert!(output.status.success(), "{output:?}");
    let page = String::from_utf8(output.stdout).unwrap();
    // The daemon says that a second has gone by, whatever the clock of this test says.
    for words in [
        "over 1.0 s",
        "10.0/s, 0.0/s failed",
        "1.0 KiB/s, 10.0 % of the 10.0 KiB/s",
        "default/chat",
        "1.5 ms",
    ] {
        assert!(page.contains(words), "{words} is not in\n{page}");
    }
    assert_eq!(page.matches("wavekvd").count(), 1);
    let value = json(&wavekv(
        &daemon,
        &["top", "--once", "--interval", "0.1", "--json"],
    ));
    assert_eq!(value["throughput"]["calls_per_second"], 10.0);
    let median = value["calls"][0]["p50_seconds"].as_f64().unwrap();
    assert!((median - 0.0015).abs() < 1e-9, "{value}");
    assert_eq!(value["collections"][0]["name"], "chat");
}

#[test]
fn with_json_every_interval_is_a_line_until_nobody_reads_it() {
    let daemon = Daemon::start();
    let mut top = Command::new(env!("CARGO_BIN_EXE_wavekv"))
        .args(["top", "--json", "--interval", "0.1"])
        .env("WAVEKV_ADDRESS", daemon.address())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(top.stdout.take().unwrap()).lines();
    let mut uptime = 0.0;
    for _ in 0..3 {
        let line: serde_json::Value =
            serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let now = line["uptime_seconds"].as_f64().unwrap();
        assert!(now > uptime, "{line}");
        uptime = now;
    }
    drop(lines);
    assert!(top.wait().unwrap().success());
}

#[test]
fn an_interval_is_a_number_of_seconds() {
    let daemon = Daemon::start();
    let output = wavekv(&daemon, &["top", "--interval", "0"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let absent = ["top", "--once", "--address", "unix:/no/such.sock"];
    assert_eq!(wavekv(&daemon, &absent).status.code(), Some(3));
}
