//! How the index of a collection is built; fixed when it is created.

use crate::model::{IndexKind, Invalid};

/// Kind, sizes and seed of the index. Counts are tokens of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexParameters {
    /// What finds the tokens that matter.
    pub kind: IndexKind,
    /// First tokens: always exact, never clustered.
    pub sink_tokens: u32,
    /// Last tokens: always exact, not clustered yet.
    pub recent_tokens: u32,
    /// Of a full segment.
    pub segment_tokens: u32,
    /// Of a segment sealed during decode; full segments are merged from these.
    pub decode_segment_tokens: u32,
    /// Of a cluster, on average.
    pub cluster_tokens: u32,
    /// Passes of each of the first two stages of the k-means; the third has three.
    pub kmeans_iterations: u32,
    /// The same tokens and seed give the same clusters.
    pub seed: u64,
}

impl IndexParameters {
    /// The parameters of RetroInfer (arXiv 2505.02922): 4 sink and 64 recent tokens, segments of 8192, 16 tokens a
    /// cluster. Fewer k-means passes than the paper's 10: more of them gained less than the stage that follows.
    pub const DEFAULT: Self = Self {
        kind: IndexKind::Wave,
        sink_tokens: 4,
        recent_tokens: 64,
        segment_tokens: 8192,
        decode_segment_tokens: 1024,
        cluster_tokens: 16,
        kmeans_iterations: 6,
        seed: 0,
    };

    /// Of a full segment of the kinds `ivf` and `hnsw`, whose every segment is searched by itself.
    pub const SEARCHED_SEGMENT_TOKENS: u32 = 65_536;
    /// Of a segment sealed during decode of these kinds: the tail, which is read whole, is shorter than this, and a cell
    /// that is growing has up to 16 segments to search.
    pub const SEARCHED_DECODE_SEGMENT_TOKENS: u32 = 4096;

    /// These parameters as they are for a collection of `kind` whose creator says no more.
    #[must_use]
    pub fn of_kind(self, kind: IndexKind) -> Self {
        match kind {
            IndexKind::Wave | IndexKind::Flat => Self { kind, ..self },
            IndexKind::Ivf | IndexKind::Hnsw => Self {
                kind,
                segment_tokens: Self::SEARCHED_SEGMENT_TOKENS,
                decode_segment_tokens: Self::SEARCHED_DECODE_SEGMENT_TOKENS,
                ..self
            },
        }
    }

    /// These parameters when all are within their ranges.
    ///
    /// # Errors
    /// [`Invalid`] naming the first that is not.
    pub fn checked(self) -> Result<Self, Invalid> {
        Invalid::unless_within("sink_tokens", self.sink_tokens, 0..=1024)?;
        Invalid::unless_within("recent_tokens", self.recent_tokens, 0..=8192)?;
        Invalid::unless_within("segment_tokens", self.segment_tokens, 64..=65_536)?;
        Invalid::unless_within(
            "decode_segment_tokens",
            self.decode_segment_tokens,
            16..=self.segment_tokens,
        )?;
        if !self
            .segment_tokens
            .is_multiple_of(self.decode_segment_tokens)
        {
            return Err(Invalid::new(
                "segment_tokens",
                self.segment_tokens,
                format!(
                    "a multiple of decode_segment_tokens ({})",
                    self.decode_segment_tokens
                ),
            ));
        }
        if self.sink_tokens >= self.segment_tokens {
            return Err(Invalid::new(
                "sink_tokens",
                self.sink_tokens,
                format!("less than segment_tokens ({})", self.segment_tokens),
            ));
        }
        Invalid::unless_within("cluster_tokens", self.cluster_tokens, 2..=64)?;
        Invalid::unless_within("kmeans_iterations", self.kmeans_iterations, 1..=64)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut IndexParameters);

    #[test]
    fn what_holds_for_a_kind_is_in_its_range() {
        for kind in IndexKind::ALL {
            let parameters = IndexParameters::DEFAULT.of_kind(kind);
            assert_eq!(parameters.checked(), Ok(parameters));
            assert_eq!(parameters.kind, kind);
        }
    }

    #[test]
    fn each_wrong_parameter_is_named() {
        assert!(IndexParameters::DEFAULT.checked().is_ok());
        let wrong: [(&str, Spoil); 8] = [
            ("sink_tokens", |p| p.sink_tokens = 1025),
            ("sink_tokens", |p| {
                p.sink_tokens = 64;
                p.segment_tokens = 64;
                p.decode_segment_tokens = 64;
            }),
            ("recent_tokens", |p| p.recent_tokens = 8193),
            ("segment_tokens", |p| p.segment_tokens = 63),
            ("segment_tokens", |p| p.segment_tokens = 8200),
            ("decode_segment_tokens", |p| p.decode_segment_tokens = 8193),
            ("cluster_tokens", |p| p.cluster_tokens = 1),
            ("kmeans_iterations", |p| p.kmeans_iterations = 0),
        ];
        for (field, spoil) in wrong {
            let mut parameters = IndexParameters::DEFAULT;
            spoil(&mut parameters);
            assert_eq!(parameters.checked().unwrap_err().field, field);
        }
    }
}
