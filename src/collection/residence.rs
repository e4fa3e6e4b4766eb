//! What of a collection is in memory: told, and changed where somebody wants it otherwise than the daemon does.

pub use wavekv_storage::Traffic;

use crate::collection::{Collection, Layer};
use crate::index::Segment;
use crate::model::Error;

/// What somebody wants of the K, V and codes of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In memory now, until others need the room more.
    Promoted,
    /// In memory, and not to leave.
    Pinned,
    /// As the daemon sees fit again.
    Unpinned,
    /// On disk alone.
    Demoted,
}

impl Collection {
    /// What was done with its blocks so far, and how many bytes are in memory; all 0 where there is no disk.
    pub fn traffic(&self) -> Traffic {
        let stored = self.stored.as_ref();
        stored.map_or_else(Traffic::default, |stored| stored.home().traffic())
    }

    /// Whether its blocks may not leave memory.
    pub fn is_pinned(&self) -> bool {
        let stored = self.stored.as_ref();
        stored.is_some_and(|stored| stored.home().is_pinned())
    }

    /// Does as is wanted. Of durability `none` all is in memory, whatever is wanted.
    ///
    /// # Errors
    /// `ResourceExhausted` when there is no room in memory: it is as it was then, but for what has come already;
    /// `Unavailable` when the disk does not give it; when nothing of the collection can be had, why.
    pub fn place(&self, placement: Placement) -> Result<(), Error> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let Some(stored) = &self.stored else {
            return Ok(());
        };
        let home = stored.home();
        match placement {
            Placement::Unpinned => home.pin(false),
            Placement::Demoted => {
                home.pin(false);
                self.each_segment(|segment| {
                    segment.demote();
                    Ok(())
                })?;
            }
            Placement::Promoted => self.each_segment(|segment| Ok(segment.promote()?))?,
            Placement::Pinned => {
                // First, so that what has come does not leave for what comes.
                let was = home.is_pinned();
                home.pin(true);
                let promoted = self.each_segment(|segment| Ok(segment.promote()?));
                promoted.inspect_err(|_| home.pin(was))?;
            }
        }
        Ok(())
    }

    fn each_segment(
        &self,
        mut see: impl FnMut(&Segment) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let snapshots = self.layers.iter().map(Layer::snapshot);
        for snapshot in snapshots {
            for segment in snapshot.segments() {
                see(segment)?;
            }
        }
        Ok(())
    }
}
