//! The comparison that `wavekv eval` makes, as tables, a page of Markdown, or JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::{error, percent, table, trace};
use crate::verbs::eval::Row;

const HEADER: [&str; 13] = [
    "mode",
    "worst head",
    "e mean",
    "e p50",
    "e p95",
    "e p99",
    "mass mean",
    "mass p5",
    "tokens",
    "bytes",
    "calibrated",
    "ms p50",
    "ms p99",
];

const LEGEND: &str = "\
e: |out - exact| / |exact| per query and query head, exact in f64. worst head: the one with the largest mean e.
mass: true share of the attention mass that was computed exactly. tokens, bytes: read, as a share of full attention's.
calibrated: queries whose reported error is within a factor 2 of e, or both below 0.001.
ms: one attend call of one token and one layer, as the client sees it.";

const AUDIT_HEADER: [&str; 8] = [
    "audited mode",
    "e mean",
    "audited mean",
    "e rms",
    "audited rms",
    "covered",
    "half width",
    "audit bytes",
];

const AUDIT_LEGEND: &str = "\
audited: per query and layer, root mean square of e over the query heads, beside what the daemon's audit says it is.
covered: answers whose e is within the audit's 95 % confidence interval. half width: of that interval, as a share of e.
audit bytes: read for the audit, beside the answer's own, as a share of full attention's.";

/// Everything that an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Of the trace file.
    pub(crate) name: String,
    pub(crate) trace: trace::Summary,
    pub(crate) daemon_version: String,
    pub(crate) isa: String,
    /// That made this report.
    pub(crate) command: String,
    pub(crate) blocks: Vec<Block>,
}

/// The rows of one set of queries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Block {
    /// `last` or `spread`.
    pub(crate) queries: String,
    pub(crate) count: usize,
    /// That was kept.
    pub(crate) collection: Option<String>,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// For a terminal.
    pub(crate) fn table(&self) -> String {
        let mut page = format!("{}: {}\n", self.name, self.about());
        let _ = writeln!(page, "{}\n{}", self.daemon(), self.command);
        for block in &self.blocks {
            let _ = writeln!(page, "\n{}\n{}", block.title(), block.table(false));
            if let Some(audits) = block.audits(false) {
                let _ = writeln!(page, "\n{audits}");
            }
        }
        let _ = write!(page, "\n{}", self.legend().join("\n"));
        page
    }

    /// For benches/results.
    pub(crate) fn markdown(&self) -> String {
        let mut page = format!("# Accuracy on {}\n\n{}.\n\n", self.name, self.about());
        let _ = write!(
            page,
            "{}. Made by:\n\n```\n{}\n```\n",
            self.daemon(),
            self.command
        );
        for block in &self.blocks {
            let _ = write!(page, "\n## {}\n\n{}\n", block.title(), block.table(true));
            if let Some(audits) = block.audits(true) {
                let _ = write!(page, "\n{audits}\n");
            }
        }
        page.push('\n');
        for line in self.legend() {
            let _ = writeln!(page, "* {line}");
        }
        page
    }

    fn legend(&self) -> Vec<&'static str> {
        let rows = self.blocks.iter().flat_map(|block| &block.rows);
        let audited = rows.map(|row| &row.audit).any(Option::is_some);
        let more = audited.then(|| AUDIT_LEGEND.lines());
        LEGEND.lines().chain(more.into_iter().flatten()).collect()
    }

    fn about(&self) -> String {
        format!(
            "{} on {}, {}",
            self.trace.model, self.trace.text, self.trace
        )
    }

    fn daemon(&self) -> String {
        format!("wavekvd {}, {}", self.daemon_version, self.isa)
    }
}

impl Block {
    fn title(&self) -> String {
        let kept = self
            .collection
            .iter()
            .map(|name| format!(", kept as {name}"));
        format!(
            "queries: {} ({}){}",
            self.queries,
            self.count,
            kept.collect::<String>()
        )
    }

    fn table(&self, markdown: bool) -> String {
        let mut table = table(&HEADER, 2, markdown);
        for row in &self.rows {
            table.add_row(cells(row));
        }
        table.trim_fmt()
    }

    /// Of the rows that were audited; none where none was.
    fn audits(&self, markdown: bool) -> Option<String> {
        let mut table = table(&AUDIT_HEADER, 1, markdown);
        let audited = self.rows.iter().filter_map(|row| {
            let audit = row.audit.as_ref()?;
            Some([
                name(row),
                error(audit.error_mean),
                error(audit.audited_mean),
                error(audit.error_rms),
                error(audit.audited_rms),
                percent(audit.covered_share),
                percent(audit.half_width_mean),
                percent(audit.byte_share),
            ])
        });
        table.add_rows(audited);
        (!table.is_empty()).then(|| table.trim_fmt())
    }
}

fn name(row: &Row) -> String {
    row.layer.map_or_else(
        || row.mode.clone(),
        |layer| format!("  {} L{layer}", row.mode),
    )
}

fn cells(row: &Row) -> [String; 13] {
    [
        name(row),
        format!("{} {}", row.worst_head, error(row.worst_head_error_mean)),
        error(row.error_mean),
        error(row.error_p50),
        error(row.error_p95),
        error(row.error_p99),
        percent(row.recalled_mass_mean),
        percent(row.recalled_mass_p5),
        percent(row.token_share),
        percent(row.byte_share),
        percent(row.calibrated_share),
        // Calls are not measured by layer.
        row.layer
            .map_or_else(|| format!("{:.2}", row.latency_p50_ms), |_| String::new()),
        row.layer
            .map_or_else(|| format!("{:.2}", row.latency_p99_ms), |_| String::new()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::eval::AuditRow;

    fn report() -> Report {
        let row = Row {
            mode: "adaptive:0.05".into(),
            layer: None,
            error_mean: 0.0251,
            error_p50: 0.02,
            error_p95: 0.06,
            error_p99: 0.1,
            worst_head: "L7/q3".into(),
            worst_head_error_mean: 0.08,
            recalled_mass_mean: 0.91,
            recalled_mass_p5: 0.5,
            token_share: 0.05,
            byte_share: 0.079,
            calibrated_share: 0.95,
            latency_p50_ms: 1.234,
            latency_p99_ms: 2.0,
            audit: Some(AuditRow {
                error_mean: 0.0262,
                audited_mean: 0.0257,
                error_rms: 0.031,
                audited_rms: 0.032,
                covered_share: 0.947,
                half_width_mean: 0.41,
                byte_share: 0.123,
            }),
        };
        Report {
            name: "smol".into(),
            trace: trace::Summary {
                model: "SmolLM2".into(),
                text: "kjv".into(),
                tokens: 8180,
                layers: vec![2, 7],
                q_heads: 9,
                kv_heads: 3,
                head_dim: 64,
                value_dim: 64,
                dtype: "f16".into(),
                scale: 0.125,
                queries: 128,
            },
            daemon_version: "0.1.0".into(),
            isa: "avx2".into(),
            command: "wavekv eval smol.safetensors".into(),
            blocks: vec![Block {
                queries: "last".into(),
                count: 64,
                collection: None,
                rows: vec![
                    row.clone(),
                    Row {
                        layer: Some(7),
                        ..row
                    },
                ],
            }],
        }
    }

    #[test]
    fn a_table_says_what_was_compared_and_how() {
        let text = report().table();
        for part in [
            "SmolLM2 on kjv, 8180 tokens, layers [2, 7], 9 query heads on 3 KV heads",
            "wavekvd 0.1.0, avx2",
            "wavekv eval smol.safetensors",
            "queries: last (64)",
            "L7/q3 0.0800",
            "0.0251",
            "7.9 %",
            "1.23",
            "adaptive:0.05 L7",
            "audited mode",
            "0.0262",
            "94.7 %",
            "audit bytes: read",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn markdown_is_a_page_with_a_table_of_even_rows() {
        let page = report().markdown();
        assert!(page.starts_with("# Accuracy on smol\n") && page.contains("## queries: last (64)"));
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 8, "{page}");
        let columns: Vec<usize> = rows.iter().map(|row| row.matches('|').count()).collect();
        assert_eq!(columns, [14, 14, 14, 14, 9, 9, 9, 9], "{page}");
    }

    #[test]
    fn without_audits_there_is_no_word_of_them() {
        let mut report = report();
        for row in &mut report.blocks[0].rows {
            row.audit = None;
        }
        assert!(!report.table().contains("audit") && !report.markdown().contains("audit"));
    }

    #[test]
    fn json_keeps_the_numbers_unrounded() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["blocks"][0]["rows"][0]["byte_share"], 0.079);
        assert_eq!(json["trace"]["layers"][1], 7);
    }
}
