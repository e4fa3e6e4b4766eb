//! `--watch`: the same page again and again.

use std::time::Duration;

use crate::failure::Failure;
use crate::output::{self, Screen};

/// Shows a page once, or every so often until Ctrl-C or until nobody reads it any more.
pub(crate) async fn shown(
    every: Option<Duration>,
    mut page: impl AsyncFnMut() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let Some(every) = every else {
        output::text(&page().await?);
        return Ok(());
    };
    let again = async {
        let screen = Screen::new()?;
        loop {
            if screen.show(&page().await?).is_err() {
                return Ok(());
            }
            tokio::time::sleep(every).await;
        }
    };
    tokio::select! {
        end = again => end,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
