//! The collections that a client has opened: ids that stand for names.

use std::collections::HashMap;

use wavekv_shm::body;
use wavekv_shm::layout::OPEN_COLLECTIONS;

use crate::engine::Engine;
use crate::engine::batch::Entry;
use crate::model::{CollectionName, Error, Generation, Invalid};
use crate::service::entries;
use crate::service::validate;

/// What an id stands for.
#[derive(Debug)]
struct Named {
    id: u64,
    name: CollectionName,
    generation: Option<Generation>,
}

/// Ids of one connection, at most [`OPEN_COLLECTIONS`]. What they stand for is looked up at every call, so that a name that
/// was deleted or taken again is what it is over gRPC.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<u64, Named>);

impl Names {
    /// Gives a collection an id, in place of whatever had its slot.
    ///
    /// # Errors
    /// `InvalidArgument` when id or name are none; else as [`Engine::find`].
    pub(super) fn open(
        &mut self,
        engine: &Engine,
        asked: &body::Open,
    ) -> Result<body::Opened, Error> {
        if asked.id == 0 {
            return Err(Invalid::new("id", 0, "a number that is not 0").into());
        }
        let name = CollectionName::new(&asked.namespace, &asked.name)
            .map_err(|invalid| invalid.within("collection"))?;
        let generation = asked.generation.map(Generation);
        let collection = engine.find(&name, generation)?;
        let geometry = collection.geometry();
        let opened = body::Opened {
            generation: collection.generation().0,
            layers: geometry.layers.len() as u32,
            q_heads: geometry.q_heads,
            kv_heads: geometry.kv_heads,
            head_dim: geometry.head_dim,
            value_dim: geometry.value_dim,
            dtype: super::answers::dtype(geometry.dtype),
            scale: geometry.scale,
        };
        let named = Named {
            id: asked.id,
            name,
            generation,
        };
        self.0.insert(asked.id % OPEN_COLLECTIONS, named);
        Ok(opened)
    }

    /// The layer of an entry.
    ///
    /// # Errors
    /// `InvalidArgument` when it is missing or its id is not open; else as [`entries::find`].
    pub(super) fn find(
        &self,
        engine: &Engine,
        layer: Option<&body::Layer>,
    ) -> Result<Entry<()>, Error> {
        let layer = validate::present("layer", layer)?;
        let id = (layer.collection != 0).then_some(layer.collection);
        let id = validate::present("collection", id)?;
        let named = self.0.get(&(id % OPEN_COLLECTIONS));
        let Some(named) = named.filter(|named| named.id == id) else {
            let expected = "an id that is open on this connection";
            return Err(Invalid::new("collection", format!("id {id}"), expected).into());
        };
        entries::find(engine, &named.name, named.generation, layer.layer)
    }
}
