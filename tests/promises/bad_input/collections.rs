//! The calls of a collection as a whole: a taken name, another model, a page that is none, a length that is none.

use wavekv_client::Code::{AlreadyExists, FailedPrecondition, InvalidArgument, OutOfRange};
use wavekv_client::wire;

use super::{SHAPE, TOKENS, Victim, assert_refused};

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
