//! `wavekv health`.

use wavekv_client::Client;

use crate::arguments::Watch;
use crate::failure::Failure;
use crate::{formats, watch};

pub(crate) async fn run(client: &Client, watch: &Watch, json: bool) -> Result<(), Failure> {
    let mut is_ready = true;
    watch::shown(watch.every, async || {
        let health = client.health().await?;
        is_ready = health.ready;
        Ok(if json {
            format!("{:#}", formats::health::json(&health))
        } else {
            formats::health::text(&health)
        })
    })
    .await?;
    // Who watches has seen it come and go, and ends it when it likes.
    if is_ready || watch.every.is_some() {
        Ok(())
    } else {
        Err(Failure::Unavailable)
    }
}
