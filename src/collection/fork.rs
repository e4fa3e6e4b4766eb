//! Fork: another collection that begins with this one's first tokens. Nothing is copied but what a cut segment leaves to
//! the tail: segments are shared, and blocks until one side appends to them; on disk, files get another name.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::MutexGuard;
use wavekv_storage::Patience;
use wavekv_storage::store::{self, Assembly, Run, Store, StoredLayer};

use crate::collection::layer::{Layer, Snapshot};
use crate::collection::persist::{on_disk, run, segment_name};
use crate::collection::{Collection, done, record};
use crate::index::{Segment, schema};
use crate::model::{
    CollectionName, Durability, Error, ErrorKind, Generation, NewTokens, TokenRange,
};

/// What a fork is to be.
#[derive(Debug)]
pub struct Fork {
    /// Of the fork; in the namespace of its source.
    pub name: CollectionName,
    /// Of the fork.
    pub generation: Generation,
    /// Tokens of every layer; all that every layer of the source has when none are given.
    pub length: Option<u32>,
    /// Of the fork.
    pub durability: Durability,
}

/// A layer that ends at a length.
struct Cut {
    snapshot: Snapshot,
    /// The tokens that a segment had and that the tail has now.
    unsealed: Option<NewTokens>,
}

impl Collection {
    /// A collection with the first tokens of this one, on disk first. Inserts, truncations and seals of this one wait
    /// meanwhile, so that it has all of its layers as they are at one moment.
    ///
    /// # Errors
    /// `OutOfRange` when a layer is shorter than the fork is to be; `ResourceExhausted` when the memory budget has no room
    /// for the tokens of a segment that is cut, or the disk is full; `Unavailable` when the disk does not work; when
    /// nothing of this collection can be had, why. There is no fork then.
    pub fn fork(&self, fork: Fork, store: &Store) -> Result<Self, Error> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        // Nobody else has more than one turn at a time.
        let turns: Vec<MutexGuard<'_, ()>> = self.layers.iter().map(Layer::writer).collect();
        let length = self.checked_fork_length(fork.length)?;
        let cuts = self.layers.iter().map(|layer| layer.cut(length));
        let mut cuts = cuts.collect::<Result<Vec<_>, Error>>()?;
        if self.stored.is_none() {
            // What is shared is in memory, and does not change.
            drop(turns);
        }
        let (stored, places) = match on_disk(fork.durability) {
            None => (None, vec![]),
            Some(durability) => {
                let assembled = self.assembled(&fork, durability, &mut cuts, store)?;
                (Some(assembled.stored), assembled.layers)
            }
        };
        let mut places = places.into_iter();
        let layers = self.layers.iter().zip(cuts);
        let layers = layers.map(|(layer, cut)| layer.forked(cut.snapshot, places.next()));
        Ok(Self {
            name: fork.name,
            generation: fork.generation,
            fixed: Arc::clone(&self.fixed),
            layers: layers.collect(),
            stored,
            refusal: None,
            retention: self.retention,
            used_at: AtomicU64::new(0),
            done: done::Counts::default(),
        })
    }

    fn checked_fork_length(&self, wanted: Option<u32>) -> Result<u32, Error> {
        let lengths = self.layers.iter().map(Layer::length);
        let shortest = lengths.min().unwrap_or(0);
        match wanted {
            Some(length) if length > shortest => {
                let message = format!(
                    "length is {length}: expected at most {shortest}, the length of collection {}",
                    self.name
                );
                Err(Error::new(ErrorKind::OutOfRange, message))
            }
            Some(length) => Ok(length),
            None => Ok(shortest),
        }
    }

    /// The fork on disk. Segments that were in memory alone are mapped from then on.
    fn assembled(
        &self,
        fork: &Fork,
        durability: store::Durability,
        cuts: &mut [Cut],
        store: &Store,
    ) -> Result<store::Assembled, Error> {
        let layers = self.layers.len() as u32;
        let name = fork.name.to_string();
        let mut assembly = store.assemble(fork.generation.0, &name, durability, layers)?;
        for ((layer, cut), number) in self.layers.iter().zip(cuts).zip(0..) {
            match &layer.stored {
                Some(from) => share(&mut assembly, from, cut)?,
                None => cut.snapshot.write(&mut assembly, number)?,
            }
        }
        let (geometry, parameters) = (self.geometry(), self.parameters());
        let record = record::encode(&fork.name, geometry, parameters, self.retention)?;
        Ok(assembly.commit(record)?)
    }
}

impl Layer {
    fn cut(&self, length: u32) -> Result<Cut, Error> {
        let mut snapshot = self.snapshot();
        let unsealed = snapshot.end_at(length)?;
        snapshot.uncut = u32::MAX;
        Ok(Cut { snapshot, unsealed })
    }

    /// The same layer of a fork, which begins with what audits found of these tokens.
    fn forked(&self, snapshot: Snapshot, stored: Option<StoredLayer>) -> Self {
        let mut forked = Self::new(Arc::clone(&self.fixed), self.kind(), stored);
        forked.audited = Arc::new(self.audited.copied());
        forked.swap(|state| *state = snapshot);
        forked
    }
}

impl Snapshot {
    /// Stores all of it in a collection that is being assembled, and takes its segments from there.
    fn write(&mut self, assembly: &mut Assembly, layer: u32) -> Result<(), Error> {
        let segments = self.segments().to_vec();
        let written = segments
            .iter()
            .map(|segment| self.write_segment(assembly, layer, segment));
        let written = written.collect::<Result<Vec<_>, Error>>()?;
        self.visit_steady(|is_sink, run| {
            if is_sink {
                assembly.write_sink(layer, run)?;
            } else {
                assembly.write_run(layer, run)?;
            }
            Ok(())
        })?;
        self.segments = Arc::new(written);
        Ok(())
    }

    /// Shows the tokens that no segment has, in order of position, as they are stored: as those which no segment ever has
    /// where there are segments. Some of them are in memory once more meanwhile.
    pub(super) fn visit_steady(
        &self,
        mut see: impl FnMut(bool, &Run<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let [sink, tail] = self.steady.ranges();
        let in_one = self.segments().is_empty() && !(sink.is_empty() && tail.is_empty());
        let (sink, tail) = if in_one {
            (TokenRange::EMPTY, TokenRange::new(0, self.length()))
        } else {
            (sink, tail)
        };
        for (range, is_sink) in [(sink, true), (tail, false)] {
            for range in range.pieces(STORED_TOKENS) {
                let fetched = self.fetch_range(range, Patience::Stand)?;
                let planes: &[&[u8]] = &[&fetched.keys, &fetched.values];
                let run = Run {
                    start: range.start,
                    tokens: range.tokens(),
                    planes,
                };
                see(is_sink, &run)?;
            }
        }
        Ok(())
    }

    fn write_segment(
        &self,
        assembly: &mut Assembly,
        layer: u32,
        segment: &Segment,
    ) -> Result<Arc<Segment>, Error> {
        let (id, range) = (segment.id(), segment.range());
        let name = segment_name(id, range);
        let (columns, scope) = (segment.columns(), &self.fixed.namespace);
        let mapped = assembly.write_segment(layer, name, schema::VERSION, scope, columns)?;
        let geometry = &self.fixed.geometry;
        let builder = self.fixed.builder();
        let built = builder.reopen(range, geometry.dtype, mapped)?;
        Ok(Arc::new(Segment::new(id, range, geometry, built)))
    }
}

/// Tokens of a run that is stored at once, which are in memory once more meanwhile; a sink has fewer.
const STORED_TOKENS: u32 = 1024;

/// What the fork of a stored layer has of its files and rows.
fn share(assembly: &mut Assembly, from: &StoredLayer, cut: &Cut) -> Result<(), Error> {
    for segment in cut.snapshot.segments() {
        assembly.share_segment(from, segment.id().0)?;
    }
    let length = cut.snapshot.length();
    let Some(new) = &cut.unsealed else {
        return Ok(assembly.share_tail(from, length, None)?);
    };
    let planes: &[&[u8]] = &[&new.keys, &new.values];
    Ok(assembly.share_tail(from, length, Some(&run(new, planes)))?)
}
