//! `wavekv collections verify`: one collection or all, with a bar for how far it is.

use wavekv_client::wire::verify_response::Told;
use wavekv_client::{Client, ClientError};

use crate::arguments::Verify;
use crate::failure::Failure;
use crate::{bar, formats, output, suggest, upload};

pub(crate) async fn run(client: &Client, verify: &Verify, json: bool) -> Result<(), Failure> {
    let name = verify.name.as_ref();
    let one = name.map(|name| upload::collection(&verify.namespace, name));
    let begun = client.verify(one).await;
    let called = name.map_or("", String::as_str);
    let mut words = suggest::collection(client, &verify.namespace, called, begun).await?;
    let bar = bar::of_bytes(0);
    let (mut findings, mut last) = (vec![], None);
    loop {
        let word = tokio::select! {
            word = words.next() => word.inspect_err(|_| bar.finish_and_clear())?,
            _ = tokio::signal::ctrl_c() => return Err(Failure::Interrupted),
        };
        match word.map(|word| word.told) {
            None => break,
            Some(Some(Told::Progress(progress))) => {
                bar.set_length(progress.bytes.max(progress.bytes_done));
                bar.set_position(progress.bytes_done);
                let collection = progress.collection.as_ref();
                bar.set_message(collection.map_or_else(String::new, |of| of.name.clone()));
                last = Some(progress);
            }
            Some(Some(Told::Finding(finding))) => {
                if !json {
                    bar.suspend(|| output::text(&formats::verify::finding(&finding)));
                }
                findings.push(finding);
            }
            Some(None) => {}
        }
    }
    bar.finish_and_clear();
    // It says so itself when all is done.
    let last = last.filter(|last| last.collection.is_none());
    let last = last.ok_or_else(|| ClientError::Protocol {
        what: "a verification without an end".to_owned(),
    })?;
    if json {
        output::json(&formats::verify::json(&last, &findings));
    } else {
        output::text(&formats::verify::summary(&last, findings.len()));
    }
    match findings.len() {
        0 => Ok(()),
        findings => Err(Failure::Damaged { findings }),
    }
}
