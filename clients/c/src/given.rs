//! What C passes in: names and tensors, checked and copied.

use std::ffi::{CStr, c_char, c_void};

use bytes::Bytes;
use wavekv_client::wire;

use crate::status::Failure;

/// Element type of a tensor.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavekvDtype {
    /// The upper half of an f32.
    Bf16 = 1,
    /// IEEE half precision.
    F16 = 2,
    /// IEEE single precision.
    F32 = 3,
}

/// Names a collection.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WavekvCollection {
    /// Null or empty: "default".
    pub name_space: *const c_char,
    /// Not null.
    pub name: *const c_char,
    /// Refused when another generation bears the name by now; 0: whichever does.
    pub generation: u64,
}

/// Names a layer of a collection.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WavekvLayer {
    /// Whose layer it is.
    pub collection: WavekvCollection,
    /// From 0.
    pub layer: u32,
}

/// A dense tensor `[tokens, heads, dim]`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WavekvTensor {
    /// Of its elements: a `WavekvDtype`.
    pub dtype: u32,
    /// Rows of heads.
    pub tokens: u32,
    /// KV heads of K and V, query heads of Q.
    pub heads: u32,
    /// Elements of a head.
    pub dim: u32,
    /// tokens * heads * dim elements, little-endian.
    pub data: *const c_void,
}

/// A reference to what a pointer points to, which may not be null.
///
/// # Safety
/// `pointer` is null or points to a T that nobody changes while the call lasts.
pub(crate) unsafe fn present<'a, T>(field: &str, pointer: *const T) -> Result<&'a T, Failure> {
    // SAFETY: not null by `as_ref`'s own check; the rest is the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| Failure::invalid(format!("{field} is null")))
}

/// So many items; any pointer will do for none.
///
/// # Safety
/// `items` is null or points to `count` items that nobody changes while the call lasts.
pub(crate) unsafe fn all<'a, T>(
    field: &str,
    items: *const T,
    count: usize,
) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if items.is_null() {
        return Err(Failure::invalid(format!("{field} is null, of {count}")));
    }
    // SAFETY: not null; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(items, count) })
}

/// The same, to be written.
///
/// # Safety
/// `items` is null or points to `count` items that are the call's alone while it lasts.
pub(crate) unsafe fn all_mut<'a, T>(
    field: &str,
    items: *mut T,
    count: usize,
) -> Result<&'a mut [T], Failure> {
    if count == 0 {
        return Ok(&mut []);
    }
    if items.is_null() {
        return Err(Failure::invalid(format!("{field} is null, of {count}")));
    }
    // SAFETY: not null; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts_mut(items, count) })
}

/// A text, which may be null where `otherwise` says what that means.
///
/// # Safety
/// `text` is null or points to bytes that end with 0.
pub(crate) unsafe fn text(
    field: &str,
    text: *const c_char,
    otherwise: Option<&str>,
) -> Result<String, Failure> {
    if text.is_null() {
        return match otherwise {
            Some(otherwise) => Ok(otherwise.to_owned()),
            None => Err(Failure::invalid(format!("{field} is null"))),
        };
    }
    // SAFETY: not null; that it ends with 0 is the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    let utf8 = text.to_str();
    Ok(utf8
        .map_err(|_| Failure::invalid(format!("{field} is {text:?}: expected UTF-8")))?
        .to_owned())
}

/// A collection by a pointer to its name.
///
/// # Safety
/// `collection` is null or may be read, and its texts are null or end with 0.
pub(crate) unsafe fn named(
    collection: *const WavekvCollection,
) -> Result<wire::CollectionRef, Failure> {
    // SAFETY: the caller's promise.
    let collection = unsafe { present("collection", collection) }?;
    // SAFETY: the caller's promise.
    unsafe { collection.wire() }
}

/// A layer by a pointer to its name.
///
/// # Safety
/// As [`named`].
pub(crate) unsafe fn layer_named(layer: *const WavekvLayer) -> Result<wire::LayerRef, Failure> {
    // SAFETY: the caller's promise.
    let layer = unsafe { present("layer", layer) }?;
    // SAFETY: the caller's promise.
    unsafe { layer.wire() }
}

impl WavekvCollection {
    /// As the contract has it.
    ///
    /// # Safety
    /// Its texts are null or end with 0.
    pub(crate) unsafe fn wire(&self) -> Result<wire::CollectionRef, Failure> {
        Ok(wire::CollectionRef {
            // SAFETY: the caller's promise.
            namespace: unsafe { text("collection.name_space", self.name_space, Some("")) }?,
            // SAFETY: the caller's promise.
            name: unsafe { text("collection.name", self.name, None) }?,
            generation: (self.generation > 0).then_some(self.generation),
        })
    }
}

impl WavekvLayer {
    /// As the contract has it.
    ///
    /// # Safety
    /// As [`WavekvCollection::wire`].
    pub(crate) unsafe fn wire(&self) -> Result<wire::LayerRef, Failure> {
        Ok(wire::LayerRef {
            // SAFETY: the caller's promise.
            collection: Some(unsafe { self.collection.wire() }?),
            layer: self.layer,
        })
    }
}

impl WavekvTensor {
    /// A copy, as the contract has it.
    ///
    /// # Safety
    /// `data` is null or points to all elements, which nobody changes while the call lasts.
    pub(crate) unsafe fn wire(&self, field: &str) -> Result<wire::Tensor, Failure> {
        let (dtype, size) = match self.dtype {
            1 => (wire::Dtype::Bf16, 2),
            2 => (wire::Dtype::F16, 2),
            3 => (wire::Dtype::F32, 4),
            other => {
                let sentence = format!("{field}.dtype is {other}: expected a WavekvDtype, 1 to 3");
                return Err(Failure::invalid(sentence));
            }
        };
        let shape = [self.tokens, self.heads, self.dim];
        let elements = shape
            .iter()
            .try_fold(size, |product: usize, &n| product.checked_mul(n as usize))
            .filter(|bytes| isize::try_from(*bytes).is_ok());
        let bytes = elements.ok_or_else(|| {
            Failure::invalid(format!(
                "{field} is of shape {shape:?}: expected less than memory"
            ))
        })?;
        // SAFETY: the caller's promise; `bytes` is the size of `shape`.
        let data = unsafe { all(field, self.data.cast::<u8>(), bytes) }?;
        Ok(wire::Tensor {
            dtype: dtype.into(),
            shape: shape.to_vec(),
            data: Bytes::copy_from_slice(data),
        })
    }
}
