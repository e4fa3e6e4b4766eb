//! Waiting for the daemon's clustering.

use std::time::Duration;

use wavekv_client::{Client, wire};

use crate::failure::Failure;
use crate::stopwatch::Stopwatch;

const LIMIT: Duration = Duration::from_mins(10);
const POLL: Duration = Duration::from_millis(2);

/// Waits until no layer of the collection waits for clustering.
///
/// # Errors
/// When it takes more than ten minutes.
pub(crate) async fn settle(
    client: &Client,
    collection: &wire::CollectionRef,
) -> Result<(), Failure> {
    let watch = Stopwatch::start();
    loop {
        let stats = client.stats(Some(collection.clone())).await?;
        if stats
            .clustering
            .is_none_or(|clustering| clustering.layers_waiting == 0)
        {
            return Ok(());
        }
        if watch.elapsed() > LIMIT {
            return Err(Failure::Timeout {
                what: "layers still wait for clustering",
                seconds: LIMIT.as_secs(),
            });
        }
        tokio::time::sleep(POLL).await;
    }
}
