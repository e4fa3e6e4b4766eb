//! A plan, and what was measured, for a terminal and as Markdown.

use comfy_table::Table;

use super::report::{Measured, Report, Step};
use crate::formats::{self, percent, size};
use crate::plan::{DEFAULT_SHARE, Plan, Shape};

/// The plan on paper.
pub(crate) fn planned(report: &Report) -> String {
    [
        shape(&report.shape),
        plan_table(&report.plan, false).to_string(),
        format!("{}\n{}", step(&report.plan), verdict(report)),
    ]
    .join("\n\n")
}

/// What was measured beside it.
pub(crate) fn found(report: &Report) -> String {
    let Some(measured) = &report.measured else {
        return String::new();
    };
    let tokens = measured.tokens;
    [
        format!("\nMeasured: one layer of {tokens} tokens, at growing lengths"),
        steps_table(measured, false).to_string(),
        beside_plan(measured, false).to_string(),
        sentences(report, measured).join("\n"),
    ]
    .join("\n\n")
}

/// Whose cache it is.
pub(super) fn shape(shape: &Shape) -> String {
    let name = shape.model.map_or_else(String::new, |model| {
        format!("{} ({}): ", model.name, model.source)
    });
    let of = &shape.attention;
    let windows = match of.windowed_layers {
        0 => String::new(),
        layers => format!(" ({layers} of them see {} tokens)", of.window),
    };
    let sequences = match shape.sequences {
        1 => "1 sequence".to_owned(),
        many => format!("{many} sequences"),
    };
    format!(
        "{name}{} layers{windows}, {} KV heads of {} query heads, keys of {} and values of {} elements, {}\n{sequences} of {} tokens",
        of.layers, of.kv_heads, of.group, of.head_dim, of.value_dim, shape.dtype, shape.tokens,
    )
}

/// What it needs, line by line.
pub(super) fn plan_table(plan: &Plan, markdown: bool) -> Table {
    let mut table = formats::table(&["what", "bytes", "of K and V"], 1, markdown);
    for (what, bytes) in [
        ("K and V", plan.payload_bytes),
        ("codes of K and V", plan.code_bytes),
        ("index, always in memory", plan.index_bytes),
        ("tails that no segment has yet, in memory", plan.tail_bytes),
        ("on disk", plan.disk_bytes),
        ("least memory", plan.least_memory_bytes),
        ("memory for all of it", plan.all_memory_bytes),
    ] {
        let share = bytes as f64 / plan.payload_bytes as f64;
        table.add_row(vec![what.to_owned(), size(bytes), percent(share)]);
    }
    table
}

/// What a decode step reads.
pub(super) fn step(plan: &Plan) -> String {
    let default = (plan.step_bytes as f64 * DEFAULT_SHARE) as u64;
    format!(
        "A decode step of one sequence reads {} exactly, and about {} in the default mode ({}, as measured on traces).",
        size(plan.step_bytes),
        size(default),
        percent(DEFAULT_SHARE),
    )
}

/// Whether it fits.
pub(super) fn verdict(report: &Report) -> String {
    let (memory, plan) = (report.memory_bytes, &report.plan);
    let budget = size(memory);
    if plan.least_memory_bytes > memory {
        return format!(
            "DOES NOT FIT in {budget} of memory: the index and the tails need {}.",
            size(plan.least_memory_bytes)
        );
    }
    if plan.all_memory_bytes <= memory {
        return format!("Fits in {budget} of memory, all of it.");
    }
    let paged = plan.payload_bytes + plan.code_bytes;
    let room = memory - plan.least_memory_bytes;
    format!(
        "Fits in {budget} of memory, with {} of K, V and codes in memory at a time ({}) and the rest on disk.",
        size(room),
        percent(room as f64 / paged as f64),
    )
}

/// A row for each length.
pub(super) fn steps_table(measured: &Measured, markdown: bool) -> Table {
    let header = [
        "tokens",
        "default p50 ms",
        "exact p50 ms",
        "times as fast",
        "bytes read",
        "needles",
        "resident",
        "peak",
        "disk",
    ];
    let mut table = formats::table(&header, 0, markdown);
    for step in &measured.steps {
        table.add_row(row(step));
    }
    table
}

fn row(step: &Step) -> Vec<String> {
    let [default, exact, ratio, share] = match step.modes() {
        Some([exact, default]) => [
            format!("{:.2}", default.latency_p50_ms),
            format!("{:.2}", exact.latency_p50_ms),
            format!("{:.2}", exact.latency_p50_ms / default.latency_p50_ms),
            percent(default.byte_share.unwrap_or(f64::NAN)),
        ],
        None => ["-", "-", "-", "-"].map(str::to_owned),
    };
    vec![
        step.tokens.to_string(),
        default,
        exact,
        ratio,
        share,
        format!("{} of {}", step.needles.found, step.needles.asked),
        size(step.asked_bytes),
        size(step.peak_bytes),
        size(step.disk_bytes),
    ]
}

/// The plan of the layer that was measured, and what it came to.
pub(super) fn beside_plan(measured: &Measured, markdown: bool) -> Table {
    let (plan, build) = (&measured.plan, &measured.build);
    let mut table = formats::table(&["of this layer", "planned", "measured"], 1, markdown);
    for (what, planned, found) in [
        ("K and V", plan.payload_bytes, build.payload_bytes),
        ("codes", plan.code_bytes, build.code_bytes),
        ("index", plan.index_bytes, build.meta_index_bytes),
        ("segments", plan.disk_bytes, measured.segment_bytes()),
    ] {
        table.add_row(vec![what.to_owned(), size(planned), size(found)]);
    }
    table
}

/// What tables do not say.
pub(super) fn sentences(report: &Report, measured: &Measured) -> Vec<String> {
    let build = &measured.build;
    let mut lines = vec![format!(
        "Stored in {:.1} s, clustered after {:.1} s: {:.2} million tokens x KV heads a second.",
        build.insert_seconds,
        build.seconds,
        build.tokens_times_kv_heads_per_second / 1e6,
    )];
    if let Some([exact, default]) = measured.steps.last().and_then(Step::modes) {
        let error = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), formats::error);
        lines.push(format!(
            "Error against exact attention in f64, {} queries: {} mean and {} p99 in the default mode, {} mean in exact mode.",
            default.checked,
            error(default.error_mean),
            error(default.error_p99),
            error(exact.error_mean),
        ));
    }
    let broken = report.broken();
    lines.push(if broken.is_empty() {
        format!(
            "The plan holds: every planted token was found, and the daemon had at most {} of {} in memory.",
            size(measured.steps.last().map_or(0, |step| step.peak_bytes)),
            size(report.memory_bytes)
        )
    } else {
        format!("THE PLAN DOES NOT HOLD: {}.", broken.join("; "))
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::capacity::sample;

    #[test]
    fn a_plan_says_what_is_needed_and_whether_it_fits() {
        let report = sample::report();
        let text = planned(&report);
        for part in [
            "llama-3.1-8b (meta-llama/Llama-3.1-8B): 32 layers, 8 KV heads of 4 query heads",
            "1 sequence of 8192 tokens",
            "K and V",
            "1.0 GiB",
            "25.0 %",
            "Fits in 2.0 GiB of memory, all of it.",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let with = |memory_bytes| {
            verdict(&Report {
                memory_bytes,
                ..report.clone()
            })
        };
        assert!(with(1 << 20).starts_with("DOES NOT FIT in 1.0 MiB"));
        assert!(with(512 << 20).contains("and the rest on disk"));
    }

    #[test]
    fn what_was_measured_stands_beside_the_plan() {
        let mut report = sample::report();
        let text = found(&report);
        for part in [
            "2 of 2",
            "8192",
            "The plan holds",
            "million tokens x KV heads",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        if let Some(measured) = &mut report.measured {
            measured.steps[1].needles.found = 0;
        }
        assert!(found(&report).contains("THE PLAN DOES NOT HOLD: 0 of 2"));
    }
}
