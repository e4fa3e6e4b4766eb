//! `wavekv eval`: how exact and how frugal each mode of Attend is on a trace.
//!
//! `replay.rs` asks the daemon, `samples.rs` compares with the exact answers, `formats/eval.rs` prints.

mod replay;
mod samples;

use std::ops::Range;
use std::sync::Arc;

use wavekv_client::{Address, Client, Mode};
use wavekv_trace::Trace;

#[cfg(test)]
pub(crate) use samples::AuditRow;
pub(crate) use samples::Row;

use replay::{Arrival, Replay};
use samples::Samples;

use crate::arguments::{Eval, QuerySet};
use crate::failure::Failure;
use crate::formats::eval::{Block, Report};
use crate::stopwatch::unique_suffix;
use crate::{formats, modes, output, upload};

pub(crate) async fn run(address: &Address, eval: &Eval, json: bool) -> Result<(), Failure> {
    let trace = Arc::new(Trace::load(&eval.trace)?);
    let modes = if eval.modes.is_empty() {
        modes::COMPARED.to_vec()
    } else {
        eval.modes.clone()
    };
    let client = Client::connect(address).await?;
    let stats = client.stats(None).await?;
    let mut blocks = Vec::new();
    for (queries, arrival, rows) in sets(eval.queries, &trace) {
        if rows.is_empty() {
            let sentence = format!(
                "the trace has no {queries} queries, only {} in all",
                trace.q_positions.len()
            );
            return Err(Failure::Usage(sentence));
        }
        let name = format!("wavekv-eval-{}", unique_suffix());
        let replay = Replay {
            client: &client,
            trace: &trace,
            modes: &modes,
            arrival,
            rows: rows.clone(),
            index: eval.index,
            audit: eval.audit,
            collection: upload::collection("default", &name),
        };
        let samples = tokio::select! {
            samples = Box::pin(replay.run()) => samples,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        };
        let removed = if eval.keep {
            Ok(None)
        } else {
            client.delete(replay.collection.clone()).await.map(Some)
        };
        let samples = samples?;
        removed?;
        blocks.push(Block {
            queries: queries.to_owned(),
            count: rows.len(),
            collection: eval.keep.then_some(name),
            rows: table_rows(&trace, &modes, &samples, eval.per_layer),
        });
    }
    let file = eval.trace.file_stem().unwrap_or(eval.trace.as_os_str());
    let report = Report {
        name: file.to_string_lossy().into_owned(),
        trace: formats::trace::Summary::of(&trace),
        daemon_version: stats.version,
        isa: stats.isa,
        command: formats::command(std::env::args()),
        blocks,
    };
    if json {
        output::json(&report);
    } else if eval.markdown {
        output::text(&report.markdown());
    } else {
        output::text(&report.table());
    }
    Ok(())
}

/// The blocks to run: their name, how tokens arrive, and their query rows.
fn sets(queries: QuerySet, trace: &Trace) -> Vec<(&'static str, Arrival, Range<usize>)> {
    let last = ("last", Arrival::Decode, trace.last_queries());
    let spread = ("spread", Arrival::Settled, trace.spread_queries());
    match queries {
        QuerySet::Last => vec![last],
        QuerySet::Spread => vec![spread],
        QuerySet::All => vec![last, spread],
    }
}

/// A row per mode, each followed by those of its layers when they are asked for.
fn table_rows(trace: &Trace, modes: &[Mode], samples: &[Samples], per_layer: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for (mode, samples) in modes.iter().zip(samples) {
        let mode = mode.to_string();
        rows.push(samples.row(&mode, None));
        if per_layer {
            rows.extend(
                trace
                    .layers
                    .iter()
                    .map(|layer| samples.row(&mode, Some(layer.number))),
            );
        }
    }
    rows
}
