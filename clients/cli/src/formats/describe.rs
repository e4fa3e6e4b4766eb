//! What a collection is made of: clusters, heads, tiers, sharers.

use serde_json::{Value, json};
use wavekv_client::wire;

use super::{percent, size, table};

/// Cells of the longest bar.
const WIDEST: f64 = 40.0;
/// Heads that are named at each end.
const HEADS: usize = 3;

/// All numbers.
pub(crate) fn json(described: &wire::DescribeResponse) -> Value {
    let tiers = described.tiers.unwrap_or_default();
    let layers = described.layers.iter().map(|layer| {
        let heads = layer.heads.iter().map(|head| {
            json!({
                "kv_head": head.kv_head,
                "answers": head.answers,
                "token_share": head.token_share,
                "byte_share": head.byte_share,
                "exact_mass": head.exact_mass,
            })
        });
        json!({
            "layer": layer.layer,
            "cluster_sizes": histogram_json(layer.cluster_sizes.as_ref()),
            "key_spreads": histogram_json(layer.key_spreads.as_ref()),
            "heads": heads.collect::<Vec<_>>(),
        })
    });
    let sharers = described.sharers.iter().map(|sharer| {
        let name = sharer.collection.clone().unwrap_or_default().name;
        json!({ "name": name, "bytes": sharer.bytes })
    });
    json!({
        "tiers": {
            "steady_bytes": tiers.steady_bytes,
            "meta_index_bytes": tiers.meta_index_bytes,
            "block_bytes": tiers.block_bytes,
            "disk_bytes": tiers.disk_bytes,
        },
        "sharers": sharers.collect::<Vec<_>>(),
        "all_sharers": described.all_sharers,
        "layers": layers.collect::<Vec<_>>(),
    })
}

fn histogram_json(histogram: Option<&wire::Histogram>) -> Value {
    let histogram = histogram.cloned().unwrap_or_default();
    json!({ "edges": histogram.edges, "counts": histogram.counts, "mean": histogram.mean })
}

/// For people: all layers together.
pub(crate) fn text(described: &wire::DescribeResponse) -> String {
    let of = |choose: fn(&wire::LayerDescription) -> Option<&wire::Histogram>| {
        sum(described.layers.iter().filter_map(choose))
    };
    let parts = [
        tiers(described.tiers.unwrap_or_default()),
        sharers(described),
        histogram(
            "tokens of a cluster",
            &of(|layer| layer.cluster_sizes.as_ref()),
        ),
        histogram(
            "variance of a cluster's keys, beside the mean one",
            &of(|layer| layer.key_spreads.as_ref()),
        ),
        heads(&described.layers),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n")
}

fn tiers(tiers: wire::TierBytes) -> String {
    let mut table = table(&["tier", "what", "size"], 2, false);
    for (tier, what, bytes) in [
        ("memory", "tokens that no segment has", tiers.steady_bytes),
        ("memory", "meta index", tiers.meta_index_bytes),
        ("memory", "K, V and codes of segments", tiers.block_bytes),
        ("disk", "files and rows of the catalog", tiers.disk_bytes),
    ] {
        table.add_row([tier.to_owned(), what.to_owned(), size(bytes)]);
    }
    table.trim_fmt()
}

fn sharers(described: &wire::DescribeResponse) -> String {
    if described.sharers.is_empty() {
        return "shares nothing with another collection".to_owned();
    }
    let mut table = table(&["shares with", "size"], 1, false);
    for sharer in &described.sharers {
        let name = sharer.collection.clone().unwrap_or_default().name;
        table.add_row([name, size(sharer.bytes)]);
    }
    let more = described.all_sharers - described.sharers.len() as u64;
    match more {
        0 => table.trim_fmt(),
        more => format!("{}\nand {more} more", table.trim_fmt()),
    }
}

/// Of all layers together, whose edges are the same.
fn sum<'a>(histograms: impl Iterator<Item = &'a wire::Histogram>) -> wire::Histogram {
    let mut all = wire::Histogram::default();
    let (mut numbers, mut total) = (0, 0.0);
    for histogram in histograms {
        all.edges.clone_from(&histogram.edges);
        all.counts.resize(histogram.counts.len(), 0);
        for (sum, count) in all.counts.iter_mut().zip(&histogram.counts) {
            *sum += count;
        }
        let of_this: u64 = histogram.counts.iter().sum();
        numbers += of_this;
        total += histogram.mean * of_this as f64;
    }
    all.mean = total / f64::max(numbers as f64, 1.0);
    all
}

/// A bar a bucket, from the first to the last that has anything; nothing of no numbers.
fn histogram(title: &str, histogram: &wire::Histogram) -> String {
    let counts = &histogram.counts;
    let numbers: u64 = counts.iter().sum();
    let is_filled = |count: &u64| *count > 0;
    let (Some(first), Some(last)) = (
        counts.iter().position(is_filled),
        counts.iter().rposition(is_filled),
    ) else {
        return String::new();
    };
    let most = counts.iter().max().copied().unwrap_or(1) as f64;
    let mean = format!("mean {:.2}", histogram.mean);
    let mut table = table(&[title, "", "share", &mean], 2, false);
    let ends = histogram.edges.iter().skip(1).map(Some).chain([None]);
    let buckets = histogram.edges.iter().zip(ends).zip(counts);
    for ((from, end), &count) in buckets.take(last + 1).skip(first) {
        let range = match end {
            Some(end) => format!("{from} to {end}"),
            None => format!("{from} or more"),
        };
        let share = percent(count as f64 / numbers as f64);
        table.add_row([range, bar(count as f64 / most), share, count.to_string()]);
    }
    table.trim_fmt()
}

/// As long as the share, to an eighth of a cell.
fn bar(share: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * WIDEST * 8.0).round() as usize;
    // What is there is seen.
    let eighths = eighths.max(usize::from(share > 0.0));
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The heads that are read most widely and least, of all layers.
fn heads(layers: &[wire::LayerDescription]) -> String {
    let heads = layers
        .iter()
        .flat_map(|layer| layer.heads.iter().map(|head| (layer.layer, *head)));
    let mut heads: Vec<(u32, wire::HeadUse)> = heads.filter(|(_, head)| head.answers > 0).collect();
    if heads.is_empty() {
        return "no query yet that need not read everything: nothing is known of its heads"
            .to_owned();
    }
    heads.sort_by(|(_, a), (_, b)| b.token_share.total_cmp(&a.token_share));
    let header = [
        "attention",
        "layer",
        "KV head",
        "tokens read",
        "bytes read",
        "exact mass",
        "answers",
    ];
    let mut table = table(&header, 1, false);
    // Of few heads, none is named twice.
    let ends = HEADS.min(heads.len().div_ceil(2));
    let flat = heads.iter().take(ends);
    let sharp = heads.iter().rev().take(ends.min(heads.len() - ends)).rev();
    for (attention, (layer, head)) in flat
        .map(|head| ("flattest", head))
        .chain(sharp.map(|head| ("sharpest", head)))
    {
        table.add_row([
            attention.to_owned(),
            layer.to_string(),
            head.kv_head.to_string(),
            percent(head.token_share),
            percent(head.byte_share),
            percent(head.exact_mass),
            head.answers.to_string(),
        ]);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(layer: u32, shares: &[f64]) -> wire::LayerDescription {
        let heads = shares
            .iter()
            .zip(0..)
            .map(|(share, kv_head)| wire::HeadUse {
                kv_head,
                answers: 5,
                token_share: *share,
                byte_share: share / 2.0,
                exact_mass: 0.5,
            });
        wire::LayerDescription {
            layer,
            cluster_sizes: Some(wire::Histogram {
                edges: vec![1.0, 8.0, 16.0, 32.0],
                counts: vec![0, 30, 10, 0],
                mean: 12.0,
            }),
            key_spreads: None,
            heads: heads.collect(),
        }
    }

    fn described() -> wire::DescribeResponse {
        wire::DescribeResponse {
            layers: vec![
                layer(0, &[0.1, 0.9, 0.2, 0.3]),
                layer(1, &[0.8, 0.05, 0.4, 0.7]),
            ],
            tiers: Some(wire::TierBytes {
                steady_bytes: 1 << 20,
                disk_bytes: 3 << 20,
                ..Default::default()
            }),
            sharers: vec![wire::Sharer {
                collection: Some(wire::CollectionRef {
                    name: "sister".into(),
                    ..Default::default()
                }),
                bytes: 2 << 20,
            }],
            all_sharers: 4,
            ..Default::default()
        }
    }

    #[test]
    fn a_collection_is_explained_to_people() {
        let text = text(&described());
        let line = |start: &str| {
            let mut lines = text
                .lines()
                .filter(|line| line.trim_start().starts_with(start));
            lines
                .next()
                .unwrap_or_else(|| panic!("no {start}: {text}"))
                .to_owned()
        };
        assert!(line("8 to 16").contains("75.0 %") && line("8 to 16").contains("████"));
        assert!(line("16 to 32").contains("25.0 %"), "{text}");
        assert!(
            text.contains("mean 12.00") && !text.contains("1 to 8"),
            "{text}"
        );
        assert!(line("sister").contains("2.0 MiB") && text.contains("and 3 more"));
        assert!(line("disk").contains("3.0 MiB"));
        let flat = line("flattest");
        assert!(flat.contains("90.0 %") && flat.contains("45.0 %"), "{text}");
        let sharpest = text
            .lines()
            .rfind(|line| line.contains("sharpest"))
            .unwrap();
        assert!(sharpest.contains("5.0 %"), "{text}");
        assert_eq!(text.matches("flattest").count(), HEADS);
        assert_eq!(text.matches("sharpest").count(), HEADS);
    }

    #[test]
    fn few_heads_are_named_once_and_none_with_a_reason() {
        let one = heads(&[layer(0, &[0.5])]);
        assert!(
            one.contains("flattest") && !one.contains("sharpest"),
            "{one}"
        );
        assert!(heads(&[layer(0, &[])]).contains("nothing is known"));
        assert_eq!(
            text(&wire::DescribeResponse::default())
                .matches("cluster")
                .count(),
            0
        );
    }

    #[test]
    fn bars_are_as_long_as_their_shares() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(1e-9), "▏");
        assert_eq!(bar(0.5).chars().count(), 20);
        assert_eq!(bar(1.0), "█".repeat(40));
    }

    #[test]
    fn json_has_every_layer_and_head() {
        let value = json(&described());
        assert_eq!(value["layers"][1]["heads"][3]["kv_head"], 3);
        assert_eq!(value["layers"][0]["cluster_sizes"]["counts"][1], 30);
        assert_eq!(value["sharers"][0]["name"], "sister");
        assert_eq!(value["tiers"]["disk_bytes"], 3 << 20);
    }
}
