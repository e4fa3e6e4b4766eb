//! What the vectors of a collection are; fixed when it is created.

use wavekv_kernels::Dtype;

use crate::model::{IndexKind, Invalid, LayerId, TokenRange, limits};

/// How one layer attends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// Every earlier token.
    Full,
    /// The last `window` tokens, the query's own included.
    Sliding {
        /// At least 1.
        window: u32,
    },
}

impl LayerKind {
    /// The positions that a query at `position` sees: causal, and within the window.
    pub fn visible_to(self, position: u32) -> TokenRange {
        let end = position.saturating_add(1);
        match self {
            Self::Full => TokenRange::new(0, end),
            Self::Sliding { window } => TokenRange::new(end.saturating_sub(window), end),
        }
    }
}

/// The shape, type and meaning of K, V and Q.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// Given by the engine: model, revision, RoPE settings.
    pub fingerprint: String,
    /// Every layer.
    pub layers: Vec<LayerKind>,
    /// Query heads of a layer.
    pub q_heads: u32,
    /// KV heads of a layer.
    pub kv_heads: u32,
    /// Of K and Q.
    pub head_dim: u32,
    /// Of V and the output.
    pub value_dim: u32,
    /// Of K and V as stored.
    pub dtype: Dtype,
    /// Scores are `scale * q.k`.
    pub scale: f32,
    /// Or `c tanh(scale * q.k / c)` with this `c`. Only where everything is computed: see [`Geometry::suits`].
    pub softcap: Option<f32>,
}

impl Geometry {
    /// That of a collection of which nobody knows it: the only one without layers.
    pub fn unknown() -> Self {
        Self {
            fingerprint: String::new(),
            layers: vec![],
            q_heads: 1,
            kv_heads: 1,
            head_dim: *limits::HEAD_DIM.start(),
            value_dim: *limits::HEAD_DIM.start(),
            dtype: Dtype::Bf16,
            scale: 1.0,
            softcap: None,
        }
    }

    /// Whether it is a collection's.
    pub fn is_known(&self) -> bool {
        !self.layers.is_empty()
    }

    /// This geometry when all of it is within the limits.
    ///
    /// # Errors
    /// [`Invalid`] naming the first field that is not.
    pub fn checked(self) -> Result<Self, Invalid> {
        if self.fingerprint.len() > limits::FINGERPRINT_BYTES {
            return Err(Invalid::new(
                "fingerprint",
                format!("{} bytes long", self.fingerprint.len()),
                format!("at most {} bytes", limits::FINGERPRINT_BYTES),
            ));
        }
        if !limits::LAYERS.contains(&self.layers.len()) {
            return Err(Invalid::new(
                "layers",
                format!("{} entries long", self.layers.len()),
                format!(
                    "{} to {} entries",
                    limits::LAYERS.start(),
                    limits::LAYERS.end()
                ),
            ));
        }
        Invalid::unless_within("kv_heads", self.kv_heads, limits::KV_HEADS)?;
        let group = self.q_heads / self.kv_heads;
        if !self.q_heads.is_multiple_of(self.kv_heads) || !limits::GROUP.contains(&group) {
            return Err(Invalid::new(
                "q_heads",
                self.q_heads,
                format!(
                    "a multiple of kv_heads ({}) that gives groups of {} to {}",
                    self.kv_heads,
                    limits::GROUP.start(),
                    limits::GROUP.end()
                ),
            ));
        }
        Invalid::unless_within("head_dim", self.head_dim, limits::HEAD_DIM)?;
        Invalid::unless_within("value_dim", self.value_dim, limits::HEAD_DIM)?;
        if !(self.scale > 0.0 && self.scale <= limits::LARGEST_SCALE) {
            return Err(Invalid::new("scale", self.scale, "above 0, at most 1024"));
        }
        if let Some(cap) = self.softcap.filter(|cap| !limits::SOFTCAP.contains(cap)) {
            return Err(Invalid::new("softcap", cap, "0 for none, or 1 to 65536"));
        }
        Ok(self)
    }

    /// Whether an index of a kind finds what weighs most: that of scores which are capped is not known to any.
    pub fn suits(&self, kind: IndexKind) -> bool {
        self.softcap.is_none() || kind == IndexKind::Flat
    }

    /// Query heads that share one KV head.
    pub fn group(&self) -> usize {
        (self.q_heads / self.kv_heads) as usize
    }

    /// How a layer attends, when there is such a layer.
    pub fn kind(&self, layer: LayerId) -> Option<LayerKind> {
        self.layers.get(layer.index()).copied()
    }

    /// Bytes of K of one token of one KV head.
    pub fn key_bytes(&self) -> usize {
        self.head_dim as usize * self.dtype.size_of()
    }

    /// Bytes of V of one token of one KV head.
    pub fn value_bytes(&self) -> usize {
        self.value_dim as usize * self.dtype.size_of()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut Geometry);

    fn geometry() -> Geometry {
        Geometry {
            fingerprint: "test".into(),
            layers: vec![LayerKind::Full, LayerKind::Sliding { window: 4 }],
            q_heads: 8,
            kv_heads: 2,
            head_dim: 576,
            value_dim: 512,
            dtype: Dtype::Bf16,
            scale: 0.125,
            softcap: None,
        }
    }

    #[test]
    fn each_wrong_field_is_named() {
        assert!(geometry().checked().is_ok());
        let wrong: [(&str, Spoil); 14] = [
            ("fingerprint", |g| g.fingerprint = "x".repeat(513)),
            ("layers", |g| g.layers.clear()),
            ("kv_heads", |g| g.kv_heads = 0),
            ("q_heads", |g| g.q_heads = 7),
            ("q_heads", |g| g.q_heads = 66),
            ("q_heads", |g| g.q_heads = 0),
            ("head_dim", |g| g.head_dim = 577),
            ("value_dim", |g| g.value_dim = 15),
            ("scale", |g| g.scale = f32::NAN),
            ("scale", |g| g.scale = 0.0),
            ("scale", |g| g.scale = 1025.0),
            ("softcap", |g| g.softcap = Some(f32::NAN)),
            ("softcap", |g| g.softcap = Some(0.5)),
            ("softcap", |g| g.softcap = Some(f32::INFINITY)),
        ];
        for (field, spoil) in wrong {
            let mut geometry = geometry();
            spoil(&mut geometry);
            assert_eq!(geometry.checked().unwrap_err().field, field);
        }
    }

    #[test]
    fn capped_scores_want_no_index() {
        let capped = Geometry {
            softcap: Some(50.0),
            ..geometry()
        };
        for kind in IndexKind::ALL {
            assert!(geometry().suits(kind));
            assert_eq!(capped.suits(kind), kind == IndexKind::Flat);
        }
    }

    #[test]
    fn a_window_counts_the_query_itself() {
        assert_eq!(LayerKind::Full.visible_to(9), TokenRange::new(0, 10));
        assert_eq!(
            LayerKind::Sliding { window: 4 }.visible_to(9),
            TokenRange::new(6, 10)
        );
        assert_eq!(
            LayerKind::Sliding { window: 4 }.visible_to(1),
            TokenRange::new(0, 2)
        );
    }
}
