//! Metrics: what a scrape of a daemon has after a little work over every transport, that all of it is documented, and that
//! the dashboard asks for nothing else.

use std::collections::{BTreeMap, BTreeSet};

use wavekv_client::{Address, Client, Code, wire};

use crate::harness::http::get;
use crate::harness::mode::{adaptive, exact};
use crate::harness::poll::{A_MINUTE, until};
use crate::harness::{Collection, Daemon, Sequence, Shape};

const METRICS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/telemetry/metrics/METRICS.md"
);
const DASHBOARD: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/telemetry/grafana/wavekv.json"
);
/// That Prometheus adds to every series.
const ADDED_LABELS: [&str; 2] = ["instance", "job"];

/// Words of the dashboard's expressions that are of the language.
const FUNCTIONS: [&str; 7] = [
    "sum",
    "by",
    "rate",
    "increase",
    "histogram_quantile",
    "label_values",
    "__rate_interval",
];

/// The series of a scrape, by name and labels as they are written, and the kinds of metrics.
struct Scrape {
    series: BTreeMap<String, f64>,
    kinds: BTreeMap<String, String>,
}

impl Scrape {
    async fn of(address: &str) -> Self {
        let answer = get(address, "/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(
            answer
                .head
                .contains("content-type: text/plain; version=0.0.4"),
            "{}",
            answer.head
        );
        let (mut series, mut kinds, mut helped) =
            (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for line in answer.body.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped.insert(help.split(' ').next().unwrap().to_owned());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                kinds.insert(name.to_owned(), kind.to_owned());
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let twice = series.insert(name.to_owned(), value.parse().unwrap());
                assert!(twice.is_none(), "{line}");
            }
        }
        assert!(kinds.keys().eq(&helped), "{kinds:?} and {helped:?}");
        Self { series, kinds }
    }

    fn value(&self, series: &str) -> f64 {
        let value = self.series.get(series);
        *value.unwrap_or_else(|| panic!("{series} is not of {:#?}", self.series))
    }

    /// Of all series of a metric that have these labels.
    fn sum(&self, metric: &str, labels: &[&str]) -> f64 {
        let series = self.series.iter().filter(|(series, _)| {
            name(series) == metric && labels.iter().all(|label| series.contains(label))
        });
        series.map(|(_, value)| value).sum()
    }

    fn names(&self) -> BTreeSet<&str> {
        self.series.keys().map(|series| name(series)).collect()
    }

    fn labels(&self) -> BTreeSet<&str> {
        let labels = self.series.keys().filter_map(|series| {
            let (_, labels) = series.split_once('{')?;
            Some(
                labels
                    .split("\",")
                    .filter_map(|label| Some(label.split_once('=')?.0)),
            )
        });
        labels.flatten().collect()
    }
}

fn name(series: &str) -> &str {
    series.split('{').next().unwrap()
}

/// A daemon that has been asked for a little over every transport, and what it then says.
async fn worked() -> (Daemon, Client, Collection, Scrape) {
    let daemon = Daemon::with(&[
        "http.listen=127.0.0.1:0",
        "grpc.listen=127.0.0.1:0",
        "audit.share=0",
    ]);
    let client = daemon.client().await;
    let shape = Shape::default();
    let sequence = Sequence::random(shape, 400, 1);
    let collection = Collection::create(&client, shape).await;
    collection.insert(&sequence, 0..300).await;
    let shm = daemon.shm_client().await;
    let over_shm = collection.on(&shm);
    over_shm.insert(&sequence, 290..400).await;
    collection.settle().await;
    over_shm.attend(&sequence, &[399], exact()).await;
    over_shm.attend(&sequence, &[399], exact()).await;
    let late = over_shm.fetch(0..401).await.unwrap_err();
    assert_eq!(late.code(), Some(Code::OutOfRange), "{late}");
    let tcp = Address::Http(daemon.tcp_address("127.0.0.1").await);
    let over_tcp = collection.on(&Client::connect(&tcp).await.unwrap());
    let question = wire::AttendEntry {
        audit: true,
        ..over_tcp.question(&sequence, &[399], adaptive(0.05))
    };
    over_tcp.client.attend_one(question).await.unwrap();
    let unknown = Collection::unmade(&client).name;
    client.get(unknown).await.unwrap_err();
    // A call is counted when its answer has left, which may be after its caller has it.
    let address = daemon.http_address().await;
    let counted = async || {
        let scrape = Scrape::of(&address).await;
        let gets = scrape.sum("wavekv_service_call_seconds_count", &["\"get\""]);
        let attends = scrape.sum("wavekv_service_call_seconds_count", &["\"attend\""]);
        ((gets, attends) == (1.0, 3.0)).then_some(scrape)
    };
    let scrape = until(A_MINUTE, counted).await.unwrap();
    (daemon, client, collection, scrape)
}

#[tokio::test]
async fn a_scrape_counts_what_was_done() {
    let (daemon, client, collection, scrape) = worked().await;
    for (series, expected) in [
        ("wavekv_engine_collections", 1.0),
        ("wavekv_engine_inserted_tokens_total", 400.0),
        ("wavekv_engine_tokens", 400.0),
        ("wavekv_engine_audits_total{asked=\"yes\"}", 1.0),
        ("wavekv_engine_audits_total{asked=\"no\"}", 0.0),
        ("wavekv_engine_layers_waiting", 0.0),
        ("wavekv_service_ready", 1.0),
        ("wavekv_service_shm_connections", 1.0),
        ("wavekv_service_trouble{code=\"collections_refused\"}", 0.0),
        ("wavekv_storage_disk_budget_bytes", 0.0),
    ] {
        let found = scrape.value(series);
        assert!(
            (found - expected).abs() < f64::EPSILON,
            "{series} is {found}"
        );
    }
    let calls = |labels: &[&str]| scrape.sum("wavekv_service_call_seconds_count", labels);
    for (labels, expected) in [
        (["\"attend\"", "\"shm\"", "\"ok\""], 2.0),
        (["\"attend\"", "\"grpc_tcp\"", "\"ok\""], 1.0),
        (["\"attend\"", "\"grpc_unix\"", "\"ok\""], 0.0),
        (["\"insert\"", "\"grpc_unix\"", "\"ok\""], 1.0),
        (["\"insert\"", "\"shm\"", "\"ok\""], 1.0),
        (["\"fetch\"", "\"shm\"", "\"ok\""], 1.0),
        (["\"get\"", "\"grpc_unix\"", "\"not_found\""], 1.0),
    ] {
        let found = calls(&labels);
        assert!(
            (found - expected).abs() < f64::EPSILON,
            "{labels:?}: {found}"
        );
    }
    let entries = |labels: &[&str]| scrape.sum("wavekv_service_entries_total", labels);
    assert!((entries(&["\"fetch\"", "\"out_of_range\""]) - 1.0).abs() < f64::EPSILON);
    assert!((entries(&["\"attend\"", "\"ok\""]) - 3.0).abs() < f64::EPSILON);
    for positive in [
        "wavekv_engine_segments_built_total",
        "wavekv_engine_clusters",
        "wavekv_engine_attend_read_bytes_total{kind=\"wave\"}",
        "wavekv_engine_attend_full_bytes_total{kind=\"wave\"}",
        "wavekv_storage_block_hits_total",
        "wavekv_storage_tier_bytes{tier=\"ram\"}",
        "wavekv_storage_tier_bytes{tier=\"disk\"}",
        "wavekv_storage_catalog_unwritten_bytes",
        "wavekv_storage_catalog_log_bytes",
        "wavekv_storage_file_system_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_threads",
        "process_start_time_seconds",
    ] {
        assert!(scrape.value(positive) > 0.0, "{positive}");
    }
    // What was counted stays counted when it is gone.
    collection.on(&client).delete().await;
    let after = Scrape::of(&daemon.http_address().await).await;
    for (metric, kind) in &scrape.kinds {
        if kind == "counter" {
            let (before, after) = (scrape.sum(metric, &[]), after.sum(metric, &[]));
            assert!(before <= after, "{metric} was {before} and is {after}");
        }
    }
    assert!(after.value("wavekv_engine_collections").abs() < f64::EPSILON);
}

#[tokio::test]
async fn the_ends_of_connections_over_shared_memory_are_counted() {
    let daemon = Daemon::with(&["http.listen=127.0.0.1:0", "shm.max_connections=1"]);
    let address = daemon.http_address().await;
    let first = daemon.shm_client().await;
    let path = Address::Shm(daemon.shm_socket());
    Client::connect(&path).await.unwrap_err();
    drop(first);
    let ended = async || {
        let scrape = Scrape::of(&address).await;
        let ended = "wavekv_service_shm_connections_ended_total{reason=\"client\"}";
        let left = scrape.value("wavekv_service_shm_connections");
        (scrape.value(ended) > 0.0 && left.abs() < f64::EPSILON).then_some(scrape)
    };
    let scrape = until(A_MINUTE, ended).await.unwrap();
    let refused = scrape.value("wavekv_service_shm_connections_refused_total");
    assert!((refused - 1.0).abs() < f64::EPSILON, "{refused}");
}

#[tokio::test]
async fn everything_that_is_exported_is_in_the_table_and_the_other_way_round() {
    let (.., scrape) = worked().await;
    let table = fs_err::read_to_string(METRICS).unwrap();
    let rows = table.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once('`')?;
        Some((name.to_owned(), rest.split('|').nth(1)?.trim().to_owned()))
    });
    let documented: BTreeMap<String, String> = rows.collect();
    assert_eq!(scrape.kinds, documented);
}

/// The values of all fields of a name, wherever they are.
fn fields<'a>(value: &'a serde_json::Value, named: &str, found: &mut Vec<&'a str>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        found.extend(value.as_str().filter(|_| name == named));
        fields(value, named, found);
    }
    for value in value.as_array().into_iter().flatten() {
        fields(value, named, found);
    }
}

fn is_of_language(word: &str) -> bool {
    FUNCTIONS.contains(&word) || word.starts_with(|at: char| at.is_ascii_digit())
}

/// The words of an expression, each with what follows it.
fn words(expression: &str) -> Vec<(&str, char)> {
    let is_word = |at: char| at.is_ascii_alphanumeric() || at == '_' || at == ':';
    let mut words = vec![];
    let mut rest = expression;
    while let Some(start) = rest.find(|at: char| is_word(at) || at == '"') {
        rest = &rest[start..];
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = &quoted[quoted.find('"').unwrap() + 1..];
            continue;
        }
        let end = rest.find(|at| !is_word(at)).unwrap_or(rest.len());
        let follows = rest[end..].trim_start().chars().next().unwrap_or(' ');
        words.push((&rest[..end], follows));
        rest = &rest[end..];
    }
    words
}

#[tokio::test]
async fn the_dashboard_asks_for_what_is_exported() {
    let (.., scrape) = worked().await;
    let dashboard: serde_json::Value =
        serde_json::from_str(&fs_err::read_to_string(DASHBOARD).unwrap()).unwrap();
    let (mut expressions, mut legends) = (vec![], vec![]);
    fields(&dashboard["panels"], "expr", &mut expressions);
    fields(&dashboard["panels"], "legendFormat", &mut legends);
    assert!(expressions.len() > 30, "{expressions:?}");
    fields(&dashboard["templating"], "query", &mut expressions);
    let (names, labels) = (scrape.names(), scrape.labels());
    let is_label = |word: &str| labels.contains(word) || ADDED_LABELS.contains(&word);
    // The query of the list of sources says their kind.
    for expression in expressions.into_iter().filter(|of| *of != "prometheus") {
        let mut asked = 0;
        for (word, follows) in words(expression) {
            if word.starts_with("wavekv_") || word.starts_with("process_") {
                assert!(
                    names.contains(word),
                    "{word} of {expression} is not exported"
                );
                asked += 1;
            } else if !is_of_language(word) {
                assert!(
                    is_label(word),
                    "{word} before {follows:?} in {expression} is nothing"
                );
            }
        }
        assert!(asked > 0, "{expression} asks for nothing");
    }
    for legend in legends {
        for label in legend.split("{{").skip(1) {
            let (label, _) = label.split_once("}}").unwrap();
            assert!(is_label(label), "{legend}");
        }
    }
}
