//! Insert: check, compare with what is stored, log, append. All or nothing.

use wavekv_kernels::convert::{self, BadNumbers};
use wavekv_storage::Patience;

use crate::collection::layer::{Layer, Snapshot};
use crate::collection::steady::filled_blocks;
use crate::model::{Error, ErrorKind, Geometry, Invalid, KvHead, NewTokens, TokenRange, limits};

/// An accepted insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// The layer's length afterwards.
    pub length: u32,
    /// Tokens that are stored now and were not before.
    pub stored: u32,
    /// Tokens that were stored before and were the same.
    pub already_stored: u32,
}

impl Layer {
    /// Appends `new`, whose K and V have the collection's dtype and the lengths of their shapes. Tokens that are stored
    /// already and are the same are passed over, so a retry is safe.
    ///
    /// # Errors
    /// With nothing stored: `InvalidArgument` for wrong lengths, NaN, infinity and magnitudes over the limit; `OutOfRange` when `new` begins after
    /// the layer's end or would pass `longest`; `AlreadyExists` when stored tokens differ; `ResourceExhausted` when the
    /// memory budget or the disk has no room; `Unavailable` when the disk does not work.
    pub fn insert(&self, new: &NewTokens, longest: u32) -> Result<Inserted, Error> {
        check_content(&self.fixed.geometry, new)?;
        let _turn = self.writer();
        let before = self.snapshot();
        let length = before.length();
        let end = checked_end(new, length, longest)?;
        let stored = TokenRange::new(new.start, end.min(length));
        before.check_same(new, stored)?;
        if end <= length {
            return Ok(Inserted {
                length,
                stored: 0,
                already_stored: new.tokens,
            });
        }
        let rest = without_first(&self.fixed.geometry, new, stored.tokens());
        let blocks = filled_blocks(&self.fixed, before.steady.new_cells(rest.range()), &rest)?;
        self.log_insert(&rest)?;
        // Let go of the last block, or appending would have to copy it.
        drop(before);
        self.swap(|state| state.steady.append(&self.fixed.geometry, &rest, blocks));
        Ok(Inserted {
            length: end,
            stored: end - length,
            already_stored: stored.tokens(),
        })
    }
}

impl Snapshot {
    /// Refuses `new` when a stored token of `range` has other bytes there.
    fn check_same(&self, new: &NewTokens, range: TokenRange) -> Result<(), Error> {
        let geometry = self.geometry();
        let heads = geometry.kv_heads as usize;
        let (key_bytes, value_bytes) = (geometry.key_bytes(), geometry.value_bytes());
        let mut differs: Option<u32> = None;
        for head in 0..heads {
            self.visit(
                KvHead(head as u32),
                range,
                Patience::Stand,
                |position, key, value| {
                    let row = (position - new.start) as usize * heads + head;
                    let same = &new.keys[row * key_bytes..][..key_bytes] == key
                        && &new.values[row * value_bytes..][..value_bytes] == value;
                    if !same {
                        differs = Some(differs.map_or(position, |first| first.min(position)));
                    }
                },
            )?;
        }
        let Some(position) = differs else {
            return Ok(());
        };
        let message = format!(
            "start_position is {}: the token at position {position} is stored with other bytes; expected the same \
             bytes, or start_position {}",
            new.start,
            self.length()
        );
        Err(Error::new(ErrorKind::AlreadyExists, message))
    }
}

fn check_content(geometry: &Geometry, new: &NewTokens) -> Result<(), Error> {
    let rows = new.tokens as usize * geometry.kv_heads as usize;
    let tensors = [
        ("k", &new.keys, geometry.key_bytes(), geometry.head_dim),
        ("v", &new.values, geometry.value_bytes(), geometry.value_dim),
    ];
    for (field, bytes, row_bytes, dim) in tensors {
        if bytes.len() != rows * row_bytes {
            return Err(Invalid::new(
                field,
                format!("{} bytes long", bytes.len()),
                format!("{} bytes, {rows} rows of {row_bytes}", rows * row_bytes),
            )
            .into());
        }
        match convert::check_magnitudes(bytes, geometry.dtype) {
            Ok(()) => {}
            Err(BadNumbers::Element { index, value }) => {
                let (row, at) = (index / dim as usize, index % dim as usize);
                let (token, head) = (
                    row / geometry.kv_heads as usize,
                    row % geometry.kv_heads as usize,
                );
                let value = format!("{value:e} at [{token}, {head}, {at}]");
                return Err(Invalid::new(field, value, limits::MAGNITUDE).into());
            }
            Err(BadNumbers::Shape(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

fn checked_end(new: &NewTokens, length: u32, longest: u32) -> Result<u32, Error> {
    if new.start > length {
        let message = format!(
            "start_position is {}: expected {length}, the layer's length (or an earlier one, to repeat stored tokens)",
            new.start
        );
        return Err(Error::new(ErrorKind::OutOfRange, message));
    }
    match new.start.checked_add(new.tokens) {
        Some(end) if end <= longest => Ok(end),
        _ => {
            let message = format!(
                "start_position is {} with {} tokens: expected the layer to stay within limits.max_tokens_per_layer \
                 ({longest})",
                new.start, new.tokens
            );
            Err(Error::new(ErrorKind::ResourceExhausted, message))
        }
    }
}

/// `new` without its first `skipped` tokens.
fn without_first(geometry: &Geometry, new: &NewTokens, skipped: u32) -> NewTokens {
    let rows = skipped as usize * geometry.kv_heads as usize;
    NewTokens {
        start: new.start + skipped,
        tokens: new.tokens - skipped,
        keys: new.keys.slice(rows * geometry.key_bytes()..),
        values: new.values.slice(rows * geometry.value_bytes()..),
    }
}
