//! `wavekv collections show`.

use wavekv_client::Client;

use crate::arguments::Show;
use crate::failure::Failure;
use crate::{formats, output, upload};

pub(crate) async fn run(client: &Client, show: &Show, json: bool) -> Result<(), Failure> {
    let name = upload::collection(&show.namespace, &show.name);
    let collection = client.get(name.clone()).await?;
    let stats = client.stats(Some(name)).await?;
    if json {
        output::json(&serde_json::json!({
            "collection": formats::collections::json(&collection),
            "stats": formats::stats::json(&stats),
        }));
    } else {
        output::text(&formats::collections::description(&collection));
        output::text(&formats::stats::layers(&stats));
        let residence = stats.residence.unwrap_or_default();
        output::text(&formats::stats::residence(&residence));
    }
    Ok(())
}
