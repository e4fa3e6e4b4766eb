//! `wavekv collections snapshot`.

use wavekv_client::Client;

use super::draw;
use crate::arguments::Save;
use crate::failure::Failure;
use crate::{bar, formats, output, suggest};

pub(crate) async fn run(client: &Client, save: &Save, json: bool) -> Result<(), Failure> {
    let named = &save.collection;
    let bar = bar::of_bytes(0);
    let taken = tokio::select! {
        taken = client.snapshot(named.reference(), &save.snapshot, |progress| draw(&bar, progress)) => taken,
        _ = tokio::signal::ctrl_c() => return Err(Failure::Interrupted),
    };
    bar.finish_and_clear();
    let taken = suggest::collection(client, &named.namespace, &named.name, taken).await?;
    if json {
        output::json(&formats::snapshots::json(&taken));
    } else {
        output::text(&formats::snapshots::sentence(&taken));
    }
    Ok(())
}
