//! Snapshots: a collection as it is at one moment, written to a directory of its own, and made a collection again, here or
//! under another daemon.
//!
//! Must not know: where snapshots are, or who asks. Start at `take.rs`, then `restore.rs`.

mod restore;
mod take;

use wavekv_storage::store::snapshots::Saved;

pub use self::restore::Restore;
use crate::collection::persist;
use crate::collection::record::{self, Recorded};
use crate::model::{
    CollectionName, Durability, Error, ErrorKind, Geometry, IndexParameters, Retention,
};

/// How far a snapshot or a restore is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of K, V and index, shared or copied.
    pub done_bytes: u64,
    /// Of all of them.
    pub total_bytes: u64,
}

/// Told how far it is; says whether to go on.
pub type Watch<'a> = dyn FnMut(Progress) -> bool + 'a;

/// What a snapshot has, without its tokens.
#[derive(Debug)]
pub struct Described {
    /// What the collection was called.
    pub name: CollectionName,
    /// As it was created with, as all that follows.
    pub geometry: Geometry,
    /// How it is indexed.
    pub parameters: IndexParameters,
    /// How long it is kept.
    pub retention: Retention,
    /// What its acknowledgements promise.
    pub durability: Durability,
    /// Tokens of each layer.
    pub layer_lengths: Vec<u32>,
    /// Bytes of its files.
    pub bytes: u64,
}

impl Described {
    /// What a snapshot says of itself.
    ///
    /// # Errors
    /// `DataLoss` when it does not say what a collection is, or a newer build made it.
    pub fn of(saved: &Saved) -> Result<Self, Error> {
        let Recorded {
            name,
            geometry,
            parameters,
            retention,
        } = record::decode(saved.name(), saved.record(), "its snapshot")?;
        if geometry.layers.len() != saved.layers() as usize {
            let (got, expected) = (saved.layers(), geometry.layers.len());
            let message =
                format!("the snapshot of collection {name} has {got} layers: expected {expected}");
            return Err(Error::new(ErrorKind::DataLoss, message));
        }
        Ok(Self {
            name,
            geometry,
            parameters,
            retention,
            durability: persist::lasting(saved.durability()),
            layer_lengths: saved.lengths().collect(),
            bytes: saved.bytes().0,
        })
    }
}

/// Counts what is done.
struct Steps<'a> {
    progress: Progress,
    watch: &'a mut Watch<'a>,
}

impl<'a> Steps<'a> {
    fn of(total_bytes: u64, watch: &'a mut Watch<'a>) -> Result<Self, Error> {
        let progress = Progress {
            done_bytes: 0,
            total_bytes,
        };
        let mut steps = Self { progress, watch };
        steps.done(0)?;
        Ok(steps)
    }

    /// So many more bytes.
    fn done(&mut self, bytes: u64) -> Result<(), Error> {
        let Progress {
            done_bytes,
            total_bytes,
        } = &mut self.progress;
        *done_bytes = done_bytes.saturating_add(bytes).min(*total_bytes);
        if (self.watch)(self.progress) {
            return Ok(());
        }
        let message = "the call was given up, or the daemon is stopping: nothing of it is left";
        Err(Error::new(ErrorKind::Unavailable, message))
    }
}
