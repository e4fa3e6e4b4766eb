//! `wavekv capacity`: what a context needs, on paper, and then on this machine.
//!
//! `plan` has the arithmetic; `daemon.rs` is the daemon that is measured, `needles.rs` looks for what must be found, and the rest is
//! here: one layer of generated keys is stored, asked about at growing lengths, and compared with the plan.

mod daemon;
mod needles;

use std::path::Path;

use wavekv_client::{Client, Mode, wire};
use wavekv_trace::generate::{GenerateParameters, Generator};

use self::daemon::Daemon;
use crate::arguments::{Capacity, IndexKind};
use crate::failure::Failure;
use crate::formats::bench::Point;
use crate::formats::capacity::{self as format, Measured, Report, Step};
use crate::plan::Shape;
use crate::plan::models::{self, Attention};
use crate::workload::{Asking, Builder, Questions, Recipe, Source};
use crate::{formats, machine, output, upload};

/// What is asked at every length.
const MODES: [Mode; 2] = [Mode::Exact, Mode::Adaptive { target: 0.05 }];
/// The shortest length that is asked about; each next one is twice as long.
const SHORTEST: usize = 8192;
/// What is asked about where neither a model nor an argument says it.
const ATTENTION: Attention = Attention {
    layers: 1,
    windowed_layers: 0,
    window: 0,
    kv_heads: 8,
    group: 4,
    head_dim: 128,
    value_dim: 128,
};
const TOKENS: usize = 131_072;
/// Query heads of a KV head that the daemon takes at most.
const LARGEST_GROUP: usize = 32;
/// The disk that must be left beside what is planned: the catalog's log and tables, and inserts that wait for their segment.
const DISK_BESIDE: u64 = 1 << 30;

pub(crate) async fn run(capacity: &Capacity, json: bool) -> Result<(), Failure> {
    let shape = shape(capacity);
    let mut report = Report {
        command: formats::command(std::env::args()),
        memory_bytes: capacity.memory.as_u64(),
        plan: shape.plan(),
        shape,
        machine: machine::this(),
        measured: None,
    };
    let Some(out) = &capacity.out else {
        print(&report, json);
        return Ok(());
    };
    fs_err::create_dir_all(out)?;
    if !json {
        output::text(&format::planned(&report));
    }
    report.measured = Some(tokio::select! {
        measured = Box::pin(measure(capacity, &report.shape)) => measured?,
        _ = tokio::signal::ctrl_c() => return Err(Failure::Interrupted),
    });
    write(out, &report)?;
    if json {
        output::json(&report);
    } else {
        output::text(&format::found(&report));
        output::text(&format!("wrote {}", out.display()));
    }
    match report.broken() {
        broken if broken.is_empty() => Ok(()),
        broken => Err(Failure::Unfit(broken.join("; "))),
    }
}

fn print(report: &Report, json: bool) {
    if json {
        output::json(report);
    } else {
        output::text(&format::planned(report));
    }
}

fn write(out: &Path, report: &Report) -> Result<(), Failure> {
    fs_err::write(
        out.join("capacity.md"),
        format::page(report, "capacity.svg"),
    )?;
    fs_err::write(out.join("capacity.svg"), format::plots(report)?)?;
    let json = serde_json::to_vec_pretty(report).map_err(std::io::Error::from)?;
    Ok(fs_err::write(out.join("capacity.json"), json)?)
}

/// What the arguments ask about.
fn shape(capacity: &Capacity) -> Shape {
    // The names that there are were checked when the arguments were.
    let model = capacity.model.as_deref().and_then(models::named);
    let known = model.map_or(ATTENTION, |model| model.attention);
    let or = |given: Option<u32>, else_| given.map_or(else_, |given| given as usize);
    let head_dim = or(capacity.head_dim, known.head_dim);
    // Keys of another length than the model's have values of that length.
    let value_dim = capacity.head_dim.map_or(known.value_dim, |_| head_dim);
    let attention = Attention {
        layers: or(capacity.layers, known.layers),
        // Of other layers than the model's, it is not known which have a window.
        windowed_layers: capacity.layers.map_or(known.windowed_layers, |_| 0),
        window: known.window,
        kv_heads: or(capacity.kv_heads, known.kv_heads),
        group: or(capacity.group, known.group),
        head_dim,
        value_dim: or(capacity.value_dim, value_dim),
    };
    Shape {
        model: model.copied(),
        attention,
        dtype: capacity.dtype,
        tokens: or(capacity.tokens, model.map_or(TOKENS, |model| model.context)),
        sequences: capacity.sequences as usize,
    }
}

/// One layer of the shape, of so many tokens.
fn layer_of(shape: &Shape, tokens: usize) -> Shape {
    Shape {
        model: None,
        attention: Attention {
            layers: 1,
            windowed_layers: 0,
            ..shape.attention
        },
        tokens,
        sequences: 1,
        ..*shape
    }
}

async fn measure(capacity: &Capacity, shape: &Shape) -> Result<Measured, Failure> {
    let tokens = capacity.measure.map_or(shape.tokens, |most| most as usize);
    let one = layer_of(shape, tokens);
    let (plan, of) = (one.plan(), one.attention);
    if of.group > LARGEST_GROUP {
        return Err(Failure::Usage(format!(
            "--group is {}: expected at most {LARGEST_GROUP}, which is what the daemon takes, for a measurement; --plan-only has no \
             such limit",
            of.group
        )));
    }
    let data = capacity.data.clone().unwrap_or_else(std::env::temp_dir);
    enough_disk(&data, plan.disk_bytes + DISK_BESIDE)?;
    let memory = capacity.memory.as_u64();
    let (daemon, client) = Daemon::start(capacity.daemon.as_deref(), Some(&data), memory).await?;
    let source = Recipe::Generated(GenerateParameters {
        tokens,
        kv_heads: of.kv_heads,
        group: of.group,
        head_dim: of.head_dim,
        value_dim: of.value_dim,
        layers: 1,
        dtype: one.dtype,
        seed: capacity.seed,
        needles: capacity.needles as usize,
    })
    .open()?;
    let Source::Generated(generator) = &source else {
        return Err(Failure::Usage(
            "a capacity is measured on generated keys".into(),
        ));
    };
    let collection = upload::collection("default", "capacity");
    let run = Run {
        client: &client,
        daemon: &daemon,
        source: &source,
        generator,
        collection: &collection,
        queries: capacity.queries as usize,
    };
    let mut steps = Vec::new();
    let mut next = SHORTEST.min(tokens);
    let builder = Builder::new(&client, &source, &collection, IndexKind::Wave);
    let checked = run.queries;
    let (build, questions) = builder
        .run(checked, async |stored, questions| {
            if stored >= next && stored < tokens {
                steps.push(run.step(stored, &questions.of_first(stored)).await?);
                next = next.max(stored) * 2;
            }
            Ok(())
        })
        .await?;
    let Some(questions) = questions.first() else {
        return Err(Failure::Usage("a capacity is measured on one layer".into()));
    };
    steps.push(run.step(tokens, questions).await?);
    Ok(Measured {
        tokens,
        plan,
        build,
        steps,
    })
}

/// Whether the disk has room for what will be measured: better said before an hour of it.
fn enough_disk(folder: &Path, needed: u64) -> Result<(), Failure> {
    let file_system = rustix::fs::statvfs(folder).map_err(std::io::Error::from)?;
    let free = file_system.f_bavail * file_system.f_frsize;
    if free >= needed {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{} has {} free: expected {} for what is measured; give another folder with --data, or fewer tokens with --measure",
        folder.display(),
        formats::size(free),
        formats::size(needed),
    )))
}

/// The layer that is measured, and the daemon that has it.
struct Run<'a> {
    client: &'a Client,
    daemon: &'a Daemon,
    source: &'a Source,
    generator: &'a Generator,
    collection: &'a wire::CollectionRef,
    queries: usize,
}

impl Run<'_> {
    /// What is measured once `tokens` tokens are stored.
    async fn step(&self, tokens: usize, questions: &Questions) -> Result<Step, Failure> {
        let stored = self.daemon.memory();
        let points = self.points(questions).await?;
        let [_, default] = MODES;
        let needles = needles::ask(
            self.client,
            self.generator,
            self.collection,
            tokens,
            default,
        )
        .await?;
        let asked = self.daemon.memory();
        Ok(Step {
            tokens,
            points,
            needles,
            stored_bytes: stored.resident,
            asked_bytes: asked.resident,
            peak_bytes: asked.peak,
            disk_bytes: self.daemon.disk_bytes(),
        })
    }

    async fn points(&self, questions: &Questions) -> Result<Vec<Point>, Failure> {
        let asking = Asking {
            client: self.client,
            source: self.source,
            collection: self.collection,
            questions: std::slice::from_ref(questions),
            modes: &MODES,
            queries: self.queries,
            warm_up: 0,
        };
        asking.run().await
    }
}
