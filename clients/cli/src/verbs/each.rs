//! Something done to each of several names: one that fails does not keep the others.

use crate::failure::Failure;
use crate::output;

/// What `act` comes to for each of `names`, and whether it failed for some. Why is said at once, but for one that is alone.
pub(crate) async fn done<'a, T>(
    names: &'a [String],
    mut act: impl AsyncFnMut(&'a str) -> Result<T, Failure>,
) -> (Vec<(&'a str, T)>, Result<(), Failure>) {
    let mut done = vec![];
    let mut failed = 0;
    for name in names {
        match act(name).await {
            Ok(came_to) => done.push((name.as_str(), came_to)),
            Err(failure) if names.len() == 1 => return (done, Err(failure)),
            Err(failure) => {
                failed += 1;
                output::error(&failure.to_string());
            }
        }
    }
    let asked = names.len();
    let end = match failed {
        0 => Ok(()),
        failed => Err(Failure::Some { failed, asked }),
    };
    (done, end)
}

/// Has each of `names` removed, and says which were.
pub(crate) async fn removed<'a>(
    names: &'a [String],
    json: bool,
    remove: impl AsyncFnMut(&'a str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (removed, end) = done(names, remove).await;
    let removed: Vec<&str> = removed.into_iter().map(|(name, ())| name).collect();
    if json {
        output::json(&serde_json::json!({ "removed": removed }));
    } else {
        for name in removed {
            output::text(&format!("removed {name}"));
        }
    }
    end
}
