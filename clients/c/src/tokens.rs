//! K and V: stored, clustered, given back.

use wavekv_client::{Batch, wire};

use crate::client::WavekvClient;
use crate::given::{WavekvLayer, WavekvTensor, all, all_mut, layer_named, present};
use crate::status::{Failure, WavekvStatus, told};

/// K `[tokens, kv_heads, head_dim]` and V `[tokens, kv_heads, value_dim]` of the tokens from position `start` on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WavekvInsert {
    /// Where they go.
    pub layer: WavekvLayer,
    /// Position of the first.
    pub start: u32,
    /// Keys.
    pub k: WavekvTensor,
    /// Values.
    pub v: WavekvTensor,
}

/// Keeps the statuses of a batch's entries where they are wanted; the first failure is the call's.
pub(crate) fn entries<T>(
    batch: Batch<T>,
    statuses: &mut [WavekvStatus],
    mut answer: impl FnMut(usize, T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut first = Ok(());
    for (index, result) in batch.results.into_iter().enumerate() {
        let done = result.map_err(Failure::from);
        let done = done.and_then(|outcome| answer(index, outcome));
        if let Some(status) = statuses.get_mut(index) {
            *status = done
                .as_ref()
                .err()
                .map_or(WavekvStatus::Ok, |failure| failure.status);
        }
        if first.is_ok() {
            first = done;
        }
    }
    first
}

/// Stores `count` entries, which fail alone: `statuses` (one each, or null) says which, and the call's own status and sentence
/// are those of the first that failed. `lengths` (one each, or null) are the layers' lengths afterwards.
///
/// # Safety
/// Pointers are null or point to what they say, texts end with 0, and tensors have all elements of their shapes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_insert(
    client: *const WavekvClient,
    inserts: *const WavekvInsert,
    count: usize,
    lengths: *mut u32,
    statuses: *mut WavekvStatus,
) -> WavekvStatus {
    told(|| {
        // SAFETY: the caller's promise.
        let client = unsafe { present("client", client) }?;
        // SAFETY: the caller's promise.
        let inserts = unsafe { all("inserts", inserts, count) }?;
        // SAFETY: the caller's promise.
        let lengths = unsafe { all_mut("lengths", lengths, wanted(lengths, count)) }?;
        // SAFETY: the caller's promise.
        let statuses = unsafe { all_mut("statuses", statuses, wanted(statuses, count)) }?;
        // SAFETY: the caller's promise.
        let sent = inserts.iter().map(|insert| unsafe { insert.wire() });
        let batch = client.inner.insert(sent.collect::<Result<_, _>>()?)?;
        entries(batch, statuses, |index, outcome| {
            if let Some(length) = lengths.get_mut(index) {
                *length = outcome.length;
            }
            Ok(())
        })
    })
}

/// The count of an array that may be null.
pub(crate) fn wanted<T>(items: *mut T, count: usize) -> usize {
    if items.is_null() { 0 } else { count }
}

impl WavekvInsert {
    /// As the contract has it.
    ///
    /// # Safety
    /// As [`wavekv_insert`].
    pub(crate) unsafe fn wire(&self) -> Result<wire::InsertEntry, Failure> {
        Ok(wire::InsertEntry {
            // SAFETY: the caller's promise.
            layer: Some(unsafe { self.layer.wire() }?),
            start_position: self.start,
            // SAFETY: the caller's promise.
            k: Some(unsafe { self.k.wire("k") }?),
            // SAFETY: the caller's promise.
            v: Some(unsafe { self.v.wire("v") }?),
        })
    }
}

/// Clusters a layer's pending tail now, and returns when it is done.
///
/// # Safety
/// As `wavekv_insert`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_segment_cluster(
    client: *const WavekvClient,
    layer: *const WavekvLayer,
) -> WavekvStatus {
    told(|| {
        // SAFETY: the caller's promise.
        let client = unsafe { present("client", client) }?;
        // SAFETY: the caller's promise.
        let layer = unsafe { layer_named(layer) }?;
        client.inner.segment_cluster_one(layer)?;
        Ok(())
    })
}

/// Gives back K and V of the tokens [start, end) of a layer, as they are stored: `k` has room for `k_bytes` and `v` for `v_bytes`,
/// which must be what the tokens take.
///
/// # Safety
/// As `wavekv_insert`; `k` and `v` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_fetch(
    client: *const WavekvClient,
    layer: *const WavekvLayer,
    start: u32,
    end: u32,
    k: *mut u8,
    k_bytes: usize,
    v: *mut u8,
    v_bytes: usize,
) -> WavekvStatus {
    told(|| {
        // SAFETY: the caller's promise.
        let client = unsafe { present("client", client) }?;
        // SAFETY: the caller's promise.
        let layer = unsafe { layer_named(layer) }?;
        // SAFETY: the caller's promise.
        let k = unsafe { all_mut("k", k, k_bytes) }?;
        // SAFETY: the caller's promise.
        let v = unsafe { all_mut("v", v, v_bytes) }?;
        let range = wire::TokenRange { start, end };
        let fetched = client.inner.fetch_one(wire::FetchEntry {
            layer: Some(layer),
            what: Some(wire::fetch_entry::What::Range(range)),
        })?;
        written("k", k, &fetched.k.unwrap_or_default().data)?;
        written("v", v, &fetched.v.unwrap_or_default().data)
    })
}

/// Copies an answer to where the caller wants it, if that has its size.
pub(crate) fn written(field: &str, into: &mut [u8], bytes: &[u8]) -> Result<(), Failure> {
    if into.len() != bytes.len() {
        let (room, needed) = (into.len(), bytes.len());
        let sentence = format!("{field} has room for {room} bytes: expected {needed}");
        return Err(Failure::invalid(sentence));
    }
    into.copy_from_slice(bytes);
    Ok(())
}
