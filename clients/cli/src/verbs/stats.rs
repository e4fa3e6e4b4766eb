//! `wavekv stats`.

use wavekv_client::Client;

use crate::arguments::Watch;
use crate::failure::Failure;
use crate::{formats, watch};

pub(crate) async fn run(client: &Client, watch: &Watch, json: bool) -> Result<(), Failure> {
    watch::shown(watch.every, async || {
        let stats = client.stats(None).await?;
        Ok(if json {
            format!("{:#}", formats::stats::json(&stats))
        } else {
            formats::stats::table(&stats)
        })
    })
    .await
}
