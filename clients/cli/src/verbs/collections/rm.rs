//! `wavekv collections rm`: one that cannot be removed does not keep the others.

use wavekv_client::Client;

use crate::arguments::Rm;
use crate::failure::Failure;
use crate::upload;
use crate::verbs::each;

pub(crate) async fn run(client: &Client, rm: &Rm, json: bool) -> Result<(), Failure> {
    each::removed(&rm.names, json, async |name| {
        let collection = upload::collection(&rm.namespace, name);
        client.delete(collection).await.map(drop)
    })
    .await
}
