//! `wavekv snapshots`.

mod ls;
mod rm;

use wavekv_client::Client;

use crate::arguments::SnapshotsVerb;
use crate::failure::Failure;

/// Runs the verb that was asked for.
pub(crate) async fn run(client: &Client, verb: SnapshotsVerb, json: bool) -> Result<(), Failure> {
    match verb {
        SnapshotsVerb::Ls => ls::run(client, json).await,
        SnapshotsVerb::Rm(rm) => rm::run(client, &rm, json).await,
    }
}
