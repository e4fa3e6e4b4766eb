//! What is asked: Attend, `TopClusters`, Estimate and Fetch.

use wavekv_client::Code::{InvalidArgument, NotFound, OutOfRange};
use wavekv_client::{Client, wire};

use super::{SHAPE, TOKENS, Victim, Wrong};
use crate::harness::mode;

const ATTEND: [Wrong<wire::AttendEntry>; 27] = [
    (InvalidArgument, "q is missing", |entry| entry.q = None),
    (InvalidArgument, "q.dtype is 0", |entry| {
        q(&mut entry.q).dtype = 0;
    }),
    (InvalidArgument, "q.dtype is f16", |entry| {
        q(&mut entry.q).set_dtype(wire::Dtype::F16);
    }),
    (InvalidArgument, "q.shape", |entry| {
        q(&mut entry.q).shape.clear();
    }),
    (InvalidArgument, "q.shape", |entry| {
        q(&mut entry.q).shape[1] = 3;
    }),
    (InvalidArgument, "q.shape", |entry| {
        q(&mut entry.q).shape[2] = 17;
    }),
    (InvalidArgument, "q.data", |entry| {
        q(&mut entry.q).data = vec![0; 3].into();
    }),
    (InvalidArgument, "q.shape[0]", |entry| {
        resize(q(&mut entry.q), 0);
    }),
    (InvalidArgument, "q.shape[0]", |entry| {
        resize(q(&mut entry.q), 1025);
    }),
    (InvalidArgument, "the length of positions is 3", |entry| {
        entry.positions.push(1);
    }),
    (InvalidArgument, "the length of positions is 1", |entry| {
        entry.positions.truncate(1);
    }),
    (OutOfRange, "positions is 200", |entry| {
        entry.positions[1] = 200;
    }),
    (OutOfRange, "positions is 4294967295", |entry| {
        entry.positions[0] = u32::MAX;
    }),
    (OutOfRange, "q has 201 tokens", |entry| {
        entry.positions.clear();
        resize(q(&mut entry.q), TOKENS as u32 + 1);
    }),
    (InvalidArgument, "mode.mode", |entry| {
        entry.mode = Some(wire::AttendMode { mode: None });
    }),
    (InvalidArgument, "mode.budget.retrieve_share", |entry| {
        entry.mode = Some(mode::budget(1.01));
    }),
    (InvalidArgument, "mode.budget.retrieve_share", |entry| {
        entry.mode = Some(mode::budget(-0.01));
    }),
    (InvalidArgument, "mode.budget.retrieve_share", |entry| {
        entry.mode = Some(mode::budget(f32::NAN));
    }),
    (InvalidArgument, "mode.budget.estimate_share", |entry| {
        entry.mode = Some(mode::budget_of_two(0.1, f32::INFINITY));
    }),
    (InvalidArgument, "mode.adaptive.target_error", |entry| {
        entry.mode = Some(mode::adaptive(0.0));
    }),
    (InvalidArgument, "mode.adaptive.target_error", |entry| {
        entry.mode = Some(mode::adaptive(1.0));
    }),
    (InvalidArgument, "mode.adaptive.target_error", |entry| {
        entry.mode = Some(mode::adaptive(f32::NAN));
    }),
    (InvalidArgument, "insert.k is missing", |entry| {
        entry.insert = Some(wire::InsertEntry::default());
    }),
    (InvalidArgument, "insert.layer", |entry| {
        insert(entry).layer = Some(wire::LayerRef::default());
    }),
    // What is asked is wrong: what comes with it is not stored either.
    (InvalidArgument, "q is missing", |entry| {
        insert(entry);
        entry.q = None;
    }),
    (OutOfRange, "positions is 204", |entry| {
        insert(entry);
        entry.positions[0] = 204;
    }),
    (OutOfRange, "q has 205 tokens", |entry| {
        insert(entry);
        entry.positions.clear();
        resize(q(&mut entry.q), TOKENS as u32 + 5);
    }),
];

const TOP_CLUSTERS: [Wrong<wire::TopClustersEntry>; 6] = [
    (InvalidArgument, "q is missing", |entry| entry.q = None),
    (InvalidArgument, "q.shape", |entry| {
        resize(q(&mut entry.q), 2);
    }),
    (InvalidArgument, "q.dtype", |entry| {
        q(&mut entry.q).dtype = -1;
    }),
    (InvalidArgument, "limit is 0", |entry| entry.limit = 0),
    (InvalidArgument, "limit is 4097", |entry| entry.limit = 4097),
    (OutOfRange, "position is 200", |entry| {
        entry.position = Some(200);
    }),
];

const ESTIMATE: [Wrong<wire::EstimateEntry>; 6] = [
    (InvalidArgument, "q is missing", |entry| entry.q = None),
    (InvalidArgument, "q.data", |entry| {
        q(&mut entry.q).data = vec![0; 3].into();
    }),
    (OutOfRange, "position is 200", |entry| {
        entry.position = Some(200);
    }),
    (NotFound, "cluster is segment 987654321", |entry| {
        entry.retrieved[0].segment = 987_654_321;
    }),
    (NotFound, "cluster is", |entry| {
        entry.retrieved[0].kv_head = 2;
    }),
    (NotFound, "cluster is", |entry| {
        entry.retrieved[0].cluster = u32::MAX;
    }),
];

const FETCH: [Wrong<wire::FetchEntry>; 7] = [
    (InvalidArgument, "what is missing", |entry| {
        entry.what = None;
    }),
    (InvalidArgument, "range.end is 3", |entry| {
        range(entry, 4, 3);
    }),
    (InvalidArgument, "range.end - range.start", |entry| {
        range(entry, 4, 4);
    }),
    (InvalidArgument, "range.end - range.start", |entry| {
        range(entry, 0, 65_537);
    }),
    (OutOfRange, "range.end is 201", |entry| range(entry, 0, 201)),
    (OutOfRange, "range.end", |entry| {
        range(entry, u32::MAX - 1, u32::MAX);
    }),
    (NotFound, "cluster is", |entry| {
        let none = wire::ClusterRef::default();
        entry.what = Some(wire::fetch_entry::What::Cluster(none));
    }),
];

#[tokio::test]
async fn a_wrong_question_is_named_and_the_others_are_answered() {
    let victim = Victim::new(SHAPE).await;
    let (collection, sequence) = (&victim.collection, &victim.sequence);
    let attend = collection.question(sequence, &[7, 150], mode::budget(0.1));
    victim
        .refuses(&attend, &attend, &ATTEND, Client::attend)
        .await;

    let mut top = wire::TopClustersEntry {
        layer: Some(collection.layer()),
        q: Some(sequence.queries(&[7])),
        position: None,
        limit: 1,
        with_payload: false,
    };
    victim
        .refuses(&top, &top, &TOP_CLUSTERS, Client::top_clusters)
        .await;

    top.limit = 2;
    let ranking = victim.client.top_clusters_one(top).await.unwrap();
    let best = ranking.heads.iter().flat_map(|head| &head.clusters);
    let estimate = wire::EstimateEntry {
        layer: Some(collection.layer()),
        q: Some(sequence.queries(&[7])),
        position: None,
        retrieved: best.filter_map(|ranked| ranked.cluster).collect(),
    };
    victim
        .refuses(&estimate, &estimate, &ESTIMATE, Client::estimate)
        .await;

    let fetch = wire::FetchEntry {
        layer: Some(collection.layer()),
        what: Some(wire::fetch_entry::What::Cluster(estimate.retrieved[0])),
    };
    victim.refuses(&fetch, &fetch, &FETCH, Client::fetch).await;
}

fn q(tensor: &mut Option<wire::Tensor>) -> &mut wire::Tensor {
    tensor.as_mut().unwrap()
}

/// Zeros for `tokens` query tokens.
fn resize(q: &mut wire::Tensor, tokens: u32) {
    q.shape[0] = tokens;
    let elements: u32 = q.shape.iter().product();
    q.data = vec![0; elements as usize * size_of::<f32>()].into();
}

/// Zeros for the four tokens after the last.
fn insert(entry: &mut wire::AttendEntry) -> &mut wire::InsertEntry {
    let tensor = |dim: usize| wire::Tensor {
        dtype: wire::Dtype::Bf16.into(),
        shape: vec![4, SHAPE.kv_heads as u32, dim as u32],
        data: vec![0; 4 * SHAPE.kv_heads * dim * SHAPE.dtype.size()].into(),
    };
    entry.insert.insert(wire::InsertEntry {
        layer: None,
        start_position: TOKENS as u32,
        k: Some(tensor(SHAPE.head_dim)),
        v: Some(tensor(SHAPE.value_dim)),
    })
}

fn range(entry: &mut wire::FetchEntry, start: u32, end: u32) {
    let range = wire::TokenRange { start, end };
    entry.what = Some(wire::fetch_entry::What::Range(range));
}
