//! `wavekv collections rm`: one that cannot be removed does not keep the others.

use wavekv_client::Client;

use crate::arguments::Several;
use crate::failure::Failure;
use crate::verbs::each;
use crate::{suggest, upload};

pub(crate) async fn run(client: &Client, rm: &Several, json: bool) -> Result<(), Failure> {
    let namespace = &rm.namespace;
    each::removed(&rm.names, json, async |name| {
        let removed = client.delete(upload::collection(namespace, name)).await;
        suggest::collection(client, namespace, name, removed)
            .await
            .map(drop)
    })
    .await
}
