//! `wavekv collections fork`.

use wavekv_client::{Client, wire};

use crate::arguments::Fork;
use crate::failure::Failure;
use crate::{formats, output, suggest, upload};

pub(crate) async fn run(client: &Client, fork: &Fork, json: bool) -> Result<(), Failure> {
    let source = &fork.source;
    let request = wire::ForkRequest {
        collection: Some(source.reference()),
        name: fork.called.clone(),
        length: fork.tokens,
        durability: fork
            .durability
            .map_or(0, |durability| upload::durability(durability).into()),
    };
    let forked = client.fork(request).await;
    let forked = suggest::collection(client, &source.namespace, &source.name, forked).await?;
    if json {
        let collection = formats::collections::json(&forked);
        output::json(&serde_json::json!({ "collection": collection }));
    } else {
        let (name, tokens, source) = (&forked.name, forked.length, &source.name);
        output::text(&format!("{name}: the first {tokens} tokens of {source}"));
    }
    Ok(())
}
