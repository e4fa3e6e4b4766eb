//! `wavekv bench`: the files that it writes, and what it refuses before it measures.

use std::path::Path;

use crate::daemon::Daemon;
use crate::{json, trace, wavekv};

const SMALL: [&str; 10] = [
    "--tokens",
    "300,900",
    "--kv-heads",
    "2",
    "--head-dim",
    "32",
    "--queries",
    "5",
    "--checked",
    "3",
];

fn bench(daemon: &Daemon, out: &Path, more: &[&str]) -> std::process::Output {
    let out = ["bench", "--out", out.to_str().unwrap()];
    wavekv(daemon, &[&out[..], &SMALL, more].concat())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_page_plots_and_json_have_every_context_and_mode() {
    let daemon = Daemon::start();
    let trace = trace(daemon.folder());
    let out = daemon.folder().join("new/bench");
    let modes = ["--mode", "adaptive:0.1", "--mode", "adaptive:0.05", &trace];
    let printed = bench(&daemon, &out, &modes);
    assert!(printed.status.success(), "{printed:?}");
    let [page, plots, report] =
        ["bench.md", "bench.svg", "bench.json"].map(|name| read(&out.join(name)));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let contexts = report["contexts"].as_array().unwrap();
    let names: Vec<&str> = contexts
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["generated-300", "generated-900", "small"]);
    for context in contexts {
        let points = context["points"].as_array().unwrap();
        let methods: Vec<&str> = points
            .iter()
            .map(|p| p["method"].as_str().unwrap())
            .collect();
        assert_eq!(methods, ["exact", "adaptive:0.1", "adaptive:0.05"]);
        for point in points {
            assert_eq!(point["queries"], 5);
            // 3 of each layer, of which the trace file has two.
            let checked = if context["name"] == "small" { 5 } else { 3 };
            assert_eq!(point["checked"], checked);
            assert!(point["error_p99"].as_f64().unwrap() < 1e-5, "{point}");
            assert!(point["latency_p50_ms"].as_f64().unwrap() > 0.0, "{point}");
            assert_eq!(point["byte_share"], 1.0);
        }
        assert!(context["build"]["seconds"].as_f64().unwrap() > 0.0);
    }
    let table = String::from_utf8(printed.stdout).unwrap();
    for text in [
        "generated-300",
        "generated-900",
        "small",
        "adaptive:0.05",
        "exact",
    ] {
        assert!(page.contains(text) && table.contains(text), "{text}");
    }
    for text in [
        "300: adaptive",
        "900: exact",
        "small: adaptive",
        "adaptive:0.05",
    ] {
        assert!(plots.contains(text), "{text}");
    }
    // The collections of the run are gone.
    let left = wavekv(&daemon, &["collections", "ls", "--json"]);
    assert_eq!(json(&left), serde_json::json!([]));
}

#[test]
fn points_of_others_are_taken_in_where_the_context_is_the_same() {
    let daemon = Daemon::start();
    let first = daemon.folder().join("first");
    let mut theirs = json(&bench(&daemon, &first, &["--json", "--mode", "exact"]));
    theirs["contexts"][0]["points"][0]["system"] = "other".into();
    theirs["contexts"].as_array_mut().unwrap().truncate(1);
    let peers = daemon.folder().join("peers.json");
    std::fs::write(&peers, theirs.to_string()).unwrap();
    let peers = ["--mode", "exact", "--peers", peers.to_str().unwrap()];

    let report = json(&bench(&daemon, &first, &[&["--json"], &peers[..]].concat()));
    let systems = |context: usize| {
        let points = report["contexts"][context]["points"].as_array().unwrap();
        points
            .iter()
            .map(|p| p["system"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (systems(0), systems(1)),
        (vec!["wavekv", "other"], vec!["wavekv"])
    );
    assert!(read(&first.join("bench.md")).contains("other /"));

    let seed = [&["--seed", "2"], &peers[..]].concat();
    let refused = bench(&daemon, &first, &seed);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("none of its contexts is of this run")
    );
}

#[test]
fn what_cannot_be_measured_is_refused_first() {
    let daemon = Daemon::start();
    let out = daemon.folder().join("out");
    let sentence = |more: &[&str]| {
        let refused = bench(&daemon, &out, more);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        String::from_utf8(refused.stderr).unwrap()
    };
    assert!(sentence(&["/no/such/trace"]).contains("/no/such/trace"));
    assert!(sentence(&["--needles", "100"]).contains("needles is 100, expected 0 to 64"));
    let large = sentence(&[
        "--dtype",
        "f32",
        "--value-dim",
        "576",
        "--group",
        "1",
        "--tokens",
        "20000",
    ]);
    assert!(large.contains("larger memory.budget"), "{large}");
}
