//! `wavekv collections`.

mod export;
mod fork;
mod ls;
mod place;
mod restore;
mod rm;
mod show;
mod snapshot;
mod verify;

use indicatif::ProgressBar;
use wavekv_client::{Client, wire};

use crate::arguments::CollectionsVerb;
use crate::failure::Failure;

/// Runs the verb that was asked for.
pub(crate) async fn run(client: &Client, verb: CollectionsVerb, json: bool) -> Result<(), Failure> {
    use wire::Placement;
    match verb {
        CollectionsVerb::Ls(ls) => ls::run(client, &ls, json).await,
        CollectionsVerb::Show(show) => show::run(client, &show, json).await,
        CollectionsVerb::Rm(some) => rm::run(client, &some, json).await,
        CollectionsVerb::Fork(fork) => fork::run(client, &fork, json).await,
        CollectionsVerb::Pin(some) => place::run(client, &some, Placement::Pinned, json).await,
        CollectionsVerb::Unpin(some) => place::run(client, &some, Placement::Unpinned, json).await,
        CollectionsVerb::Promote(some) => {
            place::run(client, &some, Placement::Promoted, json).await
        }
        CollectionsVerb::Demote(some) => place::run(client, &some, Placement::Demoted, json).await,
        CollectionsVerb::Snapshot(snapshot) => snapshot::run(client, &snapshot, json).await,
        CollectionsVerb::Restore(restore) => restore::run(client, &restore, json).await,
        CollectionsVerb::Export(export) => export::run(client, &export, json).await,
        CollectionsVerb::Verify(verify) => verify::run(client, &verify, json).await,
    }
}

/// Draws how far a call is.
fn draw(bar: &ProgressBar, progress: wire::Progress) {
    bar.set_length(progress.total_bytes);
    bar.set_position(progress.done_bytes);
}
