//! `wavekv top`: what the daemon is doing, again and again.
//!
//! On a terminal, a picture that keys change ([`live`]); else a page, or an object, an interval. The numbers are of two answers to
//! Activity, and `formats::top` makes them; this room asks, waits and reads keys. Start reading here.

mod keys;
mod live;

use std::io::{self, IsTerminal as _};

use wavekv_client::Client;

use crate::arguments::Top;
use crate::failure::Failure;
use crate::formats::top::{self, COLLECTIONS, View};
use crate::output;

pub(crate) async fn run(client: &Client, top: &Top, json: bool) -> Result<(), Failure> {
    if !json && !top.once && io::stdout().is_terminal() {
        return live::run(client, top.interval).await;
    }
    tokio::select! {
        end = pages(client, top, json) => end,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// A page or a line an interval, until nobody reads it any more.
async fn pages(client: &Client, top: &Top, json: bool) -> Result<(), Failure> {
    let mut before = client.activity(COLLECTIONS).await?;
    loop {
        tokio::time::sleep(top.interval).await;
        let now = client.activity(COLLECTIONS).await?;
        let view = View::between(Some(&before), &now);
        let page = if json {
            serde_json::to_string(&view).map_err(io::Error::from)?
        } else {
            top::text(&view)
        };
        if output::line(&page).is_err() || top.once {
            return Ok(());
        }
        // Pages are apart from one another; objects are a line each.
        if !json && output::line("").is_err() {
            return Ok(());
        }
        before = now;
    }
}
