//! The last query of a layer, kept while somebody looks at the collection.
//!
//! A query is as large as a token of all heads, and there are many: until somebody looks, one costs a load more, and
//! nothing is kept. A look has the next [`KEPT`] queries kept, each in the place of the one before, so that whoever goes on
//! looking sees the newest, and who has gone away costs nothing soon. It counts queries, since this room knows no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::model::{AttendQuery, TokenRange};

/// Queries that a look has kept. A page that looks every few seconds misses the newest of a layer only where more come
/// between two of its looks, and then shows one that is as good.
const KEPT: u32 = 1024;

/// Of one layer.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Queries that are still to be kept.
    left: AtomicU32,
    last: Mutex<Option<Arc<LastQuery>>>,
}

/// A query token.
#[derive(Debug)]
pub(super) struct LastQuery {
    /// Of this token alone.
    pub(super) query: AttendQuery,
    /// What it saw.
    pub(super) visible: TokenRange,
}

impl Watched {
    /// Somebody looks.
    pub(super) fn look(&self) -> Option<Arc<LastQuery>> {
        self.left.store(KEPT, Ordering::Relaxed);
        self.last.lock().clone()
    }

    /// Keeps the last token of a query, of which `row` numbers are one, when somebody looks. Another thread that keeps one
    /// is not waited for.
    pub(super) fn note(&self, query: &AttendQuery, row: usize, visible: &[TokenRange]) {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return;
        }
        let (Some(visible), Some(start)) = (visible.last(), query.queries.len().checked_sub(row))
        else {
            return;
        };
        if visible.is_empty() {
            return;
        }
        // A race loses one of the count.
        self.left.store(left - 1, Ordering::Relaxed);
        if let Some(mut last) = self.last.try_lock() {
            let query = AttendQuery {
                queries: query.queries[start..].to_vec(),
                positions: None,
                audit: false,
                ..*query
            };
            *last = Some(Arc::new(LastQuery {
                query,
                visible: *visible,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mode;

    fn note(watched: &Watched, first: f32) {
        let query = AttendQuery {
            queries: vec![0.0, 0.0, first, 2.0],
            positions: Some(vec![7, 8]),
            mode: Mode::Exact,
            audit: true,
        };
        let visible = [TokenRange::new(0, 8), TokenRange::new(0, 9)];
        watched.note(&query, 2, &visible);
    }

    #[test]
    fn only_what_comes_after_a_look_is_kept_and_not_for_ever() {
        let watched = Watched::default();
        note(&watched, 1.0);
        assert!(watched.look().is_none());
        for first in 0..=KEPT {
            note(&watched, first as f32);
        }
        let last = watched.look().unwrap();
        assert_eq!(last.query.queries, [KEPT as f32 - 1.0, 2.0]);
        assert_eq!(last.visible, TokenRange::new(0, 9));
        assert!(last.query.positions.is_none() && !last.query.audit);
        note(&watched, -1.0);
        assert_eq!(watched.look().unwrap().query.queries, [-1.0, 2.0]);
    }
}
