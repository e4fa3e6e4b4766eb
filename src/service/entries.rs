//! The entries of a batch, whichever transport brought them: each found and checked, or refused and kept in its place.

use wavekv_proto::v1;

use crate::collection::{Collection, What};
use crate::engine::Engine;
use crate::engine::batch::{AttendStep, Checked, Entry, Estimate, TopClusters};
use crate::model::{CollectionName, Error, Generation, Invalid, LayerId, Mode, NewTokens, limits};
use crate::service::room::Room;
use crate::service::validate;

/// An entry as it came, with the layer that it is of.
pub(super) type Located<M> = Result<(Entry<()>, M), Error>;

/// Finds the layer of an entry, and uses its collection.
///
/// # Errors
/// As [`Engine::find`]; `NotFound` when it has no such layer.
pub(super) fn find(
    engine: &Engine,
    name: &CollectionName,
    generation: Option<Generation>,
    layer: u32,
) -> Result<Entry<()>, Error> {
    let collection = engine.find_to_use(name, generation)?;
    let layer = LayerId(layer);
    collection.layer(layer)?;
    Ok(Entry {
        collection,
        layer,
        what: (),
    })
}

/// K and V to insert.
pub(super) fn insert(
    entries: impl Iterator<Item = Located<v1::InsertEntry>>,
) -> Vec<Checked<NewTokens>> {
    checked(entries, |entry, collection| {
        validate::new_tokens(&entry, collection.geometry())
    })
}

/// Query tokens, with K and V to insert before; where an entry has no mode, `otherwise` holds.
pub(super) fn attend(
    entries: impl Iterator<Item = Located<v1::AttendEntry>>,
    otherwise: Mode,
    room: &mut Room,
) -> Vec<Checked<AttendStep>> {
    checked(entries, |entry, collection| {
        let geometry = collection.geometry();
        let insert = entry
            .insert
            .as_ref()
            .map(|insert| validate::step_tokens(insert, geometry));
        let step = AttendStep {
            insert: insert.transpose()?,
            query: validate::attend_query(&entry, geometry, otherwise)?,
        };
        room.attended(&step.query, geometry)?;
        Ok(step)
    })
}

/// Rankings to be made; whether they fit is known when they are.
pub(super) fn top_clusters(
    entries: impl Iterator<Item = Located<v1::TopClustersEntry>>,
) -> Vec<Checked<TopClusters>> {
    checked(entries, |entry, collection| {
        let limit = Invalid::unless_within("limit", entry.limit, limits::TOP_CLUSTERS)?;
        let geometry = collection.geometry();
        Ok(TopClusters {
            query: validate::cluster_query(entry.q.as_ref(), entry.position, geometry)?,
            limit: limit as usize,
            with_payload: entry.with_payload,
        })
    })
}

/// Estimates to be made.
pub(super) fn estimate(
    entries: impl Iterator<Item = Located<v1::EstimateEntry>>,
    room: &mut Room,
) -> Vec<Checked<Estimate>> {
    checked(entries, |entry, collection| {
        let geometry = collection.geometry();
        let query = validate::cluster_query(entry.q.as_ref(), entry.position, geometry)?;
        room.estimated(geometry)?;
        Ok(Estimate {
            query,
            retrieved: entry.retrieved.into_iter().map(validate::cluster).collect(),
        })
    })
}

/// What to fetch; whether it fits is known when it is found.
pub(super) fn fetch(entries: impl Iterator<Item = Located<v1::FetchEntry>>) -> Vec<Checked<What>> {
    checked(entries, |entry, _| {
        match validate::present("what", entry.what)? {
            v1::fetch_entry::What::Range(range) => validate::fetch_range(range).map(What::Range),
            v1::fetch_entry::What::Cluster(cluster) => {
                Ok(What::Cluster(validate::cluster(cluster)))
            }
        }
    })
}

/// Checks what is asked of each entry against its collection.
fn checked<M, T>(
    entries: impl Iterator<Item = Located<M>>,
    mut what: impl FnMut(M, &Collection) -> Result<T, Invalid>,
) -> Vec<Checked<T>> {
    let entries = entries.map(|entry| {
        let (
            Entry {
                collection,
                layer,
                what: (),
            },
            asked,
        ) = entry?;
        let what = what(asked, &collection)?;
        Ok(Entry {
            collection,
            layer,
            what,
        })
    });
    entries.collect()
}
