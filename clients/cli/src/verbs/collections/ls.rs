//! `wavekv collections ls`.

use serde_json::Value;
use wavekv_client::{Client, wire};

use crate::arguments::{Ls, Order};
use crate::failure::Failure;
use crate::{formats, upload, watch};

pub(crate) async fn run(client: &Client, ls: &Ls, json: bool) -> Result<(), Failure> {
    watch::shown(ls.watch.every, async || {
        let mut collections = client.list_all(&ls.namespace, &ls.prefix).await?;
        collections.retain(|collection| wanted(ls, collection));
        put_in_order(&mut collections, ls.sort, ls.reverse);
        Ok(if json {
            let all: Value = collections.iter().map(formats::collections::json).collect();
            format!("{all:#}")
        } else {
            formats::collections::list(&collections)
        })
    })
    .await
}

fn wanted(ls: &Ls, collection: &wire::CollectionDescription) -> bool {
    let of_kind = ls.kind.is_none_or(|kind| {
        let index = collection.index.unwrap_or_default();
        index.kind() == upload::index_kind(kind)
    });
    let refused = !ls.refused || !collection.refusal.is_empty();
    of_kind && refused && collection.length >= ls.min_tokens
}

/// The daemon lists in order of namespace and name, which those that are alike stay in.
fn put_in_order(collections: &mut [wire::CollectionDescription], order: Order, reverse: bool) {
    let model = |collection: &wire::CollectionDescription| {
        let geometry = collection.geometry.as_ref();
        geometry.map(|geometry| geometry.fingerprint.clone())
    };
    match order {
        Order::Name => {}
        Order::Model => collections.sort_by_key(model),
        Order::Tokens => collections.sort_by_key(|collection| collection.length),
        Order::Layers => collections.sort_by_key(|collection| collection.layer_lengths.len()),
        Order::Bytes => collections.sort_by_key(formats::collections::payload_bytes),
    }
    if reverse {
        collections.reverse();
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, CollectionsVerb, Verb};

    fn collection(
        name: &str,
        lengths: &[u32],
        kind: wire::IndexKind,
    ) -> wire::CollectionDescription {
        wire::CollectionDescription {
            name: name.into(),
            length: lengths.iter().copied().min().unwrap_or(0),
            layer_lengths: lengths.to_vec(),
            index: Some(wire::IndexParameters {
                kind: kind.into(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn listed(flags: &str) -> Vec<String> {
        let mut all = vec![
            collection("a", &[50, 60], wire::IndexKind::Wave),
            collection("b", &[10], wire::IndexKind::Flat),
            collection("c", &[50, 50, 50], wire::IndexKind::Wave),
        ];
        all[1].refusal = "damaged".into();
        let line = format!("wavekv collections ls {flags}");
        let verb = Arguments::parse_from(line.split_whitespace()).verb;
        let Verb::Collections(CollectionsVerb::Ls(ls)) = verb else {
            panic!("another verb")
        };
        all.retain(|collection| wanted(&ls, collection));
        put_in_order(&mut all, ls.sort, ls.reverse);
        all.into_iter().map(|collection| collection.name).collect()
    }

    #[test]
    fn filters_and_order_are_those_that_were_asked_for() {
        assert_eq!(listed(""), ["a", "b", "c"]);
        assert_eq!(listed("--sort tokens"), ["b", "a", "c"]);
        assert_eq!(listed("--sort layers --reverse"), ["c", "a", "b"]);
        assert_eq!(listed("--kind wave"), ["a", "c"]);
        assert_eq!(listed("--refused"), ["b"]);
        assert_eq!(listed("--min-tokens 50 --reverse"), ["c", "a"]);
    }
}
