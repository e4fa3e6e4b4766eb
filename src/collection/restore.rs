//! A start of the daemon: a collection as it was when the last process ended.
//!
//! Segments are mapped after all of their checksums were compared; the tail is read into memory, one stored run at a
//! time. A collection that cannot be had as it was is there all the same: it answers with the reason, and can be deleted.

use std::sync::Arc;

use bytes::Bytes;
use wavekv_kernels::Kernels;
use wavekv_storage::Budget;
use wavekv_storage::store::{FoundCollection, FoundSegment, Run, StoredCollection, StoredLayer};

use crate::collection::layer::{Layer, Snapshot};
use crate::collection::record::{self, Recorded};
use crate::collection::steady::{Steady, filled_blocks};
use crate::collection::{Collection, Fixed};
use crate::index::build::Builder;
use crate::index::{Layout, Segment, kinds, schema};
use crate::model::{
    CollectionName, Error, ErrorKind, Generation, Geometry, IndexParameters, LayerId, LayerKind,
    NewTokens, Retention, SegmentId, TokenRange,
};

/// Where a collection is found of which not even the namespace is known.
const LOST: &str = "lost";

impl Collection {
    /// The collection without any of its tokens: [`Collection::restored`] brings them. One whose record is damaged or a newer
    /// build's is refused; where that hides its name, it has one made of its generation, in the namespace `lost`.
    ///
    /// # Errors
    /// `Internal` when its geometry has no schema.
    pub fn found(found: FoundCollection, kernels: Kernels, budget: Budget) -> Result<Self, Error> {
        let FoundCollection { record, stored } = found;
        let generation = Generation(stored.generation());
        let recorded = record
            .map_err(Error::from)
            .and_then(|record| record::decode(stored.name(), &record, "the catalog"));
        let (recorded, refusal) = match recorded {
            Ok(recorded) => (recorded, None),
            Err(error) => (unrecorded(&stored)?, Some(error)),
        };
        let Recorded {
            name,
            geometry,
            parameters,
            retention,
        } = recorded;
        let stored = Some(stored);
        let collection = Self::new(
            name, generation, geometry, parameters, kernels, budget, stored,
        )?;
        let collection = collection.retained(retention);
        Ok(match refusal {
            Some(error) => collection.refused(&error),
            None => collection,
        })
    }

    /// The same under the name that one has whose name is not known.
    ///
    /// # Errors
    /// Never: it is a name.
    pub fn renamed_lost(mut self) -> Result<Self, Error> {
        self.name = lost_name(self.generation)?;
        Ok(self)
    }

    /// The collection with its tokens, or with the reason why it cannot have them.
    #[must_use]
    pub fn restored(mut self) -> Self {
        if self.refusal.is_some() {
            return self;
        }
        match self.restored_layers() {
            Ok(layers) => {
                self.layers = layers;
                self
            }
            Err(error) => self.refused(&error),
        }
    }

    fn restored_layers(&self) -> Result<Vec<Layer>, Error> {
        kinds::available(self.fixed.parameters)?;
        let layers = self.fixed.geometry.layers.iter().enumerate();
        let layers = layers.map(|(layer, kind)| {
            let stored = self
                .stored
                .as_ref()
                .map(|stored| stored.layer(layer as u32));
            Layer::restored(&self.fixed, *kind, LayerId(layer as u32), stored)
        });
        layers.collect()
    }
}

/// What is told of a collection whose record is not.
fn unrecorded(stored: &StoredCollection) -> Result<Recorded, Error> {
    let label = stored.name().split_once('/');
    let name = label.and_then(|(namespace, name)| CollectionName::new(namespace, name).ok());
    let lost = || lost_name(Generation(stored.generation()));
    Ok(Recorded {
        name: name.map_or_else(lost, Ok)?,
        geometry: Geometry::unknown(),
        parameters: IndexParameters::DEFAULT,
        retention: Retention::default(),
    })
}

fn lost_name(generation: Generation) -> Result<CollectionName, Error> {
    let name = format!("generation-{generation}");
    CollectionName::new(LOST, &name).map_err(Error::internal)
}

impl Layer {
    fn restored(
        fixed: &Arc<Fixed>,
        kind: LayerKind,
        layer: LayerId,
        stored: Option<StoredLayer>,
    ) -> Result<Self, Error> {
        let restored = Self::new(Arc::clone(fixed), kind, stored);
        if let Some(stored) = &restored.stored {
            let mut restoring = Restoring::new(fixed, &restored.layout, layer);
            let builder = fixed.builder();
            for found in stored.segments()? {
                restoring.add(open(fixed, &builder, stored, &found)?)?;
            }
            stored.replay(|run| restoring.take(&run))?;
            let (steady, segments) = restoring.finish()?;
            restored.swap(|state: &mut Snapshot| {
                state.steady = steady;
                state.segments = Arc::new(segments);
            });
        }
        Ok(restored)
    }
}

/// A layer that gets its segments, and then its tokens.
pub(super) struct Restoring<'a> {
    fixed: &'a Arc<Fixed>,
    layer: LayerId,
    segments: Vec<Arc<Segment>>,
    steady: Steady,
}

impl<'a> Restoring<'a> {
    pub(super) fn new(fixed: &'a Arc<Fixed>, layout: &Layout, layer: LayerId) -> Self {
        Self {
            fixed,
            layer,
            segments: vec![],
            steady: Steady::new(layout.sink_end()),
        }
    }

    /// Takes the next segment in order of position.
    pub(super) fn add(&mut self, segment: Segment) -> Result<(), Error> {
        let last = self.segments.last().map(|segment| segment.range().end);
        let end = last.unwrap_or_else(|| self.steady.sink_end());
        let start = segment.range().start;
        if start != end {
            return Err(missing(self.layer, end, start));
        }
        self.segments.push(Arc::new(segment));
        Ok(())
    }

    /// The layer, after all of its segments and tokens.
    pub(super) fn finish(mut self) -> Result<(Steady, Vec<Arc<Segment>>), Error> {
        let sink_end = self.steady.sink_end();
        if !self.segments.is_empty() {
            if self.steady.length() < sink_end {
                return Err(missing(self.layer, self.steady.length(), sink_end));
            }
            self.pass_segments()?;
        }
        Ok((self.steady, self.segments))
    }

    /// Takes what of a run is neither there already nor in a segment.
    pub(super) fn take(&mut self, run: &Run<'_>) -> Result<(), Error> {
        let range = TokenRange::new(run.start, run.start.saturating_add(run.tokens));
        let sealed = self.segments.last().map(|segment| segment.range().end);
        let Some(sealed_end) = sealed else {
            return self.append(run, range);
        };
        let sink = TokenRange::new(0, self.steady.sink_end());
        self.append(run, range.intersection(sink))?;
        if range.end > sealed_end {
            self.pass_segments()?;
            self.append(
                run,
                range.intersection(TokenRange::new(sealed_end, range.end)),
            )?;
        }
        Ok(())
    }

    /// Goes on behind the segments, unless it is there.
    fn pass_segments(&mut self) -> Result<(), Error> {
        let Some(end) = self.segments.last().map(|segment| segment.range().end) else {
            return Ok(());
        };
        if self.steady.length() < end {
            let tail = TokenRange::new(end, end);
            let none = NewTokens {
                start: end,
                tokens: 0,
                keys: Bytes::new(),
                values: Bytes::new(),
            };
            let blocks = filled_blocks(self.fixed, self.steady.tail_cells(tail), &none)?;
            self.steady.replace_tail(tail, blocks);
        }
        Ok(())
    }

    /// Appends the tokens of `range`, which are some of the run's, but for those that are there.
    fn append(&mut self, run: &Run<'_>, range: TokenRange) -> Result<(), Error> {
        let length = self.steady.length();
        let range = TokenRange::new(range.start.max(length), range.end);
        if range.start >= range.end {
            return Ok(());
        }
        if range.start > length {
            return Err(missing(self.layer, length, range.start));
        }
        let &[keys, values] = run.planes else {
            let message = format!("layer {}: a stored run is not of K and V", self.layer);
            return Err(Error::new(ErrorKind::DataLoss, message));
        };
        let geometry = &self.fixed.geometry;
        let heads = geometry.kv_heads as usize;
        let tokens = |plane: &[u8], bytes: usize| {
            let first = (range.start - run.start) as usize * bytes;
            let part = plane.get(first..first + range.tokens() as usize * bytes);
            part.map(Bytes::copy_from_slice)
        };
        let both = tokens(keys, heads * geometry.key_bytes())
            .zip(tokens(values, heads * geometry.value_bytes()));
        let Some((keys, values)) = both else {
            let message = format!(
                "layer {}: the tokens stored from position {} on are of another shape",
                self.layer, run.start
            );
            return Err(Error::new(ErrorKind::DataLoss, message));
        };
        let new = NewTokens {
            start: range.start,
            tokens: range.tokens(),
            keys,
            values,
        };
        let blocks = filled_blocks(self.fixed, self.steady.new_cells(range), &new)?;
        self.steady.append(geometry, &new, blocks);
        Ok(())
    }
}

fn open(
    fixed: &Fixed,
    builder: &Builder,
    stored: &StoredLayer,
    found: &FoundSegment,
) -> Result<Segment, Error> {
    let range = TokenRange::new(found.name.start, found.name.end);
    let columns = stored.open_segment(found, schema::VERSION, &fixed.schema)?;
    let built = builder.reopen(range, fixed.geometry.dtype, columns)?;
    let id = SegmentId(found.name.number);
    Ok(Segment::new(id, range, &fixed.geometry, built))
}

fn missing(layer: LayerId, from: u32, to: u32) -> Error {
    let message = format!("layer {layer}: the tokens from position {from} to {to} are missing");
    Error::new(ErrorKind::DataLoss, message)
}
