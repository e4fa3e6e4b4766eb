//! The calls of a collection as a whole: a taken name, another model, a page that is none, a length that is none.

use wavekv_client::Code::{
    AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, OutOfRange,
};
use wavekv_client::wire;

use super::{SHAPE, TOKENS, Victim, Wrong, assert_refused};

#[tokio::test]
async fn a_wrong_call_of_a_collection_changes_nothing() {
    let victim = Victim::new(SHAPE).await;
    let (client, name) = (&victim.client, &victim.collection.name);
    let again = wire::CreateRequest {
        collection: Some(name.clone()),
        geometry: Some(SHAPE.geometry(1)),
        ..Default::default()
    };
    assert_refused(
        client.create(again).await,
        AlreadyExists,
        "name is default/",
    );
    let other_model = client.get_of_model(name.clone(), "another model").await;
    let named = "expected_fingerprint is \"another model\"";
    assert_refused(other_model, FailedPrecondition, named);
    let longer = client.truncate(name.clone(), TOKENS as u32 + 1).await;
    assert_refused(longer, OutOfRange, "length is 201");
    victim.is_unharmed().await;
    let own_model = &SHAPE.geometry(1).fingerprint;
    client.get_of_model(name.clone(), own_model).await.unwrap();
}

#[tokio::test]
async fn a_wrong_fork_makes_no_collection() {
    let victim = Victim::new(SHAPE).await;
    let right = wire::ForkRequest {
        collection: Some(victim.collection.name.clone()),
        name: "fork".to_owned(),
        length: Some(TOKENS as u32),
        durability: 0,
    };
    let table: &[Wrong<wire::ForkRequest>] = &[
        (InvalidArgument, "collection", |fork| fork.collection = None),
        (NotFound, "collection is default/none", |fork| {
            fork.collection.as_mut().unwrap().name = "none".to_owned();
        }),
        (FailedPrecondition, "generation is 7", |fork| {
            fork.collection.as_mut().unwrap().generation = Some(7);
        }),
        (InvalidArgument, "name", |fork| fork.name = String::new()),
        (InvalidArgument, "name", |fork| fork.name = "a b".to_owned()),
        (AlreadyExists, "name is default/", |fork| {
            fork.name = fork.collection.as_ref().unwrap().name.clone();
        }),
        (OutOfRange, "length is 201", |fork| {
            fork.length = Some(TOKENS as u32 + 1);
        }),
        (InvalidArgument, "durability is 4", |fork| {
            fork.durability = 4;
        }),
        (InvalidArgument, "durability is -1", |fork| {
            fork.durability = -1;
        }),
    ];
    for (code, named, spoil) in table {
        let mut wrong = right.clone();
        spoil(&mut wrong);
        assert_refused(victim.client.fork(wrong).await, *code, named);
        victim.is_unharmed().await;
        assert_eq!(victim.client.list_all("*", "").await.unwrap().len(), 1);
    }
    let forked = victim.client.fork(right).await.unwrap();
    assert_eq!(forked.length, TOKENS as u32);
    victim.is_unharmed().await;
}

#[tokio::test]
async fn a_page_that_is_none_is_refused() {
    let victim = Victim::new(SHAPE).await;
    for page_size in [1001, u32::MAX] {
        let request = wire::ListRequest {
            page_size,
            ..Default::default()
        };
        let answer = victim.client.list(request).await;
        assert_refused(answer, InvalidArgument, "page_size");
    }
    for namespace in ["a b", "**", "naïve", &"x".repeat(129)] {
        let request = wire::ListRequest {
            namespace: namespace.to_owned(),
            ..Default::default()
        };
        let answer = victim.client.list(request).await;
        assert_refused(answer, InvalidArgument, "namespace is");
    }
    for token in ["x", "|", "a|", "|b|c", "a|two words", &"y".repeat(5000)] {
        let request = wire::ListRequest {
            page_token: token.to_owned(),
            ..Default::default()
        };
        let answer = victim.client.list(request).await;
        assert_refused(answer, InvalidArgument, "page_token");
    }
}
