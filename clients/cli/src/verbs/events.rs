//! `wavekv events`.

use wavekv_client::{Client, wire};

use crate::arguments::{EventLevel, Events};
use crate::failure::Failure;
use crate::{formats, output};

pub(crate) async fn run(client: &Client, events: &Events, json: bool) -> Result<(), Failure> {
    let request = wire::EventsRequest {
        after_sequence: events.after,
        follow: events.follow,
        min_level: match events.level {
            EventLevel::Info => wire::EventLevel::Info,
            EventLevel::Warn => wire::EventLevel::Warn,
            EventLevel::Error => wire::EventLevel::Error,
        }
        .into(),
    };
    let mut words = client.events(request).await?;
    let told = async {
        while let Some(word) = words.next().await? {
            let line = if json {
                formats::events::json(&word).to_string()
            } else {
                formats::events::line(&word)
            };
            if output::line(&line).is_err() {
                // Nobody reads it any more.
                break;
            }
        }
        Ok(())
    };
    tokio::select! {
        end = told => end,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
