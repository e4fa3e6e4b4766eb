//! `wavekv snapshots ls`.

use wavekv_client::Client;

use crate::failure::Failure;
use crate::{formats, output};

pub(crate) async fn run(client: &Client, json: bool) -> Result<(), Failure> {
    let snapshots = client.list_snapshots().await?;
    if json {
        let all: Vec<_> = snapshots.iter().map(formats::snapshots::json).collect();
        output::json(&all);
    } else {
        output::text(&formats::snapshots::list(&snapshots));
    }
    Ok(())
}
