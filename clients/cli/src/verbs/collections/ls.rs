//! `wavekv collections ls`.

use wavekv_client::Client;

use crate::arguments::Ls;
use crate::failure::Failure;
use crate::{formats, output};

pub(crate) async fn run(client: &Client, ls: &Ls, json: bool) -> Result<(), Failure> {
    let collections = client.list_all(&ls.namespace, &ls.prefix).await?;
    if json {
        let all: Vec<_> = collections.iter().map(formats::collections::json).collect();
        output::json(&all);
    } else {
        output::text(&formats::collections::list(&collections));
    }
    Ok(())
}
