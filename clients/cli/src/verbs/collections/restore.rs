//! `wavekv collections restore`.

use wavekv_client::Client;

use super::draw;
use crate::arguments::Restore;
use crate::failure::Failure;
use crate::{bar, formats, output, suggest, upload};

pub(crate) async fn run(client: &Client, restore: &Restore, json: bool) -> Result<(), Failure> {
    let name = restore.name.as_ref();
    let collection = name.map(|name| {
        let namespace = restore.namespace.as_deref().unwrap_or_default();
        upload::collection(namespace, name)
    });
    let bar = bar::of_bytes(0);
    let restored = tokio::select! {
        restored = client.restore(&restore.snapshot, collection, |progress| draw(&bar, progress)) => restored,
        _ = tokio::signal::ctrl_c() => return Err(Failure::Interrupted),
    };
    bar.finish_and_clear();
    let restored = suggest::snapshot(client, &restore.snapshot, restored).await?;
    if json {
        let collection = formats::collections::json(&restored);
        output::json(&serde_json::json!({ "collection": collection }));
    } else {
        let (namespace, name, tokens) = (&restored.namespace, &restored.name, restored.length);
        let snapshot = &restore.snapshot;
        output::text(&format!(
            "{namespace}/{name}: {tokens} tokens, restored from {snapshot}"
        ));
    }
    Ok(())
}
