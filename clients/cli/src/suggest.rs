//! "Did you mean …?" for names that the daemon does not know; of flags and verbs, clap says it.

use wavekv_client::{Client, ClientError, Code};

use crate::failure::Failure;

/// Names this alike, as [`strsim::jaro_winkler`] has it, may be meant.
const ALIKE: f64 = 0.8;
/// So many are said.
const MOST: usize = 3;

/// The answer to a call on a collection; where that is not there, with the names that come near.
pub(crate) async fn collection<T>(
    client: &Client,
    namespace: &str,
    name: &str,
    answer: Result<T, ClientError>,
) -> Result<T, Failure> {
    // Who cannot be asked suggests nothing.
    let of = async |namespace, prefix| client.list_all(namespace, prefix).await.unwrap_or_default();
    suggested(answer, async || {
        let here = of(namespace, "").await;
        let here: Vec<&str> = here.iter().map(|found| found.name.as_str()).collect();
        if here.contains(&name) {
            // It is something else that is not there.
            return vec![];
        }
        let elsewhere = of("*", name).await.into_iter();
        let elsewhere = elsewhere
            .filter(|found| found.name == name)
            .map(|found| format!("{name} --namespace {}", found.namespace));
        elsewhere.chain(alike(name, &here)).collect()
    })
    .await
}

/// The same of a snapshot.
pub(crate) async fn snapshot<T>(
    client: &Client,
    name: &str,
    answer: Result<T, ClientError>,
) -> Result<T, Failure> {
    suggested(answer, async || {
        let all = client.list_snapshots().await.unwrap_or_default();
        let all: Vec<&str> = all.iter().map(|found| found.snapshot.as_str()).collect();
        alike(name, &all)
    })
    .await
}

async fn suggested<T>(
    answer: Result<T, ClientError>,
    near: impl AsyncFnOnce() -> Vec<String>,
) -> Result<T, Failure> {
    match answer {
        Err(error) if error.code() == Some(Code::NotFound) => Err(missed(error, near().await)),
        answer => Ok(answer?),
    }
}

fn missed(error: ClientError, mut near: Vec<String>) -> Failure {
    near.truncate(MOST);
    if near.is_empty() {
        error.into()
    } else {
        Failure::Missed { error, near }
    }
}

/// The names that come near one, the nearest first.
fn alike(name: &str, names: &[&str]) -> Vec<String> {
    let mut alike: Vec<(f64, &str)> = names
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other), *other))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .collect();
    alike.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    alike
        .into_iter()
        .take(MOST)
        .map(|(_, name)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_come_near_are_said_and_others_are_not() {
        let names = ["chat-1", "chat-12", "document", "chat-2", "chat-3"];
        let near = alike("chat1", &names);
        assert_eq!(near[0], "chat-1");
        assert_eq!(near.len(), MOST);
        assert_eq!(alike("documnet", &names), ["document"]);
        assert!(alike("zebra", &names).is_empty());
    }

    #[test]
    fn a_failure_that_knows_better_says_so() {
        let error = ClientError::Refused {
            code: Code::NotFound,
            message: "no chat1".into(),
        };
        let plain = missed(error.clone(), vec![]).to_string();
        assert_eq!(plain, "no chat1 (NotFound)");
        let near = ["a", "b", "c", "d"].map(String::from).to_vec();
        let said = missed(error, near);
        assert_eq!(
            said.to_string(),
            "no chat1 (NotFound); did you mean a, b or c?"
        );
        assert_eq!(said.exit_code(), 1);
    }
}
