//! `wavekv collections`: what is listed, what is suggested, and what is shown again.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::daemon::Daemon;
use crate::{json, trace, wavekv};

fn daemon_with(names: &[&str]) -> Daemon {
    let daemon = Daemon::start();
    let trace = trace(daemon.folder());
    for name in names {
        json(&wavekv(
            &daemon,
            &["ingest", &trace, "--name", name, "--json"],
        ));
    }
    daemon
}

fn names(daemon: &Daemon, flags: &[&str]) -> Vec<String> {
    let line = [&["collections", "ls", "--json"], flags].concat();
    let listed = json(&wavekv(daemon, &line));
    let listed = listed.as_array().unwrap().iter();
    listed
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_list_is_filtered_and_in_the_order_that_was_asked_for() {
    let daemon = daemon_with(&["chat-1", "chat-2"]);
    let fork = ["collections", "fork", "chat-1", "alone", "--tokens", "9"];
    assert!(wavekv(&daemon, &fork).status.success());
    assert_eq!(names(&daemon, &[]), ["alone", "chat-1", "chat-2"]);
    let reversed = names(&daemon, &["--sort", "tokens", "--reverse"]);
    assert_eq!(reversed, ["chat-2", "chat-1", "alone"]);
    assert_eq!(
        names(&daemon, &["--min-tokens", "10"]),
        ["chat-1", "chat-2"]
    );
    assert!(names(&daemon, &["--refused"]).is_empty());
}

#[test]
fn a_name_that_is_not_there_gets_those_that_come_near() {
    let daemon = daemon_with(&["chat-1", "document"]);
    let never = daemon.folder().join("never.arrow");
    let never = never.to_str().unwrap();
    for line in [
        &["collections", "show", "chat1"][..],
        &["collections", "rm", "chat1"],
        &["collections", "fork", "chat1", "other"],
        &[
            "collections",
            "export",
            "chat1",
            "--format",
            "arrow",
            "--out",
            never,
        ],
    ] {
        let output = wavekv(&daemon, line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.trim_end().ends_with("did you mean chat-1?"), "{said}");
    }
    let none = wavekv(&daemon, &["collections", "show", "zebra"]);
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(!said.contains("did you mean"), "{said}");
    let verb = wavekv(&daemon, &["collections", "shwo", "chat-1"]);
    let said = String::from_utf8_lossy(&verb.stderr).into_owned();
    assert_eq!(verb.status.code(), Some(2));
    assert!(said.contains("'show'"), "{said}");
}

#[test]
fn what_is_watched_is_shown_again_and_ctrl_c_ends_it_well() {
    let daemon = daemon_with(&["chat-1"]);
    let mut watching = Command::new(env!("CARGO_BIN_EXE_wavekv"))
        .args(["collections", "ls", "--watch=0.1"])
        .env("WAVEKV_ADDRESS", daemon.address())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let pages = lines.by_ref().map(Result::unwrap);
    // One after the other, without a word for a terminal.
    let mut pages = pages.filter(|line| {
        assert!(!line.contains('\x1b'), "{line:?}");
        line.contains("chat-1")
    });
    for _ in 0..3 {
        pages.next().unwrap();
    }
    let id = Pid::from_raw(watching.id().cast_signed()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(0));
}

#[test]
fn who_watches_ends_when_nobody_reads_it() {
    let daemon = daemon_with(&[]);
    let mut watching = Command::new(env!("CARGO_BIN_EXE_wavekv"))
        .args(["stats", "--watch=0.1"])
        .env("WAVEKV_ADDRESS", daemon.address())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(watching.stdout.take());
    assert_eq!(watching.wait().unwrap().code(), Some(0));
}
