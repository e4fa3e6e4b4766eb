//! From fetched tokens to rows.

use std::sync::Arc;

use arrow_array::types::{Float16Type, Float32Type, UInt16Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, FixedSizeListArray, PrimitiveArray, RecordBatch,
    UInt32Array,
};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use wavekv_client::{ClientError, wire};

use crate::failure::Failure;

/// Arrow's key for the name of an extension type.
const EXTENSION_KEY: &str = "ARROW:extension:name";
/// Of the upper halves of 32-bit floating-point numbers.
const BFLOAT16: &str = "wavekv.bfloat16";

/// What the rows of a collection are.
#[derive(Debug)]
pub(crate) struct Table {
    schema: SchemaRef,
    heads: u32,
    /// Of K and V.
    dims: [u32; 2],
    dtype: wire::Dtype,
}

impl Table {
    /// Of a collection.
    pub(crate) fn of(described: &wire::CollectionDescription) -> Result<Self, Failure> {
        let unknown = || Failure::Client(malformed("a collection without its geometry"));
        let geometry = described.geometry.as_ref().ok_or_else(unknown)?;
        let dims = [geometry.head_dim, geometry.value_dim];
        let element = element(geometry.dtype()).ok_or_else(unknown)?;
        let number = |name| Field::new(name, DataType::UInt32, false);
        let vector = |name, dim: u32| {
            let list = DataType::FixedSizeList(Arc::new(element.clone()), dim as i32);
            Field::new(name, list, false)
        };
        let fields = vec![
            number("layer"),
            number("kv_head"),
            number("position"),
            vector("k", dims[0]),
            vector("v", dims[1]),
        ];
        let metadata = [
            ("wavekv.namespace", described.namespace.clone()),
            ("wavekv.name", described.name.clone()),
            ("wavekv.generation", described.generation.to_string()),
            ("wavekv.fingerprint", geometry.fingerprint.clone()),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
        Ok(Self {
            schema: Arc::new(Schema::new_with_metadata(fields, metadata)),
            heads: geometry.kv_heads,
            dims,
            dtype: geometry.dtype(),
        })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Bytes of K and V of so many tokens of a layer.
    pub(crate) fn bytes(&self, tokens: u32) -> u64 {
        let size = if self.dtype == wire::Dtype::F32 { 4 } else { 2 };
        let row = u64::from(self.dims[0]) + u64::from(self.dims[1]);
        u64::from(tokens) * u64::from(self.heads) * row * size
    }

    /// The rows of fetched tokens of a layer.
    pub(crate) fn batch(
        &self,
        layer: u32,
        fetched: &wire::FetchOutcome,
    ) -> Result<RecordBatch, Failure> {
        let heads = self.heads;
        let rows = fetched.positions.len() * heads as usize;
        let numbers = |numbers: Vec<u32>| -> ArrayRef { Arc::new(UInt32Array::from(numbers)) };
        let of_heads = fetched.positions.iter().flat_map(|_| 0..heads);
        let positions = fetched.positions.iter();
        let positions = positions.flat_map(|position| (0..heads).map(|_| *position));
        let columns = vec![
            numbers(vec![layer; rows]),
            numbers(of_heads.collect()),
            numbers(positions.collect()),
            self.vectors(3, fetched.k.as_ref(), rows)?,
            self.vectors(4, fetched.v.as_ref(), rows)?,
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|error| unfit(&error))
    }

    /// A tensor as the lists of a column.
    fn vectors(
        &self,
        column: usize,
        tensor: Option<&wire::Tensor>,
        rows: usize,
    ) -> Result<ArrayRef, Failure> {
        let tensor = tensor.ok_or_else(|| malformed("fetched tokens without K or V"))?;
        let DataType::FixedSizeList(element, dim) = self.schema.field(column).data_type() else {
            return Err(malformed("no lists").into());
        };
        if tensor.dtype() != self.dtype {
            return Err(malformed("K or V of another dtype").into());
        }
        match self.dtype {
            wire::Dtype::F32 => lists::<Float32Type>(element, *dim, &tensor.data, rows),
            wire::Dtype::F16 => lists::<Float16Type>(element, *dim, &tensor.data, rows),
            wire::Dtype::Bf16 | wire::Dtype::Unspecified => {
                lists::<UInt16Type>(element, *dim, &tensor.data, rows)
            }
        }
    }
}

fn lists<T: ArrowPrimitiveType>(
    element: &FieldRef,
    dim: i32,
    bytes: &[u8],
    rows: usize,
) -> Result<ArrayRef, Failure> {
    let elements = rows * dim as usize;
    if bytes.len() != elements * size_of::<T::Native>() {
        let sentence = format!(
            "{} bytes of K or V: expected {rows} rows of {dim}",
            bytes.len()
        );
        return Err(malformed(&sentence).into());
    }
    // A copy, which is aligned.
    let buffer = Buffer::from_slice_ref(bytes);
    let elements = PrimitiveArray::<T>::new(ScalarBuffer::new(buffer, 0, elements), None);
    let elements: Arc<dyn Array> = Arc::new(elements);
    let lists = FixedSizeListArray::try_new(Arc::clone(element), dim, elements, None);
    Ok(Arc::new(lists.map_err(|error| unfit(&error))?))
}

fn element(dtype: wire::Dtype) -> Option<Field> {
    let of = |data_type| Field::new("element", data_type, false);
    match dtype {
        wire::Dtype::Unspecified => None,
        wire::Dtype::F32 => Some(of(DataType::Float32)),
        wire::Dtype::F16 => Some(of(DataType::Float16)),
        wire::Dtype::Bf16 => {
            let extension = (EXTENSION_KEY.to_owned(), BFLOAT16.to_owned());
            Some(of(DataType::UInt16).with_metadata([extension]))
        }
    }
}

fn malformed(what: &str) -> ClientError {
    ClientError::Protocol {
        what: what.to_owned(),
    }
}

fn unfit(error: &ArrowError) -> Failure {
    malformed(&error.to_string()).into()
}
