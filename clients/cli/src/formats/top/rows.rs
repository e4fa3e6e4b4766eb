//! The numbers as words, which text and picture share.

use super::controls::Column;
use super::view::{Busy, View};
use crate::formats::{error, percent, plain, size};

pub(super) const CALLS: [&str; 7] = [
    "operation",
    "transport",
    "calls/s",
    "failed/s",
    "p50",
    "p99",
    "p99.9",
];

pub(super) const BUSY: [&str; 6] = [
    "collection",
    "attends/s",
    "inserts/s",
    "tokens/s",
    "read/s",
    "of exact",
];

/// How long the daemon has run, and what the figures are of.
pub(super) fn title(view: &View) -> String {
    let up = std::time::Duration::from_secs(view.uptime_seconds as u64);
    format!(
        "wavekvd {}, start {}, up {}, over {:.1} s",
        plain(&view.version),
        view.boot_epoch,
        humantime::format_duration(up),
        view.over_seconds
    )
}

/// Of the daemon as a whole, each with what it is called.
pub(super) fn figures(view: &View) -> [(&'static str, String); 6] {
    [
        ("calls", calls_and_tokens(view)),
        ("read", read(view)),
        ("memory", memory(view)),
        ("disk", disk(view)),
        ("clustering", clustering(view)),
        ("audits", audits(view)),
    ]
}

fn calls_and_tokens(view: &View) -> String {
    let now = &view.throughput;
    format!(
        "{}/s, {}/s failed; {} tokens/s inserted",
        number(now.calls_per_second),
        number(now.failed_per_second),
        number(now.inserted_tokens_per_second)
    )
}

fn read(view: &View) -> String {
    let now = &view.throughput;
    format!(
        "{}, {} of the {} that exact answers would have read",
        bytes(now.read_bytes_per_second),
        percent(now.read_bytes_per_second / now.full_bytes_per_second),
        bytes(now.full_bytes_per_second)
    )
}

fn memory(view: &View) -> String {
    let tiers = &view.tiers;
    let used = tiers.memory_used_bytes as f64 / tiers.memory_budget_bytes as f64;
    format!(
        "{} of {} ({}), {} of segments; hits {}, {} misses/s, {} evictions/s",
        size(tiers.memory_used_bytes),
        size(tiers.memory_budget_bytes),
        percent(used),
        size(tiers.resident_bytes),
        percent(tiers.hit_ratio.unwrap_or(f64::NAN)),
        number(tiers.misses_per_second),
        number(tiers.evictions_per_second)
    )
}

fn disk(view: &View) -> String {
    let used = view.tiers.disk_used_bytes;
    match view.tiers.disk_budget_bytes {
        Some(budget) => format!(
            "{} of {} ({})",
            size(used),
            size(budget),
            percent(used as f64 / budget as f64)
        ),
        None => format!("{}, no limit", size(used)),
    }
}

fn clustering(view: &View) -> String {
    let now = &view.clustering;
    format!(
        "{} of {} tokens not clustered, {} layers wait; {} segments/s, {} failed",
        now.unclustered_tokens,
        now.tokens,
        now.layers_waiting,
        number(now.segments_built_per_second),
        now.builds_failed
    )
}

fn audits(view: &View) -> String {
    let now = &view.audits;
    format!(
        "{}/s, {}/s skipped; error {}, worst {}, {} KV heads raised",
        number(now.made_per_second),
        number(now.skipped_per_second),
        error(now.error),
        now.worst_error.map_or_else(|| "-".into(), error),
        now.raised_heads
    )
}

/// Of every operation and transport.
pub(super) fn calls(view: &View) -> Vec<[String; CALLS.len()]> {
    let calls = view.calls.iter();
    let calls = calls.map(|call| {
        [
            plain(&call.operation),
            plain(&call.transport),
            number(call.calls_per_second),
            number(call.failed_per_second),
            duration(call.p50_seconds),
            duration(call.p99_seconds),
            duration(call.p999_seconds),
        ]
    });
    calls.collect()
}

/// Of the collections, those with the most of that first.
pub(super) fn busy(view: &View, sort: Column) -> Vec<[String; BUSY.len()]> {
    let by = |busy: &Busy| match sort {
        Column::Attends => busy.attends_per_second,
        Column::Inserts => busy.inserts_per_second,
        Column::Tokens => busy.inserted_tokens_per_second,
        Column::Read => busy.read_bytes_per_second,
    };
    let mut all: Vec<&Busy> = view.collections.iter().collect();
    // Those with as much stay as they were used.
    all.sort_by(|a, b| by(b).total_cmp(&by(a)));
    let rows = all.into_iter().map(|busy| {
        [
            plain(&format!("{}/{}", busy.namespace, busy.name)),
            number(busy.attends_per_second),
            number(busy.inserts_per_second),
            number(busy.inserted_tokens_per_second),
            bytes(busy.read_bytes_per_second),
            percent(busy.read_bytes_per_second / busy.full_bytes_per_second),
        ]
    });
    rows.collect()
}

fn number(number: f64) -> String {
    if number >= 100.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.1}")
    }
}

fn bytes(per_second: f64) -> String {
    format!("{}/s", size(per_second as u64))
}

fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".into(),
        Some(seconds) if seconds < 1e-3 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::activity;
    use super::*;

    #[test]
    fn durations_have_the_unit_that_they_are_read_in() {
        let words = [Some(0.000_015), Some(0.0015), Some(1.5), None].map(duration);
        assert_eq!(words, ["15 µs", "1.5 ms", "1.5 s", "-"]);
        assert_eq!(
            (number(99.94), number(1234.5)),
            ("99.9".into(), "1234".into())
        );
    }

    #[test]
    fn collections_are_in_the_order_that_was_chosen() {
        let two = [("small", 1), ("large", 9)];
        let view = View::between(Some(&activity(1, &two)), &activity(2, &two));
        let first = |sort| busy(&view, sort)[0][0].clone();
        assert_eq!(first(Column::Tokens), "default/large");
        assert_eq!(first(Column::Read), "default/small");
    }
}
