//! `wavekv collections show`.

use wavekv_client::Client;

use crate::arguments::Show;
use crate::failure::Failure;
use crate::{formats, suggest, watch};

pub(crate) async fn run(client: &Client, show: &Show, json: bool) -> Result<(), Failure> {
    let named = &show.collection;
    watch::shown(show.watch.every, async || {
        let found = client.get(named.reference()).await;
        let found = suggest::collection(client, &named.namespace, &named.name, found).await?;
        let stats = client.stats(Some(named.reference())).await?;
        let described = client.describe(named.reference()).await?;
        Ok(if json {
            let value = serde_json::json!({
                "collection": formats::collections::json(&found),
                "stats": formats::stats::json(&stats),
                "described": formats::describe::json(&described),
            });
            format!("{value:#}")
        } else {
            let residence = stats.residence.unwrap_or_default();
            [
                formats::collections::description(&found),
                formats::stats::layers(&stats),
                formats::stats::residence(&residence),
                formats::describe::text(&described),
            ]
            .join("\n\n")
        })
    })
    .await
}
