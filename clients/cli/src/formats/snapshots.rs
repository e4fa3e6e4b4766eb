//! Snapshots.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use wavekv_client::wire;

use super::collections::{durability, kind};
use super::{size, table};

/// All that is known of a snapshot.
pub(crate) fn json(snapshot: &wire::SnapshotDescription) -> Value {
    json!({
        "snapshot": snapshot.snapshot,
        "made_at": snapshot.made_at,
        "refusal": snapshot.refusal,
        "namespace": snapshot.namespace,
        "name": snapshot.name,
        "fingerprint": snapshot.fingerprint,
        "kind": kind(snapshot.kind()),
        "durability": durability(snapshot.durability()),
        "layer_lengths": snapshot.layer_lengths,
        "length": length(snapshot),
        "bytes": snapshot.bytes,
    })
}

/// One that was just made.
pub(crate) fn sentence(snapshot: &wire::SnapshotDescription) -> String {
    format!(
        "{}: {} tokens of {}/{}, {}",
        snapshot.snapshot,
        length(snapshot),
        snapshot.namespace,
        snapshot.name,
        size(snapshot.bytes)
    )
}

/// A line per snapshot, and a sentence for each that is damaged.
pub(crate) fn list(snapshots: &[wire::SnapshotDescription]) -> String {
    let header = [
        "snapshot",
        "made",
        "collection",
        "model",
        "index",
        "durability",
        "tokens",
        "layers",
        "size",
    ];
    let mut table = table(&header, 6, false);
    let (whole, damaged): (Vec<_>, Vec<_>) = snapshots
        .iter()
        .partition(|snapshot| snapshot.refusal.is_empty());
    for snapshot in whole {
        table.add_row([
            snapshot.snapshot.clone(),
            made(snapshot),
            format!("{}/{}", snapshot.namespace, snapshot.name),
            snapshot.fingerprint.clone(),
            kind(snapshot.kind()).to_owned(),
            durability(snapshot.durability()).to_owned(),
            length(snapshot).to_string(),
            snapshot.layer_lengths.len().to_string(),
            size(snapshot.bytes),
        ]);
    }
    let sentences = damaged
        .iter()
        .map(|snapshot| format!("{}: {}", snapshot.snapshot, snapshot.refusal));
    let lines: Vec<String> = std::iter::once(table.trim_fmt()).chain(sentences).collect();
    lines.join("\n")
}

fn made(snapshot: &wire::SnapshotDescription) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(snapshot.made_at));
    match at.filter(|_| snapshot.made_at > 0) {
        Some(at) => humantime::format_rfc3339_seconds(at).to_string(),
        None => "-".to_owned(),
    }
}

/// Tokens that every layer has.
fn length(snapshot: &wire::SnapshotDescription) -> u32 {
    snapshot.layer_lengths.iter().copied().min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_line_for_each_and_says_why_one_cannot_be_read() {
        let whole = wire::SnapshotDescription {
            snapshot: "nightly".into(),
            made_at: 1_700_000_000,
            namespace: "default".into(),
            name: "doc-1".into(),
            fingerprint: "llama".into(),
            kind: wire::IndexKind::Wave.into(),
            durability: wire::Durability::Power.into(),
            layer_lengths: vec![1000, 1024],
            bytes: 3 << 20,
            ..Default::default()
        };
        let damaged = wire::SnapshotDescription {
            snapshot: "broken".into(),
            refusal: "MANIFEST is damaged".into(),
            ..Default::default()
        };
        let text = list(&[damaged, whole.clone()]);
        let line = text.lines().find(|line| line.contains("nightly")).unwrap();
        for part in [
            "2023-11-14T22:13:20Z",
            "default/doc-1",
            "llama",
            "wave",
            "power",
            "1000",
            "3.0 MiB",
        ] {
            assert!(line.contains(part), "{text}");
        }
        assert!(text.ends_with("broken: MANIFEST is damaged"), "{text}");
        assert_eq!(
            sentence(&whole),
            "nightly: 1000 tokens of default/doc-1, 3.0 MiB"
        );
        assert_eq!(json(&whole)["length"], 1000);
    }
}
