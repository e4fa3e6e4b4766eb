//! `wavekv collections place`.

use wavekv_client::{Client, wire};

use crate::arguments::{Place, Placement};
use crate::failure::Failure;
use crate::formats::stats;
use crate::{output, upload};

pub(crate) async fn run(client: &Client, place: &Place, json: bool) -> Result<(), Failure> {
    let placement = match place.placement {
        Placement::Promoted => wire::Placement::Promoted,
        Placement::Pinned => wire::Placement::Pinned,
        Placement::Unpinned => wire::Placement::Unpinned,
        Placement::Demoted => wire::Placement::Demoted,
    };
    let collection = upload::collection(&place.namespace, &place.name);
    let placed = client.place(collection, placement).await?;
    let residence = placed.residence.unwrap_or_default();
    if json {
        output::json(&stats::residence_json(&residence));
    } else {
        let name = &place.name;
        output::text(&format!("{name}: {}", stats::resident(&residence)));
    }
    Ok(())
}
