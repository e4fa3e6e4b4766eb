//! The cache of a sequence in the daemon: what an engine has to do to keep no K and V of its own.

use candle_core::{DType, Device, Tensor};
use half::bf16;
use wavekv_client::blocking::Client;
use wavekv_client::wire::{
    AttendEntry, CollectionDescription, CollectionRef, CreateRequest, Dtype, ForkRequest, Geometry,
    InsertEntry, LayerKind, LayerRef, Tensor as WireTensor,
};
use wavekv_client::{ClientError, Mode};

use crate::{EngineError, KvCache, Shape, Used};

/// A collection of the daemon, in bf16, as the cache of one sequence.
#[derive(Debug)]
pub struct DaemonCache {
    client: Client,
    collection: CollectionRef,
    layers: usize,
    /// Stored tokens of each layer.
    lengths: Vec<u32>,
    mode: Mode,
    used: Used,
}

impl DaemonCache {
    /// Makes an empty collection for sequences of a model of this `shape`, whose weights `fingerprint` names.
    ///
    /// # Errors
    /// [`EngineError::Daemon`]; the name may be taken.
    pub fn create(
        client: &Client,
        name: &str,
        shape: &Shape,
        fingerprint: &str,
    ) -> Result<Self, EngineError> {
        let geometry = Geometry {
            fingerprint: fingerprint.to_owned(),
            layers: vec![LayerKind::default(); shape.layers],
            q_heads: shape.q_heads as u32,
            kv_heads: shape.kv_heads as u32,
            head_dim: shape.head_dim as u32,
            value_dim: shape.head_dim as u32,
            dtype: Dtype::Bf16.into(),
            scale: (shape.head_dim as f32).sqrt().recip(),
            softcap: 0.0,
        };
        let made = client.create(CreateRequest {
            collection: Some(CollectionRef {
                name: name.to_owned(),
                ..Default::default()
            }),
            geometry: Some(geometry),
            ..Default::default()
        })?;
        Ok(Self {
            client: client.clone(),
            collection: named(made),
            layers: shape.layers,
            lengths: vec![0; shape.layers],
            mode: Mode::Exact,
            used: Used::default(),
        })
    }

    /// A sequence that begins as this one does, and shares its tokens.
    ///
    /// # Errors
    /// [`EngineError::Daemon`]; the name may be taken.
    pub fn fork(&self, name: &str) -> Result<Self, EngineError> {
        let made = self.client.fork(ForkRequest {
            collection: Some(self.collection.clone()),
            name: name.to_owned(),
            ..Default::default()
        })?;
        Ok(Self {
            client: self.client.clone(),
            collection: named(made),
            layers: self.layers,
            lengths: self.lengths.clone(),
            mode: self.mode,
            used: Used::default(),
        })
    }

    /// Clusters now what the daemon would cluster soon, so that the next query finds it done.
    ///
    /// # Errors
    /// [`EngineError::Daemon`].
    pub fn cluster(&self) -> Result<(), EngineError> {
        let layer = |layer| LayerRef {
            collection: Some(self.collection.clone()),
            layer,
        };
        let layers = (0..self.layers as u32).map(layer).collect();
        for result in self.client.segment_cluster(layers)?.results {
            result?;
        }
        Ok(())
    }

    /// How queries are answered from now on. Pieces of a prompt want [`Mode::Exact`]: what is wrong there stays in K and V.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// What the answers cost since the last call of this.
    pub fn take_used(&mut self) -> Used {
        std::mem::take(&mut self.used)
    }

    /// Tokens of the sequence.
    pub fn len(&self) -> usize {
        self.lengths.iter().copied().min().unwrap_or(0) as usize
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Deletes the collection.
    ///
    /// # Errors
    /// [`EngineError::Daemon`].
    pub fn delete(self) -> Result<(), EngineError> {
        self.client.delete(self.collection)?;
        Ok(())
    }
}

impl KvCache for DaemonCache {
    /// One call: K and V are inserted, then the queries, which are the layer's last tokens, are answered.
    fn attend(
        &mut self,
        layer: usize,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<Tensor, EngineError> {
        let start_position = self.lengths[layer];
        let outcome = self.client.attend_one(AttendEntry {
            layer: Some(LayerRef {
                collection: Some(self.collection.clone()),
                layer: layer as u32,
            }),
            q: Some(wire(q)?),
            insert: Some(InsertEntry {
                layer: None,
                start_position,
                k: Some(wire(k)?),
                v: Some(wire(v)?),
            }),
            mode: Some(self.mode.wire()),
            ..Default::default()
        })?;
        let out = outcome.out.ok_or_else(|| missing("out"))?;
        self.used
            .add(&outcome.report.ok_or_else(|| missing("report"))?);
        self.lengths[layer] = outcome.length;
        let numbers: Vec<f32> = out
            .data
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect();
        Ok(Tensor::from_vec(numbers, q.shape(), &Device::Cpu)?)
    }
}

/// This collection, and no other that has its name later.
fn named(made: CollectionDescription) -> CollectionRef {
    CollectionRef {
        namespace: made.namespace,
        name: made.name,
        generation: Some(made.generation),
    }
}

/// What the daemon is to be sent: bf16, little-endian.
fn wire(tensor: &Tensor) -> Result<WireTensor, EngineError> {
    let shape = tensor.dims().iter().map(|&dim| dim as u32).collect();
    let numbers: Vec<bf16> = tensor.to_dtype(DType::BF16)?.flatten_all()?.to_vec1()?;
    let bytes = numbers.into_iter().flat_map(bf16::to_le_bytes);
    Ok(WireTensor {
        dtype: Dtype::Bf16.into(),
        shape,
        data: bytes.collect::<Vec<u8>>().into(),
    })
}

fn missing(field: &str) -> EngineError {
    EngineError::Daemon(ClientError::Protocol {
        what: format!("no {field} in the answer"),
    })
}
