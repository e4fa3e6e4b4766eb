//! What a call of the data plane does: a batch of entries, each for one layer of one collection. An entry fails alone.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use tokio::sync::oneshot;
use tracing::trace_span;

use crate::collection::attend::Attend;
use crate::collection::{Attended, Collection, Fetched, Inserted, Layer, Ranking, What};
use crate::engine::Engine;
use crate::engine::pool::side_by_side;
use crate::model::{
    AttendQuery, ClusterAddress, ClusterQuery, Error, ErrorKind, Generation, Geometry, Invalid,
    LayerId, NewTokens, Partial, TokenRange,
};

/// What is asked of one layer of one collection.
#[derive(Debug)]
pub struct Entry<T> {
    /// Found already.
    pub collection: Arc<Collection>,
    /// Of that collection.
    pub layer: LayerId,
    /// The question.
    pub what: T,
}

/// Tells when a forced clustering is done.
type Done = oneshot::Receiver<Result<(), Error>>;

/// An entry of a batch; one that the door refused keeps its place and its error.
pub type Checked<T> = Result<Entry<T>, Error>;

/// What an entry came to.
#[derive(Debug)]
pub struct Answer<A> {
    /// Whose generation the reply names.
    pub collection: Arc<Collection>,
    /// The answer.
    pub what: A,
}

/// The answers of a batch, in the order of its entries.
pub type Answers<A> = Vec<Result<Answer<A>, Error>>;

/// An attend with what to insert first.
#[derive(Debug)]
pub struct AttendStep {
    /// This step's K and V.
    pub insert: Option<NewTokens>,
    /// The query tokens.
    pub query: AttendQuery,
}

/// A ranking to be made.
#[derive(Debug)]
pub struct TopClusters {
    /// The query token.
    pub query: ClusterQuery,
    /// Clusters a KV head.
    pub limit: usize,
    /// Also K, V and positions.
    pub with_payload: bool,
}

/// An estimate to be made.
#[derive(Debug)]
pub struct Estimate {
    /// The query token.
    pub query: ClusterQuery,
    /// What the caller computes itself.
    pub retrieved: Vec<ClusterAddress>,
}

/// What a layer is clustered into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clustered {
    /// Sealed segments.
    pub segments: usize,
    /// Over all KV heads.
    pub clusters: usize,
    /// The tokens that no segment has.
    pub steady: Vec<TokenRange>,
}

impl Engine {
    /// Inserts; entries of one layer one after the other in their order, different layers side by side. Call it within
    /// [`Engine::compute`] or [`Engine::compute_soon`].
    pub fn insert(&self, entries: &[Checked<NewTokens>]) -> Answers<Inserted> {
        let longest = self.settings.max_tokens_per_layer;
        self.insert_in_order(entries, |layer, new| layer.insert(new, longest))
    }

    /// Inserts what entries have to insert, then attends: every entry after all inserts. Call it on the compute pool.
    pub fn attend(&self, entries: Vec<Checked<AttendStep>>) -> Answers<Attended> {
        let longest = self.settings.max_tokens_per_layer;
        let inserted =
            self.insert_in_order(&entries, |layer, step| step.insert_into(layer, longest));
        let prepared = entries.into_iter().zip(inserted).map(|(entry, inserted)| {
            let (entry, end) = (entry?, inserted?.what.length);
            let mut attend = entry
                .collection
                .layer(entry.layer)?
                .attend(entry.what.query, end)?;
            if attend.wants_audit() {
                attend = attend.audited(self.audits.next_seed());
            }
            Ok(Answer {
                collection: entry.collection,
                what: attend,
            })
        });
        let prepared: Vec<_> = prepared.collect();
        let answers = attend_heads(&prepared);
        for (given, answer) in prepared.into_iter().zip(&answers) {
            if let (Ok(given), Ok(answer)) = (given, answer) {
                let kind = given.collection.parameters().kind;
                let cost = &answer.what.report.cost;
                self.work.attended(kind, cost);
                given.collection.note_attend(cost);
                self.audits.consider(given.what);
            }
        }
        answers
    }

    /// Clusters the tail of each entry's layer, in the background, and waits for it.
    pub async fn segment_cluster(&self, entries: Vec<Checked<()>>) -> Answers<Clustered> {
        let waiting: Vec<_> = entries
            .into_iter()
            .map(|entry| self.force(entry?))
            .collect();
        let mut answers = Vec::with_capacity(waiting.len());
        for forced in waiting {
            answers.push(match forced {
                Ok((entry, done)) => done
                    .await
                    .unwrap_or_else(|_| {
                        Err(Error::new(ErrorKind::Unavailable, "the daemon is stopping"))
                    })
                    .and_then(|()| entry.clustered()),
                Err(error) => Err(error),
            });
        }
        answers
    }

    /// Drops the tokens of every layer from `length` on; returns the layers' lengths. Call it on the compute pool.
    ///
    /// # Errors
    /// `OutOfRange` when no layer is as long; `ResourceExhausted` when the memory budget has no room to cut a segment:
    /// then layers may have been cut or not, and the call can be repeated.
    pub fn truncate(&self, collection: &Arc<Collection>, length: u32) -> Result<Vec<u32>, Error> {
        if let Some(refusal) = collection.refusal() {
            return Err(refusal.clone());
        }
        let longest = collection.layer_lengths().into_iter().max().unwrap_or(0);
        if length > longest {
            let message = format!(
                "length is {length}: expected at most {longest}, the longest layer's length"
            );
            return Err(Error::new(ErrorKind::OutOfRange, message));
        }
        let lengths = collection
            .layers()
            .par_iter()
            .map(|layer| layer.truncate(length))
            .collect();
        self.cluster_where_due(collection);
        lengths
    }

    /// Has `insert` put each entry's tokens into its layer.
    fn insert_in_order<T: Sync>(
        &self,
        entries: &[Checked<T>],
        insert: impl Fn(&Layer, &T) -> Result<Inserted, Error> + Sync,
    ) -> Answers<Inserted> {
        let insert = |entry: &Checked<T>| {
            let entry = entry.as_ref().map_err(Error::clone)?;
            let layer = entry.collection.layer(entry.layer)?;
            let what = self.told_if_full(insert(layer, &entry.what))?;
            self.work.inserted(what.stored);
            entry.collection.note_insert(&what);
            self.cluster_if_due(&entry.collection, entry.layer);
            Ok(Answer {
                collection: Arc::clone(&entry.collection),
                what,
            })
        };
        let mut of_layer: HashMap<Option<(Generation, LayerId)>, Vec<usize>> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let key = entry
                .as_ref()
                .ok()
                .map(|entry| (entry.collection.generation(), entry.layer));
            of_layer.entry(key).or_default().push(index);
        }
        let in_order = |indices: Vec<usize>| {
            let answers = indices.into_iter();
            let answers = answers.map(|index| (index, insert(&entries[index])));
            answers.collect::<Vec<_>>()
        };
        let groups = side_by_side(of_layer.into_values().collect(), in_order);
        let mut answers: Vec<_> = groups.into_iter().flatten().collect();
        answers.sort_unstable_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Has every layer clustered whose layout asks for it.
    pub(super) fn cluster_where_due(&self, collection: &Arc<Collection>) {
        for layer in 0..collection.layers().len() {
            self.cluster_if_due(collection, LayerId(layer as u32));
        }
    }

    fn cluster_if_due(&self, collection: &Arc<Collection>, layer: LayerId) {
        if collection.layer(layer).is_ok_and(Layer::wants_sealing) {
            self.background.schedule(collection, layer);
        }
    }

    fn force(&self, entry: Entry<()>) -> Result<(Entry<()>, Done), Error> {
        let length = entry.collection.layer(entry.layer)?.length();
        let done = self
            .background
            .force(&entry.collection, entry.layer, length);
        Ok((entry, done))
    }
}

impl AttendStep {
    /// Inserts what comes with the query, unless the query could not be answered then: the step is refused whole.
    fn insert_into(&self, layer: &Layer, longest: u32) -> Result<Inserted, Error> {
        let Some(new) = &self.insert else {
            return Ok(Inserted {
                length: layer.length(),
                stored: 0,
                already_stored: 0,
            });
        };
        layer.check_step(new, &self.query)?;
        let inserted = layer.insert(new, longest);
        inserted.map_err(|error| error.within("insert"))
    }
}

impl Entry<()> {
    fn clustered(self) -> Result<Answer<Clustered>, Error> {
        let snapshot = self.collection.layer(self.layer)?.snapshot();
        let clusters = snapshot.segments().iter().map(|segment| segment.clusters());
        let what = Clustered {
            segments: snapshot.segments().len(),
            clusters: clusters.sum(),
            steady: snapshot.steady_ranges(),
        };
        Ok(Answer {
            collection: self.collection,
            what,
        })
    }
}

/// The best clusters of each entry, with their payload where `fits` lets its answer in. Call it on the compute pool.
pub fn top_clusters(
    entries: Vec<Checked<TopClusters>>,
    mut fits: impl FnMut(&TopClusters, &Ranking, &Geometry) -> Result<(), Invalid>,
) -> Answers<Ranking> {
    let ranked = each(entries, |layer, asked: TopClusters| {
        let snapshot = layer.snapshot();
        let ranking = layer.top_clusters(&snapshot, &asked.query, asked.limit)?;
        Ok((asked, ranking, snapshot))
    });
    let ranked = admitted(ranked, |(asked, ranking, snapshot)| {
        fits(asked, ranking, snapshot.geometry())
    });
    answers(each(ranked, |_, (asked, mut ranking, snapshot)| {
        if asked.with_payload {
            snapshot.add_payload(&mut ranking)?;
        }
        Ok(ranking)
    }))
}

/// The estimation zone of each entry. Call it on the compute pool.
pub fn estimate(entries: Vec<Checked<Estimate>>) -> Answers<Partial> {
    answers(each(entries, |layer, Estimate { query, retrieved }| {
        layer.estimate(&query, &retrieved)
    }))
}

/// The stored K and V of each entry, where `fits` lets so many tokens in. Call it on the compute pool.
pub fn fetch(
    entries: Vec<Checked<What>>,
    mut fits: impl FnMut(&What, u32, &Geometry) -> Result<(), Invalid>,
) -> Answers<Fetched> {
    let found = each(entries, |layer, what| {
        let snapshot = layer.snapshot();
        Ok((what, snapshot.tokens_of(what)?, snapshot))
    });
    let found = admitted(found, |(what, tokens, snapshot)| {
        fits(what, *tokens, snapshot.geometry())
    });
    answers(each(found, |_, (what, _, snapshot)| snapshot.fetch(what)))
}

/// Has every entry done that was not refused before.
fn each<T: Send, A: Send>(
    entries: Vec<Checked<T>>,
    done: impl Fn(&Layer, T) -> Result<A, Error> + Sync,
) -> Vec<Checked<A>> {
    side_by_side(entries, |entry| {
        let Entry {
            collection,
            layer,
            what,
        } = entry?;
        let what = done(collection.layer(layer)?, what)?;
        Ok(Entry {
            collection,
            layer,
            what,
        })
    })
}

/// What the entries came to.
fn answers<A>(entries: Vec<Checked<A>>) -> Answers<A> {
    let answer = |entry: Entry<A>| Answer {
        collection: entry.collection,
        what: entry.what,
    };
    let entries = entries.into_iter();
    entries.map(|entry| entry.map(answer)).collect()
}

/// Refuses the entries that do not fit, asking in their order.
fn admitted<T>(
    entries: Vec<Checked<T>>,
    mut fits: impl FnMut(&T) -> Result<(), Invalid>,
) -> Vec<Checked<T>> {
    let entries = entries.into_iter().map(|entry| {
        let entry = entry?;
        fits(&entry.what)?;
        Ok(entry)
    });
    entries.collect()
}

/// Runs the KV heads of all entries side by side, so that one long sequence uses every core as many short ones do.
fn attend_heads(entries: &[Result<Answer<Attend>, Error>]) -> Answers<Attended> {
    // Threads of the pool do not know where their work comes from.
    let batch = trace_span!("engine.attend");
    side_by_side(entries.iter().collect(), |entry| {
        let span = trace_span!(parent: &batch, "collection.attend");
        let Answer {
            collection,
            what: attend,
        } = entry.as_ref().map_err(Error::clone)?;
        let heads = side_by_side(attend.heads().collect(), |head| {
            trace_span!(parent: &span, "collection.head", head = head.0)
                .in_scope(|| attend.head(head))
        });
        let heads = heads.into_iter().collect::<Result<Vec<_>, _>>()?;
        attend.learn(&heads);
        attend.note(&heads);
        let what = attend.assemble(&heads);
        Ok(Answer {
            collection: Arc::clone(collection),
            what,
        })
    })
}
