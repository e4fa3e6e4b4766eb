//! Names of what is not there: every call that takes a layer or a collection refuses them alike.

use wavekv_client::Code::{self, FailedPrecondition, InvalidArgument, NotFound};
use wavekv_client::{ClientError, wire};

use super::{SHAPE, Victim, assert_refused};
use crate::harness::collection::named;
use crate::harness::mode;

/// Names that are none.
fn bad_names(right: &wire::CollectionRef) -> Vec<(Code, &'static str, wire::CollectionRef)> {
    let long = "x".repeat(129);
    let mut bad: Vec<_> = ["", "a b", "naïve", "a\n", &long]
        .iter()
        .map(|name| (InvalidArgument, "collection.name", named(name)))
        .collect();
    let in_namespace = |namespace: &str| wire::CollectionRef {
        namespace: namespace.to_owned(),
        ..right.clone()
    };
    bad.extend(["a|b", &long].map(|namespace| {
        let collection = in_namespace(namespace);
        (InvalidArgument, "collection.namespace", collection)
    }));
    let other = wire::CollectionRef {
        generation: Some(1),
        ..right.clone()
    };
    bad.extend([
        (NotFound, "collection is default/nobody", named("nobody")),
        (
            NotFound,
            "collection is elsewhere/",
            in_namespace("elsewhere"),
        ),
        (FailedPrecondition, "generation is 1", other),
    ]);
    bad
}

#[tokio::test]
async fn what_is_not_there_is_named_by_every_call_of_a_layer() {
    let victim = Victim::new(SHAPE).await;
    let right = victim.collection.layer();
    let with =
        |collection: Option<wire::CollectionRef>, layer| Some(wire::LayerRef { collection, layer });
    let mut wrong: Vec<_> = bad_names(&victim.collection.name)
        .into_iter()
        .map(|(code, named, name)| (code, named, with(Some(name), 0)))
        .collect();
    wrong.extend([
        (InvalidArgument, "layer is missing", None),
        (InvalidArgument, "collection is missing", with(None, 0)),
        (NotFound, "layer is 1", with(right.collection.clone(), 1)),
        (
            NotFound,
            "layer is 4294967295",
            with(right.collection, u32::MAX),
        ),
    ]);
    for (code, named, layer) in wrong {
        for answer in every_call(&victim, layer).await {
            assert_refused(answer, code, named);
        }
    }
    victim.is_unharmed().await;
}

#[tokio::test]
async fn what_is_not_there_is_named_by_every_call_of_a_collection() {
    let victim = Victim::new(SHAPE).await;
    let client = &victim.client;
    for (code, named, name) in bad_names(&victim.collection.name) {
        assert_refused(client.get(name.clone()).await, code, named);
        assert_refused(client.truncate(name.clone(), 0).await, code, named);
        assert_refused(client.delete(name.clone()).await, code, named);
        assert_refused(client.stats(Some(name)).await, code, named);
    }
    victim.is_unharmed().await;
}

/// The answers of all calls of the data plane to an entry that is right but for its layer.
async fn every_call(
    victim: &Victim,
    layer: Option<wire::LayerRef>,
) -> Vec<Result<(), ClientError>> {
    let client = &victim.client;
    let q = Some(victim.sequence.queries(&[1]));
    let insert = wire::InsertEntry {
        layer: layer.clone(),
        ..victim.appended()
    };
    let attend = wire::AttendEntry {
        layer: layer.clone(),
        ..victim
            .collection
            .question(&victim.sequence, &[1], mode::exact())
    };
    let top = wire::TopClustersEntry {
        layer: layer.clone(),
        q: q.clone(),
        limit: 1,
        ..Default::default()
    };
    let estimate = wire::EstimateEntry {
        layer: layer.clone(),
        q,
        ..Default::default()
    };
    let range = wire::TokenRange { start: 0, end: 1 };
    let fetch = wire::FetchEntry {
        layer: layer.clone(),
        what: Some(wire::fetch_entry::What::Range(range)),
    };
    let mut answers = vec![
        client.insert_one(insert).await.map(drop),
        client.attend_one(attend).await.map(drop),
        client.top_clusters_one(top).await.map(drop),
        client.estimate_one(estimate).await.map(drop),
        client.fetch_one(fetch).await.map(drop),
    ];
    // An entry of this call is the layer itself.
    if let Some(layer) = layer {
        answers.push(client.segment_cluster_one(layer).await.map(drop));
    }
    answers
}
