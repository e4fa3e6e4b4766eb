//! `wavekv snapshots rm`: one that cannot be removed does not keep the others.

use wavekv_client::Client;

use crate::arguments::RmSnapshots;
use crate::failure::Failure;
use crate::verbs::each;

pub(crate) async fn run(client: &Client, rm: &RmSnapshots, json: bool) -> Result<(), Failure> {
    each::removed(&rm.names, json, async |name| {
        client.delete_snapshot(name).await.map(drop)
    })
    .await
}
