//! The run as a page of Markdown.

use std::fmt::Write as _;

use super::report::{Machine, Report};
use super::table::{LEGEND, points, sentences};
use crate::formats;

/// The page; `plots` is where the picture is.
pub(crate) fn page(report: &Report, plots: &str) -> String {
    let mut page = "# Time, bytes and error of attention\n\n".to_owned();
    if let Some(daemon) = &report.daemon {
        let _ = write!(page, "wavekvd {}, {}, on ", daemon.version, daemon.isa);
    }
    let _ = write!(page, "{}. Made by:\n\n```\n", machine(&report.machine));
    let _ = write!(page, "{}\n```\n\n![plots]({plots})\n", report.command);
    for context in &report.contexts {
        let _ = write!(page, "\n## {}\n\n{}.\n\n", context.name, context.trace);
        for sentence in sentences(&report.machine, context) {
            let _ = writeln!(page, "{sentence}");
        }
        let _ = write!(page, "\n{}\n", points(context, true));
    }
    page.push('\n');
    for line in LEGEND.lines() {
        let _ = writeln!(page, "* {line}");
    }
    if !report.peers.is_empty() {
        page.push_str("\nOther systems, each in a run of its own:\n\n");
    }
    for origin in &report.peers {
        let _ = writeln!(
            page,
            "* `{}` on {}",
            origin.command,
            machine(&origin.machine)
        );
    }
    page
}

fn machine(machine: &Machine) -> String {
    let mut sentence = format!("{}, {} threads", machine.cpu, machine.threads);
    if let (Some(rate), Some(buffer)) = (machine.read_bytes_per_second, machine.buffer_bytes) {
        let _ = write!(
            sentence,
            "; together they sum up {} of memory at {:.1} GB a second",
            formats::size(buffer),
            rate / 1e9
        );
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::bench::sample;

    #[test]
    fn a_page_has_every_context_and_point_and_says_where_they_come_from() {
        let report = sample::report_with_peers();
        let page = page(&report, "bench.svg");
        for part in [
            "wavekvd 0.1.0, avx2, on a CPU, 2 threads; together they sum up 512.0 MiB of memory at 32.0 GB a second",
            "wavekv bench --out d",
            "![plots](bench.svg)",
            "## generated-8192",
            "## generated-131072",
            "* `peers.py` on a CPU",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        let rows = |part: &str| {
            let rows = page.lines().filter(|line| line.starts_with('|'));
            let rows = rows.filter(|line| !line.contains("method"));
            rows.filter(|line| line.contains(&format!(" {part} ")))
                .count()
        };
        for point in &report.contexts[0].points {
            assert_eq!(rows(&format!("| {}", point.method)), 2, "{page}");
        }
        let notes = page.lines().filter(|line| line.starts_with("* ")).count();
        assert_eq!(notes, LEGEND.lines().count() + report.peers.len());
    }
}
