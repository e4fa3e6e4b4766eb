//! `wavekv snapshot`.

use wavekv_client::Client;

use super::draw;
use crate::arguments::Snapshot;
use crate::failure::Failure;
use crate::{bar, formats, output, upload};

pub(crate) async fn run(client: &Client, snapshot: &Snapshot, json: bool) -> Result<(), Failure> {
    let collection = upload::collection(&snapshot.namespace, &snapshot.collection);
    let bar = bar::of_bytes(0);
    let taken = tokio::select! {
        taken = client.snapshot(collection, &snapshot.name, |progress| draw(&bar, progress)) => taken,
        _ = tokio::signal::ctrl_c() => return Err(Failure::Interrupted),
    };
    bar.finish_and_clear();
    let taken = taken?;
    if json {
        output::json(&formats::snapshots::json(&taken));
    } else {
        output::text(&formats::snapshots::sentence(&taken));
    }
    Ok(())
}
