//! A plan and its measurement as a page of Markdown.

use std::fmt::Write as _;

use super::report::Report;
use super::text::{beside_plan, plan_table, sentences, shape, step, steps_table, verdict};
use crate::formats::size;

/// The page; `picture` is the name of the file of the plots.
pub(crate) fn page(report: &Report, picture: &str) -> String {
    let mut page = format!(
        "# Capacity\n\n`{}`\n\n{}\n\n## On paper\n\n{}\n\n{}\n\n{}\n",
        report.command,
        shape(&report.shape),
        plan_table(&report.plan, true),
        step(&report.plan),
        verdict(report),
    );
    let Some(measured) = &report.measured else {
        return page;
    };
    let _ = write!(
        page,
        "\n## Measured\n\nOne layer of {} tokens, {} of memory, on {} ({} threads).\n\n{}\n\n{}\n\n{}\n\n![time and memory by length]({picture})\n",
        measured.tokens,
        size(report.memory_bytes),
        report.machine.cpu,
        report.machine.threads,
        steps_table(measured, true),
        beside_plan(measured, true),
        sentences(report, measured).join("\n"),
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::capacity::sample;

    #[test]
    fn a_page_has_the_plan_and_the_measurement() {
        let mut report = sample::report();
        let all = page(&report, "c.svg");
        for part in [
            "# Capacity",
            "wavekv capacity",
            "## On paper",
            "## Measured",
            "(c.svg)",
            "| tokens",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
        report.measured = None;
        assert!(!page(&report, "c.svg").contains("Measured"));
    }
}
