//! Which collections there are, by name.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::collection::Collection;
use crate::model::{CollectionName, Error, ErrorKind, Generation};

#[derive(Debug)]
pub(super) struct Registry {
    most: usize,
    collections: RwLock<BTreeMap<CollectionName, Arc<Collection>>>,
}

impl Registry {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            collections: RwLock::default(),
        }
    }

    pub(super) fn add(&self, collection: Arc<Collection>) -> Result<Arc<Collection>, Error> {
        let mut collections = self.collections.write();
        let name = collection.name().clone();
        Self::check_room(self.most, &collections, &name)?;
        collections.insert(name, Arc::clone(&collection));
        Ok(collection)
    }

    /// Refuses a name that is taken now.
    pub(super) fn check_free(&self, name: &CollectionName) -> Result<(), Error> {
        let collections = self.collections.read();
        Self::check_room(self.most, &collections, name)
    }

    /// Takes a collection that was there before; the limit is for new ones.
    pub(super) fn put_back(&self, collection: Arc<Collection>) {
        let name = collection.name().clone();
        self.collections.write().insert(name, collection);
    }

    /// Puts a collection in the place of itself, if it has not been deleted.
    pub(super) fn replace(&self, collection: Arc<Collection>) {
        let mut collections = self.collections.write();
        if let Some(now) = collections.get_mut(collection.name())
            && now.generation() == collection.generation()
        {
            *now = collection;
        }
    }

    fn check_room(
        most: usize,
        collections: &BTreeMap<CollectionName, Arc<Collection>>,
        name: &CollectionName,
    ) -> Result<(), Error> {
        if let Some(old) = collections.get(name) {
            let message = format!(
                "name is {name}: expected one that is not taken (it is generation {})",
                old.generation()
            );
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        if collections.len() >= most {
            let message = format!(
                "limits.max_collections is {most}: expected a collection to be deleted first"
            );
            return Err(Error::new(ErrorKind::ResourceExhausted, message));
        }
        Ok(())
    }

    pub(super) fn find(
        &self,
        name: &CollectionName,
        generation: Option<Generation>,
    ) -> Result<Arc<Collection>, Error> {
        let collections = self.collections.read();
        let found = collections.get(name).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("collection is {name}: expected the name of a collection that exists"),
            )
        })?;
        match generation {
            Some(expected) if expected != found.generation() => Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!(
                    "generation is {expected}: expected {}, the generation of collection {name} now",
                    found.generation()
                ),
            )),
            _ => Ok(Arc::clone(found)),
        }
    }

    pub(super) fn remove(
        &self,
        name: &CollectionName,
        generation: Option<Generation>,
    ) -> Result<Arc<Collection>, Error> {
        let found = self.find(name, generation)?;
        let mut collections = self.collections.write();
        // Between the two locks the name may have been deleted and taken again.
        let same = collections
            .get(name)
            .is_some_and(|now| now.generation() == found.generation());
        if same {
            collections.remove(name);
            return Ok(found);
        }
        drop(collections);
        self.find(name, Some(found.generation()))
    }

    pub(super) fn list(
        &self,
        namespace: Option<&str>,
        prefix: &str,
        after: Option<&CollectionName>,
        limit: usize,
    ) -> Vec<Arc<Collection>> {
        let collections = self.collections.read();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = collections.range::<CollectionName, _>((start, Bound::Unbounded));
        let found = found.filter(|(name, _)| {
            namespace.is_none_or(|namespace| name.namespace() == namespace)
                && name.name().starts_with(prefix)
        });
        found
            .take(limit)
            .map(|(_, collection)| Arc::clone(collection))
            .collect()
    }

    /// The collections that have a rank and that nobody but this room holds, those of the lowest rank first.
    pub(super) fn idle<R: Ord>(
        &self,
        rank: impl Fn(&Collection) -> Option<R>,
    ) -> Vec<Arc<Collection>> {
        let collections = self.collections.read();
        let idle = collections
            .values()
            .filter(|collection| Arc::strong_count(collection) == 1);
        let mut ranked: Vec<(R, &Arc<Collection>)> = idle
            .filter_map(|collection| Some((rank(collection)?, collection)))
            .collect();
        ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
        let idle = ranked.into_iter();
        idle.map(|(_, collection)| Arc::clone(collection)).collect()
    }

    /// The names of the first `most` collections that are refused, and how many are.
    pub(super) fn refused(&self, most: usize) -> (Vec<CollectionName>, usize) {
        let collections = self.collections.read();
        let refused = collections
            .values()
            .filter(|collection| collection.refusal().is_some());
        let first = refused.clone().take(most);
        let names = first.map(|collection| collection.name().clone()).collect();
        (names, refused.count())
    }

    pub(super) fn all(&self) -> Vec<Arc<Collection>> {
        self.collections.read().values().cloned().collect()
    }
}
