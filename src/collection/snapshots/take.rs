//! From a collection to a directory. Nothing is copied of a segment whose file can have another name there; what is in memory
//! alone is written.

use parking_lot::MutexGuard;
use wavekv_storage::store::snapshots::{Making, Snapshots};

use super::{Steps, Watch};
use crate::collection::layer::{Layer, Snapshot};
use crate::collection::persist::{on_disk, segment_name};
use crate::collection::{Collection, record};
use crate::index::schema;
use crate::model::{Error, SnapshotName};

impl Collection {
    /// Makes a snapshot of all layers as they are at one moment. Inserts, truncations and seals wait while the files of
    /// segments get their names, and for nothing that is copied. When this returns, the snapshot outlives a loss of power.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken; `ResourceExhausted` when the disk is full, or the memory budget has no room for
    /// what is written; `Unavailable` when the disk does not work, or `watch` says so; `DataLoss` when a file that is copied
    /// is not as it was written; when nothing of the collection can be had, why. There is no snapshot then.
    pub fn take_snapshot<'a>(
        &self,
        snapshots: &Snapshots,
        name: &SnapshotName,
        watch: &'a mut Watch<'a>,
    ) -> Result<(), Error> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let (label, layers) = (self.name.to_string(), self.layers.len() as u32);
        let durability = on_disk(self.durability());
        let mut making = snapshots.begin(name.as_str(), &label, durability, layers)?;
        let moment = self.at_one_moment(&mut making)?;
        let (shared_bytes, token_bytes) = (making.segment_bytes().0, self.token_bytes());
        let to_write = moment.iter().map(|layer| {
            let segments = layer.segments().iter().filter(|_| self.stored.is_none());
            let segments: u64 = segments.map(|segment| segment.columns().size().0).sum();
            let steady = layer.steady_ranges();
            let tokens: u64 = steady.iter().map(|range| u64::from(range.tokens())).sum();
            segments + tokens * token_bytes
        });
        let mut steps = Steps::of(shared_bytes + to_write.sum::<u64>(), watch)?;
        for (layer, number) in moment.iter().zip(0..) {
            if self.stored.is_none() {
                layer.write_segments(&mut making, number, &mut steps)?;
            }
            layer.visit_steady(|is_sink, run| {
                let written = making.write_run(number, is_sink, run)?;
                steps.done(written.0)
            })?;
        }
        drop(moment);
        while let Some(bytes) = making.settle_next()? {
            // Those that were written have been counted.
            steps.done(self.stored.as_ref().map_or(0, |_| bytes.0))?;
        }
        let (geometry, parameters) = (self.geometry(), self.parameters());
        let record = record::encode(&self.name, geometry, parameters, self.retention)?;
        Ok(making.commit(record)?)
    }

    /// All layers as they are now, and names for the files of their segments.
    fn at_one_moment(&self, making: &mut Making) -> Result<Vec<Snapshot>, Error> {
        // Whoever takes more than one turn takes them in order.
        let _turns: Vec<MutexGuard<'_, ()>> = self.layers.iter().map(Layer::writer).collect();
        let layers: Vec<Snapshot> = self.layers.iter().map(Layer::snapshot).collect();
        for (layer, snapshot) in self.layers.iter().zip(&layers) {
            for segment in snapshot.segments() {
                if let Some(stored) = &layer.stored {
                    making.share_segment(stored, segment.id().0)?;
                }
            }
        }
        Ok(layers)
    }

    /// K and V of a token, all heads.
    fn token_bytes(&self) -> u64 {
        let geometry = self.geometry();
        u64::from(geometry.kv_heads) * (geometry.key_bytes() + geometry.value_bytes()) as u64
    }
}

impl Snapshot {
    fn write_segments(
        &self,
        making: &mut Making,
        layer: u32,
        steps: &mut Steps<'_>,
    ) -> Result<(), Error> {
        for segment in self.segments() {
            let name = segment_name(segment.id(), segment.range());
            let columns = segment.columns();
            making.write_segment(layer, name, schema::VERSION, columns)?;
            steps.done(columns.size().0)?;
        }
        Ok(())
    }
}
