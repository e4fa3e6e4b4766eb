//! What a verification found.

use serde_json::{Value, json};
use wavekv_client::wire;

use super::size;

/// A line: where it is, and the daemon's sentence.
pub(crate) fn finding(finding: &wire::VerifyFinding) -> String {
    let number = |what: &str, number: Option<u64>| number.map(|number| format!("{what} {number}"));
    let column = (!finding.column.is_empty()).then(|| format!("column {}", finding.column));
    let place = [
        Some(name(finding)),
        number("layer", finding.layer.map(u64::from)),
        number("segment", finding.segment),
        number("KV head", finding.kv_head.map(u64::from)),
        column,
    ];
    let place: Vec<String> = place.into_iter().flatten().collect();
    format!("{}: {}", place.join(", "), finding.message)
}

/// The last line.
pub(crate) fn summary(progress: &wire::VerifyProgress, findings: usize) -> String {
    let bytes = size(progress.bytes_done);
    let collections = progress.collections_done;
    let found = match findings {
        0 => "all is as it was".to_owned(),
        1 => "1 finding: its collection is not served any more".to_owned(),
        findings => format!("{findings} findings: their collections are not served any more"),
    };
    format!("{collections} collections, {bytes}: {found}")
}

/// The same as JSON.
pub(crate) fn json(progress: &wire::VerifyProgress, findings: &[wire::VerifyFinding]) -> Value {
    let findings = findings.iter().map(|finding| {
        let collection = finding.collection.clone().unwrap_or_default();
        json!({
            "namespace": collection.namespace,
            "name": collection.name,
            "generation": collection.generation,
            "layer": finding.layer,
            "segment": finding.segment,
            "kv_head": finding.kv_head,
            "file": finding.file,
            "column": finding.column,
            "message": finding.message,
        })
    });
    json!({
        "collections": progress.collections_done,
        "bytes": progress.bytes_done,
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn name(finding: &wire::VerifyFinding) -> String {
    let collection = finding.collection.clone().unwrap_or_default();
    format!("{}/{}", collection.namespace, collection.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_it_is_as_far_as_it_is_known() {
        let mut found = wire::VerifyFinding {
            collection: Some(wire::CollectionRef {
                namespace: "ns".into(),
                name: "chat".into(),
                generation: Some(7),
            }),
            layer: Some(2),
            segment: Some(9),
            kv_head: Some(0),
            column: "counts".into(),
            message: "wrong".into(),
            ..Default::default()
        };
        let line = "ns/chat, layer 2, segment 9, KV head 0, column counts: wrong";
        assert_eq!(finding(&found), line);
        found = wire::VerifyFinding {
            collection: found.collection,
            message: found.message,
            ..Default::default()
        };
        assert_eq!(finding(&found), "ns/chat: wrong");
        let value = json(&wire::VerifyProgress::default(), &[found]);
        assert_eq!(value["findings"][0]["generation"], 7);
        assert!(value["findings"][0]["layer"].is_null());
    }

    #[test]
    fn the_last_line_counts() {
        let progress = wire::VerifyProgress {
            collections_done: 3,
            bytes_done: 3 << 20,
            ..Default::default()
        };
        assert_eq!(
            summary(&progress, 0),
            "3 collections, 3.0 MiB: all is as it was"
        );
        assert!(summary(&progress, 2).contains("2 findings"));
    }
}
