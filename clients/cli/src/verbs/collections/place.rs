//! `wavekv collections pin`, `unpin`, `promote` and `demote`: one that fails does not keep the others.

use serde_json::{Value, json};
use wavekv_client::{Client, wire};

use crate::arguments::Several;
use crate::failure::Failure;
use crate::formats::stats;
use crate::verbs::each;
use crate::{output, suggest, upload};

pub(crate) async fn run(
    client: &Client,
    some: &Several,
    placement: wire::Placement,
    json: bool,
) -> Result<(), Failure> {
    let namespace = &some.namespace;
    let (placed, end) = each::done(&some.names, async |name| {
        let collection = upload::collection(namespace, name);
        let placed = client.place(collection, placement).await;
        suggest::collection(client, namespace, name, placed).await
    })
    .await;
    let placed = placed
        .into_iter()
        .map(|(name, placed)| (name, placed.residence.unwrap_or_default()));
    if json {
        let placed = placed.map(|(name, residence)| {
            json!({ "name": name, "residence": stats::residence_json(&residence) })
        });
        output::json(&json!({ "placed": placed.collect::<Vec<Value>>() }));
    } else {
        for (name, residence) in placed {
            output::text(&format!("{name}: {}", stats::resident(&residence)));
        }
    }
    end
}
