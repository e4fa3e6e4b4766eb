//! What is stored of a collection beside its tokens: its name, geometry and parameters, as JSON with a version.

use serde::{Deserialize, Serialize};

use crate::model::{
    CollectionName, Dtype, Error, ErrorKind, Geometry, IndexKind, IndexParameters, LayerKind,
    Retention,
};

/// The newest version of a record that this build reads.
const VERSION: u32 = 2;
/// Of a record without a cap of scores, which builds that know none may read: the others they must refuse.
const UNCAPPED_VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    namespace: String,
    name: String,
    fingerprint: String,
    /// 0, or the tokens of a sliding window.
    layers: Vec<u32>,
    q_heads: u32,
    kv_heads: u32,
    head_dim: u32,
    value_dim: u32,
    dtype: String,
    /// Of the `f32`: the same scale gives the same answers, the nearest one does not.
    scale_bits: u32,
    index: Index,
    /// The same of the cap of scores. Records of earlier builds have none of what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    softcap_bits: Option<u32>,
    /// 0 for no end.
    #[serde(default)]
    ttl_seconds: u64,
    #[serde(default)]
    expendable: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    kind: String,
    sink_tokens: u32,
    recent_tokens: u32,
    segment_tokens: u32,
    decode_segment_tokens: u32,
    cluster_tokens: u32,
    kmeans_iterations: u32,
    seed: u64,
}

/// A collection as it was created.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) name: CollectionName,
    pub(super) geometry: Geometry,
    pub(super) parameters: IndexParameters,
    pub(super) retention: Retention,
}

/// The record of a collection.
///
/// # Errors
/// Never: every field has a spelling in JSON.
pub fn encode(
    name: &CollectionName,
    geometry: &Geometry,
    parameters: &IndexParameters,
    retention: Retention,
) -> Result<Vec<u8>, Error> {
    let window = |kind: &LayerKind| match kind {
        LayerKind::Full => 0,
        LayerKind::Sliding { window } => *window,
    };
    let record = Record {
        version: match geometry.softcap {
            Some(_) => VERSION,
            None => UNCAPPED_VERSION,
        },
        namespace: name.namespace().to_owned(),
        name: name.name().to_owned(),
        fingerprint: geometry.fingerprint.clone(),
        layers: geometry.layers.iter().map(window).collect(),
        q_heads: geometry.q_heads,
        kv_heads: geometry.kv_heads,
        head_dim: geometry.head_dim,
        value_dim: geometry.value_dim,
        dtype: geometry.dtype.name().to_owned(),
        scale_bits: geometry.scale.to_bits(),
        index: Index {
            kind: parameters.kind.name().to_owned(),
            sink_tokens: parameters.sink_tokens,
            recent_tokens: parameters.recent_tokens,
            segment_tokens: parameters.segment_tokens,
            decode_segment_tokens: parameters.decode_segment_tokens,
            cluster_tokens: parameters.cluster_tokens,
            kmeans_iterations: parameters.kmeans_iterations,
            seed: parameters.seed,
        },
        softcap_bits: geometry.softcap.map(f32::to_bits),
        ttl_seconds: retention.ttl_seconds(),
        expendable: retention.expendable,
    };
    serde_json::to_vec(&record).map_err(Error::internal)
}

/// What the record of the collection with this label says; `place` is where it stands, as in "the catalog".
///
/// # Errors
/// `DataLoss` naming the collection, when it is no record or a newer build's.
pub(super) fn decode(label: &str, record: &[u8], place: &str) -> Result<Recorded, Error> {
    let refuse = |why: String| {
        let message = format!("the record of collection {label} in {place} {why}");
        Error::new(ErrorKind::DataLoss, message)
    };
    let damaged = |why: &dyn std::fmt::Display| refuse(format!("is not as it was written: {why}"));
    let record: serde_json::Value =
        serde_json::from_slice(record).map_err(|error| damaged(&error))?;
    match record.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version > u64::from(VERSION) => {
            return Err(refuse(format!(
                "has version {version}: expected at most {VERSION}, use the build that wrote it"
            )));
        }
        Some(_) => {}
        None => return Err(damaged(&"it has no version")),
    }
    let record: Record = serde_json::from_value(record).map_err(|error| damaged(&error))?;
    let named = CollectionName::new(&record.namespace, &record.name);
    Ok(Recorded {
        name: named.map_err(|invalid| damaged(&invalid))?,
        retention: Retention::new(record.ttl_seconds, record.expendable)
            .map_err(|invalid| damaged(&invalid))?,
        parameters: record
            .index
            .parameters()
            .and_then(|parameters| parameters.checked().ok())
            .ok_or_else(|| damaged(&"its index is none"))?,
        geometry: record
            .geometry()
            .and_then(|geometry| geometry.checked().ok())
            .ok_or_else(|| damaged(&"its geometry is none"))?,
    })
}

impl Record {
    fn geometry(self) -> Option<Geometry> {
        let kind = |window: u32| match window {
            0 => LayerKind::Full,
            window => LayerKind::Sliding { window },
        };
        Some(Geometry {
            layers: self.layers.into_iter().map(kind).collect(),
            dtype: Dtype::ALL
                .into_iter()
                .find(|dtype| dtype.name() == self.dtype)?,
            fingerprint: self.fingerprint,
            q_heads: self.q_heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            value_dim: self.value_dim,
            scale: f32::from_bits(self.scale_bits),
            softcap: self.softcap_bits.map(f32::from_bits),
        })
    }
}

impl Index {
    fn parameters(&self) -> Option<IndexParameters> {
        Some(IndexParameters {
            kind: IndexKind::ALL
                .into_iter()
                .find(|kind| kind.name() == self.kind)?,
            sink_tokens: self.sink_tokens,
            recent_tokens: self.recent_tokens,
            segment_tokens: self.segment_tokens,
            decode_segment_tokens: self.decode_segment_tokens,
            cluster_tokens: self.cluster_tokens,
            kmeans_iterations: self.kmeans_iterations,
            seed: self.seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(record: &[u8]) -> Result<Recorded, Error> {
        decode("default/a", record, "the catalog")
    }

    #[test]
    fn a_record_gives_the_collection_back_to_the_bit_and_a_newer_one_is_refused() {
        let name = CollectionName::new("ns/deep", "a/b").unwrap();
        let geometry = Geometry {
            fingerprint: "model \"quoted\"".into(),
            layers: vec![LayerKind::Full, LayerKind::Sliding { window: 7 }],
            q_heads: 4,
            kv_heads: 2,
            head_dim: 16,
            value_dim: 24,
            dtype: Dtype::F16,
            scale: 0.1,
            softcap: Some(30.1),
        };
        let parameters = IndexParameters {
            seed: u64::MAX,
            ..IndexParameters::DEFAULT.of_kind(IndexKind::Ivf)
        };
        let retention = Retention::new(77, true).unwrap();
        let record = encode(&name, &geometry, &parameters, retention).unwrap();
        let back = decoded(&record).unwrap();
        let back_geometry = back.geometry.clone();
        assert_eq!(
            (back.name, back.geometry, back.parameters, back.retention),
            (name, geometry, parameters, retention)
        );

        let text = String::from_utf8(record.clone()).unwrap();
        let (without, _) = text.split_once(",\"ttl_seconds\"").unwrap();
        let earlier = decoded(format!("{without}}}").as_bytes()).unwrap();
        assert_eq!(earlier.retention, Retention::default());
        let uncapped = Geometry {
            softcap: None,
            ..back_geometry
        };
        let record_of_old =
            encode(&earlier.name, &uncapped, &earlier.parameters, retention).unwrap();
        assert!(record_of_old.starts_with(b"{\"version\":1,"));
        let newer = text.replace("\"version\":2", "\"version\":3");
        let refused = decoded(newer.as_bytes()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DataLoss);
        assert!(refused.message().contains("version 3: expected at most 2"));
        for damaged in [&record[1..], b"{}", text.replace("f16", "f17").as_bytes()] {
            let refused = decoded(damaged).unwrap_err();
            assert!(refused.message().contains("default/a"), "{refused}");
        }
    }
}
