//! Collections: made, described, forked, cut, removed.

use std::ffi::c_char;

use wavekv_client::wire;

use crate::client::WavekvClient;
use crate::given::{WavekvCollection, all, named, present, text};
use crate::status::{Failure, WavekvStatus, told};

/// What finds the tokens that matter.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavekvIndex {
    /// The daemon's default.
    Default = 0,
    /// Clusters.
    Wave = 1,
    /// None: every token is read.
    Flat = 2,
    /// FAISS inverted lists.
    Ivf = 3,
    /// FAISS HNSW graphs.
    Hnsw = 4,
}

/// What stored tokens outlive.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavekvDurability {
    /// The daemon's default; of a fork, its source's.
    Default = 0,
    /// Nothing.
    None = 1,
    /// The daemon's process.
    Process = 2,
    /// A loss of power.
    Power = 3,
}

/// What the vectors of a collection are.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WavekvGeometry {
    /// Model, revision, RoPE settings.
    pub fingerprint: *const c_char,
    /// Number of layers.
    pub layers: u32,
    /// Of each layer: 0 for every earlier token, n for the last n. Null: 0 for all.
    pub sliding_windows: *const u32,
    /// A multiple of `kv_heads`.
    pub q_heads: u32,
    /// Heads of K and V.
    pub kv_heads: u32,
    /// Elements of a key.
    pub head_dim: u32,
    /// Elements of a value.
    pub value_dim: u32,
    /// Of K and V as they are stored: a `WavekvDtype`.
    pub dtype: u32,
    /// Scores are scale * q.k.
    pub scale: f32,
    /// Or, where it is not 0, softcap * tanh(scale * q.k / softcap): the index is flat then.
    pub softcap: f32,
}

/// A collection as it is now.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WavekvDescription {
    /// Distinguishes it from earlier ones of its name.
    pub generation: u64,
    /// Tokens that every layer has.
    pub length: u32,
    /// Number of layers.
    pub layers: u32,
    /// Query heads.
    pub q_heads: u32,
    /// KV heads.
    pub kv_heads: u32,
    /// Elements of a key.
    pub head_dim: u32,
    /// Elements of a value.
    pub value_dim: u32,
}

impl From<wire::CollectionDescription> for WavekvDescription {
    fn from(described: wire::CollectionDescription) -> Self {
        let geometry = described.geometry.unwrap_or_default();
        Self {
            generation: described.generation,
            length: described.length,
            layers: geometry.layers.len() as u32,
            q_heads: geometry.q_heads,
            kv_heads: geometry.kv_heads,
            head_dim: geometry.head_dim,
            value_dim: geometry.value_dim,
        }
    }
}

/// Writes a description where one is wanted.
///
/// # Safety
/// `into` is null or may be written.
unsafe fn describe(into: *mut WavekvDescription, described: wire::CollectionDescription) {
    // SAFETY: the caller's promise; null is nothing to write to.
    if let Some(into) = unsafe { into.as_mut() } {
        *into = described.into();
    }
}

/// Makes an empty collection. `index` is a `WavekvIndex` and `durability` a `WavekvDurability`; `description` may be null.
///
/// # Safety
/// Pointers are null or point to what they say, texts end with 0, and `sliding_windows` has one number a layer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_create(
    client: *const WavekvClient,
    collection: *const WavekvCollection,
    geometry: *const WavekvGeometry,
    index: u32,
    durability: u32,
    description: *mut WavekvDescription,
) -> WavekvStatus {
    told(|| {
        // SAFETY: the caller's promise.
        let client = unsafe { present("client", client) }?;
        // SAFETY: the caller's promise.
        let collection = unsafe { named(collection) }?;
        // SAFETY: the caller's promise.
        let geometry = unsafe { present("geometry", geometry) }?;
        let request = wire::CreateRequest {
            collection: Some(collection),
            // SAFETY: the caller's promise.
            geometry: Some(unsafe { geometry.wire() }?),
            index: (index > 0).then(|| wire::IndexParameters {
                kind: index as i32,
                ..Default::default()
            }),
            durability: durability as i32,
            ..Default::default()
        };
        let described = client.inner.create(request)?;
        // SAFETY: the caller's promise.
        unsafe { describe(description, described) };
        Ok(())
    })
}

impl WavekvGeometry {
    /// As the contract has it.
    ///
    /// # Safety
    /// As [`wavekv_create`].
    unsafe fn wire(&self) -> Result<wire::Geometry, Failure> {
        let windows = if self.sliding_windows.is_null() {
            vec![0; self.layers as usize]
        } else {
            let count = self.layers as usize;
            // SAFETY: the caller's promise.
            unsafe { all("geometry.sliding_windows", self.sliding_windows, count) }?.to_vec()
        };
        let layers = windows.into_iter();
        Ok(wire::Geometry {
            // SAFETY: the caller's promise.
            fingerprint: unsafe { text("geometry.fingerprint", self.fingerprint, Some("")) }?,
            layers: layers
                .map(|sliding_window| wire::LayerKind { sliding_window })
                .collect(),
            q_heads: self.q_heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            value_dim: self.value_dim,
            dtype: self.dtype as i32,
            scale: self.scale,
            softcap: self.softcap,
        })
    }
}

/// Describes a collection. With a `fingerprint` that is not null, it must be of that model.
///
/// # Safety
/// As `wavekv_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_get(
    client: *const WavekvClient,
    collection: *const WavekvCollection,
    fingerprint: *const c_char,
    description: *mut WavekvDescription,
) -> WavekvStatus {
    told(|| {
        // SAFETY: the caller's promise.
        let client = unsafe { present("client", client) }?;
        // SAFETY: the caller's promise.
        let collection = unsafe { named(collection) }?;
        // SAFETY: the caller's promise.
        let fingerprint = unsafe { text("fingerprint", fingerprint, Some("")) }?;
        let described = if fingerprint.is_empty() {
            client.inner.get(collection)?
        } else {
            client.inner.get_of_model(collection, &fingerprint)?
        };
        // SAFETY: the caller's promise.
        unsafe { describe(description, described) };
        Ok(())
    })
}

/// Makes the collection `name`, which begins with the first `length` tokens of another (`UINT32_MAX`: all of them) and shares
/// them with it.
///
/// # Safety
/// As `wavekv_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_fork(
    client: *const WavekvClient,
    collection: *const WavekvCollection,
    name: *const c_char,
    length: u32,
    durability: u32,
    description: *mut WavekvDescription,
) -> WavekvStatus {
    told(|| {
        // SAFETY: the caller's promise.
        let client = unsafe { present("client", client) }?;
        // SAFETY: the caller's promise.
        let collection = unsafe { named(collection) }?;
        let request = wire::ForkRequest {
            collection: Some(collection),
            // SAFETY: the caller's promise.
            name: unsafe { text("name", name, None) }?,
            length: (length < u32::MAX).then_some(length),
            durability: durability as i32,
        };
        let described = client.inner.fork(request)?;
        // SAFETY: the caller's promise.
        unsafe { describe(description, described) };
        Ok(())
    })
}

/// Drops the tokens from `length` on in every layer.
///
/// # Safety
/// As `wavekv_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_truncate(
    client: *const WavekvClient,
    collection: *const WavekvCollection,
    length: u32,
) -> WavekvStatus {
    told(|| {
        // SAFETY: the caller's promise.
        let client = unsafe { present("client", client) }?;
        // SAFETY: the caller's promise.
        let collection = unsafe { named(collection) }?;
        client.inner.truncate(collection, length)?;
        Ok(())
    })
}

/// Removes a collection and all that it holds.
///
/// # Safety
/// As `wavekv_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_delete(
    client: *const WavekvClient,
    collection: *const WavekvCollection,
) -> WavekvStatus {
    told(|| {
        // SAFETY: the caller's promise.
        let client = unsafe { present("client", client) }?;
        // SAFETY: the caller's promise.
        let collection = unsafe { named(collection) }?;
        client.inner.delete(collection)?;
        Ok(())
    })
}
