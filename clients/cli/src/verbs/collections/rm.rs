//! `wavekv collections rm`: one that cannot be removed does not keep the others.

use wavekv_client::Client;

use crate::arguments::Rm;
use crate::failure::Failure;
use crate::{output, upload};

pub(crate) async fn run(client: &Client, rm: &Rm, json: bool) -> Result<(), Failure> {
    let mut removed = Vec::new();
    let mut failures = Vec::new();
    for name in &rm.names {
        match client.delete(upload::collection(&rm.namespace, name)).await {
            Ok(_) => removed.push(name.as_str()),
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
    if failures.len() == 1 && rm.names.len() == 1 {
        return Err(failures.swap_remove(0).into());
    }
    for failure in &failures {
        output::error(&failure.to_string());
    }
    match failures.len() {
        0 => Ok(()),
        failed => Err(Failure::Some {
            failed,
            asked: rm.names.len(),
        }),
    }
}
