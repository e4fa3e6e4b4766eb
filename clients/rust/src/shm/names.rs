//! The collections that are open on a connection.

use std::collections::{HashMap, VecDeque};

use wavekv_shm::body::Opened;
use wavekv_shm::layout::OPEN_COLLECTIONS;

use crate::wire::CollectionRef;

/// A collection with its id.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) id: u64,
    pub(super) opened: Opened,
}

/// Ids, and what they stand for. An id is never used twice.
#[derive(Debug, Default)]
pub(super) struct Names {
    named: HashMap<CollectionRef, Named>,
    /// By id, as many as the daemon keeps.
    order: VecDeque<(u64, CollectionRef)>,
    last: u64,
}

impl Names {
    pub(super) fn get(&self, name: &CollectionRef) -> Option<&Named> {
        self.named.get(name)
    }

    /// An id for a name that is to be opened; the daemon forgets the name that has its slot.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last += 1;
        while let Some((id, _)) = self.order.front()
            && self.last - id >= OPEN_COLLECTIONS
        {
            if let Some((id, name)) = self.order.pop_front()
                && self.named.get(&name).is_some_and(|named| named.id == id)
            {
                self.named.remove(&name);
            }
        }
        self.last
    }

    /// Keeps a name that was opened.
    pub(super) fn keep(&mut self, name: CollectionRef, named: Named) {
        // Between ids that were chosen side by side, the order is not that of the answers.
        let at = self.order.partition_point(|(id, _)| *id < named.id);
        self.order.insert(at, (named.id, name.clone()));
        self.named.insert(name, named);
    }

    /// Has a name opened again at its next use.
    pub(super) fn forget(&mut self, name: &CollectionRef) {
        self.named.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u64) -> CollectionRef {
        CollectionRef {
            name: number.to_string(),
            ..Default::default()
        }
    }

    #[test]
    fn a_name_is_kept_for_as_long_as_the_daemon_keeps_its_id() {
        let mut names = Names::default();
        for number in 1..=OPEN_COLLECTIONS {
            let id = names.next_id();
            let opened = Opened::default();
            names.keep(name(number), Named { id, opened });
        }
        assert_eq!(names.get(&name(1)).map(|named| named.id), Some(1));
        names.forget(&name(2));
        assert_eq!(names.next_id(), OPEN_COLLECTIONS + 1);
        assert!(names.get(&name(1)).is_none());
        assert!(names.get(&name(2)).is_none());
        assert!(names.get(&name(3)).is_some());
        assert_eq!(names.order.len() as u64, OPEN_COLLECTIONS - 1);
    }
}
