//! Something done to each of several names: one that fails does not keep the others.

use wavekv_client::ClientError;

use crate::failure::Failure;
use crate::output;

/// Has each of `names` removed, and says which were.
pub(crate) async fn removed(
    names: &[String],
    json: bool,
    mut remove: impl AsyncFnMut(&str) -> Result<(), ClientError>,
) -> Result<(), Failure> {
    let mut removed = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        match remove(name).await {
            Ok(()) => removed.push(name.as_str()),
            Err(refusal) => failures.push(refusal),
        }
    }
    if json {
        output::json(&serde_json::json!({ "removed": removed }));
    } else {
        for name in removed {
            output::text(&format!("removed {name}"));
        }
    }
    if failures.len() == 1 && names.len() == 1 {
        return Err(failures.swap_remove(0).into());
    }
    for failure in &failures {
        output::error(&failure.to_string());
    }
    match failures.len() {
        0 => Ok(()),
        failed => Err(Failure::Some {
            failed,
            asked: names.len(),
        }),
    }
}
