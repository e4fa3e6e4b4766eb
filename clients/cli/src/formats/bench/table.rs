//! A context as a table with two sentences, for a terminal or a page.

use comfy_table::CellAlignment;

use super::report::{Context, Machine, Point};
use super::rivals;
use crate::formats;

const HEADER: [&str; 14] = [
    "system",
    "method",
    "e mean",
    "e p99",
    "estimated e",
    "calibrated",
    "bytes",
    "steady",
    "retrieved",
    "coded",
    "estimated",
    "ms p50",
    "ms p99",
    "exact /",
];

/// What the columns and sentences mean.
pub(crate) const LEGEND: &str = "\
e: |out - exact| / |exact| per checked query and query head, exact in f64. estimated e: the mean of what the answers say themselves.
calibrated: errors that the estimate is within a factor 2 of, or both below 0.001.
bytes: of K, V, codes and meta index that the daemon reads, as a share of full attention's.
steady, retrieved, coded, estimated: tokens of the zones a query and KV head; what is in none is ignored.
ms: one attend call of one query token and one layer, as the client sees it, over gRPC; other systems in their own process.
wavekv-flat, wavekv-ivf, wavekv-hnsw: the daemon with that kind of index.
exact /: the time of exact mode divided by this time.
pytorch /, faiss /: the time of that system's fastest setting that computes all tokens or has no larger e mean, divided by this time.";

/// For a terminal.
pub(crate) fn table(machine: &Machine, context: &Context) -> String {
    format!(
        "{}: {}\n{}\n{}",
        context.name,
        context.trace,
        sentences(machine, context).join("\n"),
        points(context, false)
    )
}

/// How it was stored, and how near exact mode comes to what the memory gives.
pub(super) fn sentences(machine: &Machine, context: &Context) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(build) = context.build {
        sentences.push(format!(
            "Stored in {:.2} s and clustered after {:.2} s: {:.2} million tokens x KV heads a second. \
             {} clusters; the meta index is {} of K and V, codes are {}.",
            build.insert_seconds,
            build.seconds,
            build.tokens_times_kv_heads_per_second / 1e6,
            build.clusters,
            formats::percent(build.meta_index_bytes as f64 / build.payload_bytes as f64),
            formats::percent(build.code_bytes as f64 / build.payload_bytes as f64),
        ));
    }
    if let (Some(exact), Some(machine)) = (context.exact(), machine.read_bytes_per_second) {
        let rate = context.layer_bytes as f64 / (exact.latency_p50_ms / 1e3);
        sentences.push(format!(
            "Exact mode reads {:.1} GB a second: {} of what the memory gives.",
            rate / 1e9,
            formats::percent(rate / machine),
        ));
    }
    sentences
}

/// A line per point.
pub(super) fn points(context: &Context, markdown: bool) -> String {
    let systems = rivals::systems(context);
    let mut table = formats::table(&HEADER, 2, markdown);
    let mut header: Vec<String> = HEADER.map(str::to_owned).to_vec();
    header.extend(systems.iter().map(|system| format!("{system} /")));
    table.set_header(header);
    for index in HEADER.len()..HEADER.len() + systems.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for point in &context.points {
        let mut cells = cells(context, point);
        cells.extend(systems.iter().map(|system| {
            let rival =
                rivals::fastest(context, system, point.error_mean).filter(|_| point.is_ours());
            ratio(rival, point)
        }));
        table.add_row(cells);
    }
    table.trim_fmt()
}

fn cells(context: &Context, point: &Point) -> Vec<String> {
    let error = |error: Option<f64>| error.map_or_else(|| "-".into(), formats::error);
    let share = |share: Option<f64>| formats::percent(share.unwrap_or(f64::NAN));
    let zone = |tokens: Option<f64>| tokens.map_or_else(|| "-".into(), |x| format!("{x:.0}"));
    let zones = point.zones;
    vec![
        point.system.clone(),
        point.method.clone(),
        error(point.error_mean),
        error(point.error_p99),
        error(point.error_estimate_mean),
        share(point.calibrated_share),
        share(point.byte_share),
        zone(zones.map(|zones| zones.steady)),
        zone(zones.map(|zones| zones.retrieved)),
        zone(zones.map(|zones| zones.coded)),
        zone(zones.map(|zones| zones.estimated)),
        format!("{:.2}", point.latency_p50_ms),
        format!("{:.2}", point.latency_p99_ms),
        ratio(context.exact(), point),
    ]
}

/// The time of `other` in times of `point`.
fn ratio(other: Option<&Point>, point: &Point) -> String {
    other.map_or_else(
        || "-".into(),
        |other| format!("{:.2}", other.latency_p50_ms / point.latency_p50_ms),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::bench::sample;

    #[test]
    fn a_context_says_what_it_cost_and_how_it_compares() {
        let report = sample::report_with_peers();
        let text = table(&report.machine, &report.contexts[0]);
        for part in [
            "generated-8192: 8192 tokens, layers [0], 32 query heads on 8 KV heads",
            "Stored in 0.50 s and clustered after 2.00 s: 0.03 million tokens x KV heads a second",
            "the meta index is 6.2 % of K and V, codes are 25.0 %",
            "Exact mode reads 25.8 GB a second: 80.7 % of what the memory gives",
            "pytorch /",
            "faiss /",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let line = |method: &str| {
            let line = text.lines().find(|line| line.contains(method)).unwrap();
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        // 1.3 ms exact, 2.5 ms PyTorch, 0.9 ms FAISS at equal error, against 0.4 ms.
        let adaptive = line("adaptive:0.1");
        assert_eq!(adaptive[adaptive.len() - 3..], ["3.25", "6.25", "2.25"]);
        // FAISS has nothing as exact.
        let exact = line(" exact  ");
        assert_eq!(exact[exact.len() - 3..], ["1.00", "1.92", "-"]);
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let report = sample::report_with_peers();
        let rows = points(&report.contexts[0], true);
        let line = rows.lines().find(|line| line.contains("hnsw")).unwrap();
        assert!(line.matches(" - |").count() >= 6, "{line}");
        let even = rows.lines().all(|line| line.matches('|').count() == 17);
        assert!(even, "{rows}");
    }
}
