//! Files and folders of batches that failed and of which nobody knows whether the catalog's log has them: were they removed and the
//! process ended, a start might find a row without its file. They go when the catalog has healed.

use std::path::PathBuf;

use parking_lot::Mutex;

use super::space::Taken;

#[derive(Debug, Default)]
pub(super) struct Limbo {
    files: Mutex<Vec<Held>>,
}

#[derive(Debug)]
struct Held {
    path: PathBuf,
    /// How often the catalog had healed when the batch failed.
    heals: u64,
    /// It is on the disk all the while.
    _taken: Option<Taken>,
}

impl Limbo {
    pub(super) fn put(&self, path: PathBuf, heals: u64, taken: Option<Taken>) {
        self.files.lock().push(Held {
            path,
            heals,
            _taken: taken,
        });
    }

    /// Removes what is in no doubt any more.
    pub(super) fn clear(&self, heals: u64) {
        let mut files = self.files.lock();
        for held in files.extract_if(.., |held| held.heals < heals) {
            // One that stays is nobody's, and goes at the next start.
            let _ = if held.path.is_dir() {
                fs_err::remove_dir_all(&held.path)
            } else {
                fs_err::remove_file(&held.path)
            };
        }
    }
}
