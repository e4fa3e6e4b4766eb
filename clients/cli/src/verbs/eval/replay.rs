//! Replays the queries of a trace against a daemon, in a collection of its own.

use std::ops::Range;
use std::sync::Arc;

use indicatif::ProgressBar;
use wavekv_client::{Client, Mode, wire};
use wavekv_trace::Trace;
use wavekv_trace::exact::Exact;

use super::samples::Samples;
use crate::arguments::IndexKind;
use crate::failure::Failure;
use crate::stopwatch::Stopwatch;
use crate::{clustering, upload};

/// Tokens of one insert at prefill, and between the queries that are spread.
const PREFILL_TOKENS: usize = 1024;
const SPREAD_TOKENS: usize = 256;

/// How K and V arrive between queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// With the query, as in decode.
    Decode,
    /// Before it, and the daemon's clustering is waited for, so that a second run gives the same answers.
    Settled,
}

/// A replay in progress.
pub(crate) struct Replay<'a> {
    pub(crate) client: &'a Client,
    pub(crate) trace: &'a Arc<Trace>,
    pub(crate) modes: &'a [Mode],
    pub(crate) arrival: Arrival,
    /// The query rows to ask.
    pub(crate) rows: Range<usize>,
    /// Kind of the collection's index.
    pub(crate) index: Option<IndexKind>,
    /// Whether the daemon is to measure the error of its answers.
    pub(crate) audit: bool,
    /// The collection to make.
    pub(crate) collection: wire::CollectionRef,
}

impl Replay<'_> {
    /// Stores, clusters, asks. One [`Samples`] per mode.
    pub(crate) async fn run(&self) -> Result<Vec<Samples>, Failure> {
        let exact = self.exact()?;
        let first = self.trace.q_positions[self.rows.start] as usize;
        self.client
            .create(upload::create_for(
                self.collection.clone(),
                self.trace,
                self.index,
            ))
            .await?;
        self.insert(0..first, PREFILL_TOKENS).await?;
        if first > 0 {
            let layers = upload::layers(&self.collection, self.trace);
            self.client.segment_cluster(layers).await?.all()?;
        }
        let mut samples = vec![Samples::default(); self.modes.len()];
        let bar = ProgressBar::new(self.rows.len() as u64); // Draws on a terminal only.
        let mut stored = first;
        for row in self.rows.clone() {
            let length = self.trace.q_positions[row] as usize + 1;
            let mut arriving = stored..length;
            if self.arrival == Arrival::Settled || arriving.len() > PREFILL_TOKENS {
                self.insert(arriving.clone(), SPREAD_TOKENS).await?;
                arriving = length..length;
                clustering::settle(self.client, &self.collection).await?;
            }
            stored = length;
            self.ask(row, arriving, &exact, &mut samples).await?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(samples)
    }

    /// One query in every mode; the tokens of `arriving` come with the first.
    async fn ask(
        &self,
        row: usize,
        arriving: Range<usize>,
        exact: &[Exact],
        samples: &mut [Samples],
    ) -> Result<(), Failure> {
        for (index, (mode, samples)) in self.modes.iter().zip(samples).enumerate() {
            let mut entries: Vec<wire::AttendEntry> = (0..self.trace.layers.len())
                .map(|layer| wire::AttendEntry {
                    audit: self.audit,
                    ..self.entry(row, layer, *mode)
                })
                .collect();
            if index == 0 && !arriving.is_empty() {
                for (layer, entry) in entries.iter_mut().enumerate() {
                    entry.insert = Some(upload::entry(self.trace, layer, arriving.clone()));
                }
            }
            let answers = self.client.attend(entries).await?.all()?;
            for (layer, (answer, exact)) in answers.iter().zip(exact).enumerate() {
                samples.add(self.trace, layer, exact, row - self.rows.start, answer)?;
            }
            // The latency of one layer is asked for apart: the batch above works on its layers at once and may insert.
            let alone = self.entry(row, row % self.trace.layers.len(), *mode);
            let watch = Stopwatch::start();
            self.client.attend_one(alone).await?;
            samples.add_latency(watch.elapsed_ms());
        }
        Ok(())
    }

    fn entry(&self, row: usize, layer: usize, mode: Mode) -> wire::AttendEntry {
        let (heads, dim) = (self.trace.q_heads, self.trace.head_dim);
        let q = self.trace.layers[layer].queries(row..row + 1, heads * dim);
        let name = upload::layer(&self.collection, layer);
        upload::question(name, &q, [heads, dim], self.trace.q_positions[row], mode)
    }

    async fn insert(&self, range: Range<usize>, tokens: usize) -> Result<(), Failure> {
        if range.is_empty() {
            return Ok(());
        }
        let trace = Arc::clone(self.trace);
        let entries = upload::entries(trace, self.collection.clone(), range, tokens);
        let entries = tokio_stream::iter(entries);
        self.client
            .insert_stream_all(entries, upload::MESSAGE_BYTES)
            .await?;
        Ok(())
    }

    /// The true answers, layer by layer.
    fn exact(&self) -> Result<Vec<Exact>, Failure> {
        let layers = self.trace.layers.iter();
        Ok(layers
            .map(|layer| self.trace.attend(layer, self.rows.clone()))
            .collect::<Result<_, _>>()?)
    }
}
