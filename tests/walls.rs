//! The house rules as a test: who may know whom, and what stands nowhere.
//!
//! The tables below are the truth; `ARCHITECTURE.md` prints them between its `walls` markers, and `UPDATE=1 cargo test
//! --test walls` rewrites that. A failure names file and line. `walls/rules.rs` shows on bad samples that every rule can
//! fail.

#[path = "walls/page.rs"]
mod page;
#[path = "walls/rules.rs"]
mod rules;
#[path = "walls/source.rs"]
mod source;

use std::fmt::Write as _;
use std::path::Path;

use rules::Finding;
use source::Source;

/// A room of `src/` and the rooms that it may name. `lib.rs` and `main.rs` may name all.
struct Room {
    name: &'static str,
    knows: &'static [&'static str],
}

const ROOMS: [Room; 8] = [
    Room {
        name: "service",
        knows: &["engine", "collection", "index", "model", "telemetry"],
    },
    Room {
        name: "engine",
        knows: &["collection", "index", "model", "clock"],
    },
    Room {
        name: "collection",
        knows: &["index", "model"],
    },
    Room {
        name: "index",
        knows: &["model"],
    },
    Room {
        name: "model",
        knows: &[],
    },
    Room {
        name: "telemetry",
        knows: &["config", "clock"],
    },
    Room {
        name: "config",
        knows: &[],
    },
    Room {
        name: "clock",
        knows: &[],
    },
];

/// Crates that only some places of `src/` may name, by the beginning of their paths.
struct Outside {
    crates: &'static [&'static str],
    places: &'static [&'static str],
}

const OUTSIDE: [Outside; 10] = [
    Outside {
        crates: &[
            "wavekv_proto",
            "wavekv_shm",
            "prost",
            "tonic",
            "tonic_health",
            "tonic_prost",
            "tonic_reflection",
            "axum",
            "hyper",
            "hyper_util",
            "http_body",
            "percent_encoding",
            "tower",
        ],
        places: &["service", "main"],
    },
    Outside {
        crates: &["tokio", "tokio_stream"],
        places: &["service", "engine", "telemetry/events", "main"],
    },
    Outside {
        crates: &["rayon"],
        places: &["engine"],
    },
    Outside {
        crates: &["wavekv_kernels"],
        places: &["engine", "collection", "index", "model"],
    },
    Outside {
        crates: &["wavekv_storage"],
        // Of the index, what a segment is made of; selecting and estimating see slices.
        places: &[
            "engine",
            "collection",
            "index/build",
            "index/schema",
            "index/segment",
            "index/verify",
            "main",
        ],
    },
    Outside {
        crates: &["faiss"],
        places: &["index/kinds"],
    },
    Outside {
        crates: &[
            "clap",
            "clap_complete",
            "clap_mangen",
            "figment",
            "toml",
            "toml_example",
        ],
        places: &["config"],
    },
    Outside {
        crates: &[
            "opentelemetry",
            "opentelemetry_otlp",
            "opentelemetry_sdk",
            "prometheus",
            "tracing_opentelemetry",
            "tracing_subscriber",
        ],
        places: &["telemetry"],
    },
    Outside {
        crates: &["rustix"],
        places: &["service", "engine/background", "main"],
    },
    Outside {
        crates: &["sd_notify"],
        places: &["main"],
    },
];

/// Calls that only one place of the daemon may make.
const CALLS: [(&[&str], &str); 6] = [
    (&["Instant", "::", "now"], "src/clock.rs"),
    (&["SystemTime", "::", "now"], "src/clock.rs"),
    (&["env", "::", "var"], "src/config/"),
    (&["env", "::", "var_os"], "src/config/"),
    (&["env", "::", "vars"], "src/config/"),
    (&["env", "::", "vars_os"], "src/config/"),
];

const UNSAFE_ROOMS: [&str; 8] = [
    "clients/c/src/",
    "clients/python/src/",
    "kernels/shim/src/ffi.rs",
    "kernels/shim/src/gpu.rs",
    "kernels/src/cpu/",
    "kernels/src/cuda/",
    "proto/shm/src/memory.rs",
    "storage/src/residence/",
];

const MAX_LINES: usize = 800;

/// Crates that know no other crate of the workspace.
const ISLANDS: [&str; 4] = ["kernels", "storage", "proto", "proto/shm"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> std::io::Result<Vec<Source>> {
    let folders = [
        "src", "kernels", "storage", "proto", "clients", "tests", "benches",
    ];
    let sources = source::read(root(), &folders)?;
    assert!(
        sources.len() > 10,
        "the walls look at the wrong folder: {}",
        root().display()
    );
    Ok(sources)
}

fn in_src(source: &Source) -> bool {
    source.path.starts_with("src/")
}

/// What is built into the daemon, its crates and its clients.
fn in_production(source: &Source) -> bool {
    let path = &source.path;
    in_src(source) || (path.contains("/src/") && !path.starts_with("tests/"))
}

fn assert_none(findings: &[Finding]) {
    let mut report = String::new();
    for finding in findings {
        let _ = writeln!(report, "  {finding}");
    }
    assert!(findings.is_empty(), "{} times:\n{report}", findings.len());
}

#[test]
fn a_room_names_only_the_rooms_below_it() -> std::io::Result<()> {
    let sources = sources()?;
    let inner = sources.iter().filter(|source| in_src(source));
    assert_none(
        &inner
            .flat_map(|source| rules::edges(source, &ROOMS))
            .collect::<Vec<_>>(),
    );
    Ok(())
}

#[test]
fn a_crate_is_named_only_where_it_belongs() -> std::io::Result<()> {
    let sources = sources()?;
    let inner = sources.iter().filter(|source| in_src(source));
    assert_none(
        &inner
            .flat_map(|source| rules::outside(source, &OUTSIDE))
            .collect::<Vec<_>>(),
    );
    Ok(())
}

#[test]
fn clock_and_environment_are_read_in_one_place() -> std::io::Result<()> {
    let sources = sources()?;
    let inner = ["src/", "kernels/src/", "storage/src/", "proto/src/"];
    let inner = sources
        .iter()
        .filter(|source| inner.iter().any(|start| source.path.starts_with(start)));
    assert_none(
        &inner
            .flat_map(|source| rules::calls(source, &CALLS))
            .collect::<Vec<_>>(),
    );
    Ok(())
}

#[test]
fn unsafe_stays_in_its_rooms() -> std::io::Result<()> {
    let sources = sources()?;
    let findings = sources
        .iter()
        .flat_map(|source| rules::unsafe_code(source, &UNSAFE_ROOMS));
    assert_none(&findings.collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_file_is_one_idea() -> std::io::Result<()> {
    let sources = sources()?;
    let written = sources.iter().filter(|source| in_production(source));
    assert_none(
        &written
            .filter_map(|source| rules::too_long(source, MAX_LINES))
            .collect::<Vec<_>>(),
    );
    Ok(())
}

#[test]
fn a_folder_says_what_it_is_for() -> std::io::Result<()> {
    let sources = sources()?;
    let rooms = [
        "src/",
        "kernels/src/",
        "kernels/shim/src/",
        "storage/src/",
        "proto/shm/src/",
    ];
    assert_none(&rules::headers(&sources, &rooms));
    Ok(())
}

#[test]
fn nothing_is_left_to_do_without_a_reason() -> std::io::Result<()> {
    assert_none(
        &sources()?
            .iter()
            .flat_map(rules::left_to_do)
            .collect::<Vec<_>>(),
    );
    Ok(())
}

#[test]
fn a_file_is_named_for_what_is_in_it() -> std::io::Result<()> {
    assert_none(
        &sources()?
            .iter()
            .filter_map(rules::name)
            .collect::<Vec<_>>(),
    );
    Ok(())
}

#[test]
fn islands_know_no_other_crate_of_the_workspace() -> std::io::Result<()> {
    let mut findings = Vec::new();
    for island in ISLANDS {
        let path = format!("{island}/Cargo.toml");
        let manifest = std::fs::read_to_string(root().join(&path))?;
        findings.extend(rules::workspace_dependencies(&path, &manifest));
    }
    assert_none(&findings);
    Ok(())
}

#[test]
fn the_page_prints_these_tables() -> std::io::Result<()> {
    let path = root().join("ARCHITECTURE.md");
    let found = std::fs::read_to_string(&path)?;
    let Some(expected) = page::with_tables(&found, &ROOMS, &OUTSIDE) else {
        panic!("{} lacks {} and {}", path.display(), page::BEGIN, page::END);
    };
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(&path, expected);
    }
    assert!(
        found == expected,
        "{} has other tables: run this test with UPDATE=1",
        path.display()
    );
    Ok(())
}
