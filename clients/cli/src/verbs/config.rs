//! `wavekv config`.

use wavekv_client::Client;

use crate::arguments::Config;
use crate::failure::Failure;
use crate::{formats, output};

pub(crate) async fn run(client: &Client, config: &Config, json: bool) -> Result<(), Failure> {
    let told = client.config().await?;
    let mut settings = formats::settings::read(&told.toml)?;
    if config.diff {
        let defaults = formats::settings::read(&told.default_toml)?;
        settings = formats::settings::different(settings, &defaults);
    }
    if json {
        output::json(&settings);
    } else {
        output::text(&settings.to_string());
    }
    Ok(())
}
