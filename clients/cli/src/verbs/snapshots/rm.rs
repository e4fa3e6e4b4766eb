//! `wavekv snapshots rm`: one that cannot be removed does not keep the others.

use wavekv_client::Client;

use crate::arguments::RmSnapshots;
use crate::failure::Failure;
use crate::suggest;
use crate::verbs::each;

pub(crate) async fn run(client: &Client, rm: &RmSnapshots, json: bool) -> Result<(), Failure> {
    each::removed(&rm.names, json, async |name| {
        let removed = client.delete_snapshot(name).await;
        suggest::snapshot(client, name, removed).await.map(drop)
    })
    .await
}
