//! `wavekv stats`.

use wavekv_client::Client;

use crate::failure::Failure;
use crate::{formats, output};

pub(crate) async fn run(client: &Client, json: bool) -> Result<(), Failure> {
    let stats = client.stats(None).await?;
    if json {
        output::json(&formats::stats::json(&stats));
    } else {
        output::text(&formats::stats::table(&stats));
    }
    Ok(())
}
