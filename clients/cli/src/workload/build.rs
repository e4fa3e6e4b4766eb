//! Storing a source in a collection: the daemon's part is timed, and the oracle reads along.
//!
//! K and V are made a stretch at a time, while the daemon rests: a client that makes them while the daemon clusters
//! would be measured too, since both want all cores.

use std::ops::Range;

use indicatif::ProgressBar;
use wavekv_client::{Client, wire};
use wavekv_trace::exact::{Order, Pieces, Stored};
use wavekv_trace::{Geometry, exact};

use super::questions::Questions;
use super::source::{Source, SourceLayer};
use crate::arguments::IndexKind;
use crate::failure::Failure;
use crate::formats::bench::Build;
use crate::stopwatch::Stopwatch;
use crate::{clustering, upload};

/// K and V of a stretch in memory.
const STRETCH_BYTES: usize = 128 << 20;
/// Of one insert, at most.
const INSERT_TOKENS: usize = 1024;

/// A collection in the making.
pub(crate) struct Builder<'a> {
    client: &'a Client,
    source: &'a Source,
    collection: &'a wire::CollectionRef,
    kind: IndexKind,
    insert_seconds: f64,
    seconds: f64,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        client: &'a Client,
        source: &'a Source,
        collection: &'a wire::CollectionRef,
        kind: IndexKind,
    ) -> Self {
        Self {
            client,
            source,
            collection,
            kind,
            insert_seconds: 0.0,
            seconds: 0.0,
        }
    }

    /// Makes the collection and stores all layers; their queries with the exact answers of those that are checked. Between two
    /// stretches of a layer, `between` is told how many of its tokens are stored and clustered.
    pub(crate) async fn run(
        mut self,
        checked: usize,
        mut between: impl AsyncFnMut(usize, &Questions) -> Result<(), Failure>,
    ) -> Result<(Build, Vec<Questions>), Failure> {
        let request = upload::create(
            self.collection.clone(),
            self.source.summary().model,
            self.source.layers(),
            &self.source.geometry(),
            Some(self.kind),
        );
        let described = self.client.create(request).await?;
        let stretches = stretches(self.source, &described.index.unwrap_or_default());
        let steps = stretches.len() * self.source.layers();
        let bar = ProgressBar::new(steps as u64); // Draws on a terminal only.
        let mut all = Vec::new();
        for index in 0..self.source.layers() {
            let layer = self.source.layer(index);
            let mut questions = Questions::new(self.source, &layer, checked);
            let mut oracle = questions.oracle(self.source)?;
            for stretch in &stretches {
                self.store(index, &layer, stretch.clone(), oracle.as_mut())
                    .await?;
                bar.inc(1);
                between(stretch.end, &questions).await?;
            }
            self.cluster(index).await?;
            questions.exact = oracle.map(Pieces::finish).transpose()?;
            all.push(questions);
        }
        bar.finish_and_clear();
        Ok((self.size().await?, all))
    }

    async fn store(
        &mut self,
        index: usize,
        layer: &SourceLayer<'_>,
        range: Range<usize>,
        oracle: Option<&mut Pieces<'_>>,
    ) -> Result<(), Failure> {
        let [k, v] = layer.tokens_major(range.clone());
        let geometry = self.source.geometry();
        let name = upload::layer(self.collection, index);
        let rows = [geometry.head_dim, geometry.value_dim]
            .map(|dim| geometry.kv_heads * dim * geometry.dtype.size());
        let tokens = insert_tokens(&geometry);
        let entries: Vec<wire::InsertEntry> = (0..range.len())
            .step_by(tokens)
            .map(|start| {
                let end = range.len().min(start + tokens);
                let both = [(&k, rows[0]), (&v, rows[1])]
                    .map(|(bytes, row)| bytes.slice(start * row..end * row));
                wire::InsertEntry {
                    layer: Some(name.clone()),
                    ..upload::entry_of(&geometry, range.start + start..range.start + end, both)
                }
            })
            .collect();

        let watch = Stopwatch::start();
        self.client
            .insert_stream_all(tokio_stream::iter(entries), upload::MESSAGE_BYTES)
            .await?;
        self.insert_seconds += watch.elapsed().as_secs_f64();
        clustering::settle(self.client, self.collection).await?;
        self.seconds += watch.elapsed().as_secs_f64();

        if let Some(oracle) = oracle {
            oracle.add(&stored(&geometry, [&k, &v], range.len()))?;
        }
        Ok(())
    }

    /// What is left of the tail.
    async fn cluster(&mut self, index: usize) -> Result<(), Failure> {
        let watch = Stopwatch::start();
        self.client
            .segment_cluster_one(upload::layer(self.collection, index))
            .await?;
        self.seconds += watch.elapsed().as_secs_f64();
        Ok(())
    }

    async fn size(&self) -> Result<Build, Failure> {
        let stats = self.client.stats(Some(self.collection.clone())).await?;
        let index = stats.index.unwrap_or_default();
        let heads = self.source.layers() * self.source.geometry().kv_heads;
        Ok(Build {
            insert_seconds: self.insert_seconds,
            seconds: self.seconds,
            tokens_times_kv_heads_per_second: (self.source.tokens() * heads) as f64 / self.seconds,
            clusters: index.clusters,
            payload_bytes: index.payload_bytes,
            meta_index_bytes: index.meta_index_bytes,
            code_bytes: index.code_bytes,
        })
    }
}

fn stored<'a>(geometry: &Geometry, [k, v]: [&'a [u8]; 2], tokens: usize) -> exact::Stored<'a> {
    Stored {
        k,
        v,
        dtype: geometry.dtype,
        order: Order::TokensMajor,
        tokens,
        kv_heads: geometry.kv_heads,
        head_dim: geometry.head_dim,
        value_dim: geometry.value_dim,
    }
}

fn insert_tokens(geometry: &Geometry) -> usize {
    (upload::MESSAGE_BYTES / geometry.token_bytes()).clamp(1, INSERT_TOKENS)
}

/// The ranges to store one after the other. Each but the last ends where a full segment does, with the tokens behind it
/// that the daemon leaves unclustered: so nothing is clustered only to be merged at the next stretch.
fn stretches(source: &Source, index: &wire::IndexParameters) -> Vec<Range<usize>> {
    let tokens = source.tokens();
    let segment = index.segment_tokens.unwrap_or(8192).max(1) as usize;
    let recent = index.recent_tokens.unwrap_or(64) as usize;
    let most = STRETCH_BYTES / source.geometry().token_bytes();
    cut(tokens, most.max(segment) / segment * segment, recent)
}

fn cut(tokens: usize, step: usize, recent: usize) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut ranges = Vec::new();
    while start < tokens {
        let end = (ranges.len() + 1) * step + recent;
        ranges.push(start..end.min(tokens));
        start = end;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_end_behind_full_segments_and_cover_all_tokens() {
        assert_eq!(
            cut(20_000, 8192, 64),
            [0..8256, 8256..16_448, 16_448..20_000]
        );
        assert_eq!(cut(8300, 8192, 64), [0..8256, 8256..8300]);
        assert_eq!(cut(8256, 8192, 64).len(), 1);
        assert!(cut(0, 8192, 64).is_empty());
    }

    #[test]
    fn an_insert_fits_a_message_whatever_the_geometry() {
        let geometry = |kv_heads, dim| Geometry {
            q_heads: kv_heads,
            kv_heads,
            head_dim: dim,
            value_dim: dim,
            dtype: wavekv_trace::Dtype::F32,
            scale: 1.0,
        };
        assert_eq!(insert_tokens(&geometry(1, 16)), 1024);
        let large = geometry(1024, 576);
        assert_eq!(insert_tokens(&large), 3);
        assert!(3 * large.token_bytes() <= upload::MESSAGE_BYTES);
    }
}
