//! From a directory to a collection. Every byte is read and compared with its checksum; files are written anew, labelled as
//! those of this collection, so that it shares nothing with the snapshot: neither can harm the other.

use std::sync::Arc;

use wavekv_kernels::Kernels;
use wavekv_storage::Budget;
use wavekv_storage::store::snapshots::{Saved, SavedSegment};
use wavekv_storage::store::{Assembly, Store};

use super::{Described, Steps, Watch};
use crate::collection::layer::Layer;
use crate::collection::persist::{on_disk, segment_name};
use crate::collection::restore::Restoring;
use crate::collection::{Collection, record};
use crate::index::{Segment, kinds, schema};
use crate::model::{CollectionName, Error, Generation, LayerId, SegmentIds, TokenRange};

/// What is to become of a snapshot.
#[derive(Debug)]
pub struct Restore<'a> {
    /// The snapshot.
    pub saved: &'a Saved,
    /// What it says of itself.
    pub described: Described,
    /// Of the collection.
    pub name: CollectionName,
    /// Of the collection.
    pub generation: Generation,
    /// Of the arithmetic.
    pub kernels: Kernels,
    /// Pays for what of it is in memory.
    pub budget: Budget,
    /// Where it is to be, if it is on disk.
    pub store: &'a Store,
    /// Names its segments.
    pub segments: &'a SegmentIds,
}

impl Restore<'_> {
    /// Makes the collection, on disk first, with all that it was created with.
    ///
    /// # Errors
    /// `DataLoss` naming the file when one is not as it was written; `InvalidArgument` when this build has not its kind of
    /// index; `ResourceExhausted` when the memory budget, the disk's budget or the disk has no room; `Unavailable` when the
    /// disk does not work, or `watch` says so. Nothing of it is left then.
    pub fn run<'a>(self, watch: &'a mut Watch<'a>) -> Result<Collection, Error> {
        let Described {
            geometry,
            parameters,
            retention,
            durability,
            ..
        } = &self.described;
        kinds::available(*parameters)?;
        let mut collection = Collection::new(
            self.name.clone(),
            self.generation,
            geometry.clone(),
            *parameters,
            self.kernels,
            self.budget.clone(),
            None,
        )?
        .retained(*retention);
        let label = self.name.to_string();
        let assembly = on_disk(*durability).map(|durability| {
            let (generation, layers) = (self.generation.0, self.saved.layers());
            self.store.assemble(generation, &label, durability, layers)
        });
        let mut assembly = assembly.transpose()?;
        let mut steps = Steps::of(self.saved.content_bytes().0, watch)?;
        for (layer, number) in collection.layers.iter().zip(0..) {
            self.fill(layer, number, assembly.as_mut(), &mut steps)?;
        }
        if let Some(assembly) = assembly {
            let record = record::encode(&self.name, geometry, parameters, *retention)?;
            let assembled = assembly.commit(record)?;
            collection.stored = Some(assembled.stored);
            for (layer, stored) in collection.layers.iter_mut().zip(assembled.layers) {
                layer.stored = Some(stored);
            }
        }
        Ok(collection)
    }

    /// Gives a layer its tokens.
    fn fill(
        &self,
        layer: &Layer,
        number: u32,
        mut assembly: Option<&mut Assembly>,
        steps: &mut Steps<'_>,
    ) -> Result<(), Error> {
        let mut restoring = Restoring::new(&layer.fixed, &layer.layout, LayerId(number));
        for saved in self.saved.segments(number) {
            let segment = self.segment(layer, number, saved, assembly.as_deref_mut())?;
            restoring.add(segment)?;
            steps.done(saved.bytes().0)?;
        }
        self.saved.replay(number, |is_sink, run| {
            if let Some(assembly) = assembly.as_deref_mut() {
                if is_sink {
                    assembly.write_sink(number, &run)?;
                } else {
                    assembly.write_run(number, &run)?;
                }
            }
            restoring.take(&run)?;
            steps.done(run.planes.iter().map(|plane| plane.len() as u64).sum())
        })?;
        let (steady, segments) = restoring.finish()?;
        layer.swap(|state| {
            state.steady = steady;
            state.segments = Arc::new(segments);
        });
        Ok(())
    }

    fn segment(
        &self,
        layer: &Layer,
        number: u32,
        saved: &SavedSegment,
        assembly: Option<&mut Assembly>,
    ) -> Result<Segment, Error> {
        let fixed = &layer.fixed;
        let loaded = self
            .saved
            .load(saved, schema::VERSION, &fixed.schema, &self.budget)?;
        let id = self.segments.next();
        let (start, end) = saved.range();
        let range = TokenRange::new(start, end);
        let columns = match assembly {
            None => Arc::new(loaded),
            Some(assembly) => {
                let (name, scope) = (segment_name(id, range), &fixed.namespace);
                assembly.write_segment(number, name, schema::VERSION, scope, &loaded)?
            }
        };
        let built = fixed
            .builder()
            .reopen(range, fixed.geometry.dtype, columns)?;
        Ok(Segment::new(id, range, &fixed.geometry, built))
    }
}
