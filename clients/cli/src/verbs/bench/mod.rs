//! `wavekv bench`: time, bytes and error of each mode of Attend on contexts of growing length, through a running daemon.
//!
//! `workload` stores and asks; `bandwidth.rs` measures the machine, `peers.rs` reads what others measured; `formats/bench` makes
//! the files. All of a run is on the same data.

mod bandwidth;
mod peers;

use std::path::Path;

use clap::ValueEnum as _;
use wavekv_client::{Address, Client, Mode, wire};

use wavekv_trace::generate::GenerateParameters;

use crate::arguments::{Bench, IndexKind};
use crate::failure::Failure;
use crate::formats::bench::{self as format, Context, Daemon, Machine, Point, Report};
use crate::stopwatch::unique_suffix;
use crate::workload::{Asking, Builder, Recipe, Source};
use crate::{formats, machine, modes, output, upload};

pub(crate) async fn run(address: &Address, bench: &Bench, json: bool) -> Result<(), Failure> {
    let recipes = recipes(bench);
    let client = Client::connect(address).await?;
    let stats = client.stats(None).await?;
    // What cannot be measured is said before an hour of measuring.
    let mut summaries = Vec::new();
    for recipe in &recipes {
        let source = recipe.open()?;
        fits(&source, stats.memory.unwrap_or_default())?;
        summaries.push(source.summary());
    }
    let peers = peers::read(&bench.peers, &summaries)?;
    fs_err::create_dir_all(&bench.out)?;

    let mut report = Report {
        command: formats::command(std::env::args()),
        machine: measured_machine(),
        daemon: Some(Daemon {
            version: stats.version,
            isa: stats.isa,
        }),
        contexts: Vec::new(),
        peers: peers.iter().map(Report::origin).collect(),
    };
    for recipe in &recipes {
        let mut context = context(&client, &recipe.open()?, bench).await?;
        for peers in &peers {
            context.take_in(peers);
        }
        if !json {
            output::text(&format!("{}\n", format::table(&report.machine, &context)));
        }
        report.contexts.push(context);
    }
    write(&bench.out, &report)?;
    if json {
        output::json(&report);
    } else {
        output::text(&format!(
            "{}\nwrote {}",
            format::LEGEND,
            bench.out.display()
        ));
    }
    Ok(())
}

/// The contexts that the arguments ask for.
fn recipes(bench: &Bench) -> Vec<Recipe> {
    let lengths: &[usize] = if bench.traces_only {
        &[]
    } else {
        &bench.tokens
    };
    let generated = lengths.iter().map(|&tokens| {
        Recipe::Generated(GenerateParameters {
            tokens,
            kv_heads: bench.kv_heads,
            group: bench.group,
            head_dim: bench.head_dim,
            value_dim: bench.value_dim.unwrap_or(bench.head_dim),
            layers: 1,
            dtype: bench.dtype,
            seed: bench.seed,
            needles: bench.needles,
        })
    });
    generated
        .chain(bench.traces.iter().cloned().map(Recipe::Recorded))
        .collect()
}

/// Stores a source in a collection of its own, asks, and removes it.
async fn context(client: &Client, source: &Source, bench: &Bench) -> Result<Context, Failure> {
    let name = format!("wavekv-bench-{}", unique_suffix());
    let collection = upload::collection("default", &name);
    let measured = tokio::select! {
        measured = Box::pin(measure(client, source, &collection, bench)) => measured,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    };
    let removed = client.delete(collection).await;
    let context = measured?;
    removed?;
    Ok(context)
}

async fn measure(
    client: &Client,
    source: &Source,
    collection: &wire::CollectionRef,
    bench: &Bench,
) -> Result<Context, Failure> {
    let queries = bench.queries as usize;
    let checked = (bench.checked as usize).min(queries.div_ceil(source.layers()));
    let builder = Builder::new(client, source, collection, IndexKind::Wave);
    let (build, questions) = builder.run(checked, async |_, _| Ok(())).await?;
    let modes = modes(&bench.modes);
    let asking = Asking {
        client,
        source,
        collection,
        questions: &questions,
        modes: &modes,
        queries,
        warm_up: bench.warm_up as usize,
    };
    let mut points = asking.run().await?;
    for kind in others(&bench.indexes) {
        client.delete(collection.clone()).await?;
        // The questions, and their exact answers, are those of before.
        Builder::new(client, source, collection, kind)
            .run(0, async |_, _| Ok(()))
            .await?;
        let modes = modes_of(kind, &modes);
        let asking = Asking {
            modes: &modes,
            ..asking
        };
        points.extend(asking.run().await?.into_iter().map(|point| Point {
            system: format!("{}-{}", point.system, index_name(kind)),
            exact: point.exact || kind == IndexKind::Flat,
            ..point
        }));
    }
    Ok(Context {
        name: source.name(),
        trace: source.summary(),
        layer_bytes: (source.tokens() * source.geometry().token_bytes()) as u64,
        build: Some(build),
        points,
    })
}

/// The kinds beside wave, each once.
fn others(asked: &[IndexKind]) -> Vec<IndexKind> {
    let mut others = vec![];
    for &kind in asked {
        if kind != IndexKind::Wave && !others.contains(&kind) {
            others.push(kind);
        }
    }
    others
}

/// The modes that are of interest: without an index all are exact, and one of FAISS's has no clusters to estimate.
fn modes_of(kind: IndexKind, modes: &[Mode]) -> Vec<Mode> {
    let wanted = |mode: &Mode| match kind {
        IndexKind::Wave => true,
        IndexKind::Flat => *mode == Mode::Exact,
        IndexKind::Ivf | IndexKind::Hnsw => !matches!(mode, Mode::Exact | Mode::RetroInfer),
    };
    modes.iter().copied().filter(wanted).collect()
}

/// As the command line spells it.
fn index_name(kind: IndexKind) -> String {
    let value = kind.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// With `exact`, which the others are compared with.
fn modes(asked: &[Mode]) -> Vec<Mode> {
    if asked.is_empty() {
        return modes::MEASURED.to_vec();
    }
    let others = asked.iter().copied().filter(|mode| *mode != Mode::Exact);
    std::iter::once(Mode::Exact).chain(others).collect()
}

/// Whether K and V of a source have a place in the daemon: better said before they are sent.
fn fits(source: &Source, memory: wire::MemoryStats) -> Result<(), Failure> {
    let left = memory.budget_bytes.saturating_sub(memory.used_bytes);
    let bytes = source.tokens() * source.layers() * source.geometry().token_bytes();
    if bytes as u64 <= left {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{} has {} of K and V, expected at most the {} that the daemon has left: start it with a larger memory.budget",
        source.name(),
        formats::size(bytes as u64),
        formats::size(left),
    )))
}

/// With how fast it reads memory.
fn measured_machine() -> Machine {
    let machine = machine::this();
    Machine {
        read_bytes_per_second: Some(bandwidth::measure(machine.threads)),
        buffer_bytes: Some(bandwidth::BUFFER_BYTES as u64),
        ..machine
    }
}

fn write(out: &Path, report: &Report) -> Result<(), Failure> {
    fs_err::write(out.join("bench.md"), format::page(report, "bench.svg"))?;
    fs_err::write(out.join("bench.svg"), format::plots(report)?)?;
    let json = serde_json::to_vec_pretty(report).map_err(std::io::Error::from)?;
    fs_err::write(out.join("bench.json"), json)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_is_always_measured_and_first() {
        let adaptive = Mode::Adaptive { target: 0.05 };
        assert_eq!(modes(&[adaptive]), [Mode::Exact, adaptive]);
        assert_eq!(modes(&[adaptive, Mode::Exact]), [Mode::Exact, adaptive]);
        assert_eq!(modes(&[]), modes::MEASURED);
    }

    #[test]
    fn other_kinds_are_asked_once_and_what_they_can_answer() {
        let asked = [
            IndexKind::Ivf,
            IndexKind::Wave,
            IndexKind::Flat,
            IndexKind::Ivf,
        ];
        assert_eq!(others(&asked), [IndexKind::Ivf, IndexKind::Flat]);
        let adaptive = Mode::Adaptive { target: 0.05 };
        let all = [Mode::Exact, Mode::RetroInfer, adaptive];
        assert_eq!(modes_of(IndexKind::Wave, &all), all);
        assert_eq!(modes_of(IndexKind::Flat, &all), [Mode::Exact]);
        assert_eq!(modes_of(IndexKind::Hnsw, &all), [adaptive]);
        assert_eq!(index_name(IndexKind::Hnsw), "hnsw");
    }
}
