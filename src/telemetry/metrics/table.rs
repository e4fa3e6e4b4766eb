//! `METRICS.md`: the declarations as a table.
//!
//! `UPDATE=1 cargo test --workspace --lib metrics::table` rewrites it.

use std::fmt::Write as _;

use super::declared::{ALL, Kind};

const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/telemetry/metrics/METRICS.md"
);

const HEADER: &str = "\
# Metrics

What `/metrics` of `http.listen` has, in the text form of Prometheus. Counters begin at 0 with the process. Labels are of a
handful of values each: none names a collection, of which there may be any number. What was done with those that were used last,
`AdminService.Activity` tells, and `wavekv top` shows.

| metric | kind | unit | labels | what it says |
| --- | --- | --- | --- | --- |
";

fn generate() -> String {
    let mut page = HEADER.to_owned();
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, unit, labels, help) = (metric.name, metric.unit, labels.join(", "), metric.help);
        let help = help.replace('|', "\\|");
        // A string takes all.
        let _ = writeln!(page, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
    }
    page
}

#[test]
fn the_table_is_what_is_declared() {
    crate::config::golden::assert_is(PATH, &generate());
}
