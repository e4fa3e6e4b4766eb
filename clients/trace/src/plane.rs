//! The K or the V of one layer, in the order of the files: all tokens of head 0, then of head 1, and so on.

use std::ops::Range;

use bytes::Bytes;

use crate::Dtype;

/// Vectors of every token and KV head: `[heads, tokens, dim]`, little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    pub(crate) data: Bytes,
    pub(crate) dtype: Dtype,
    pub(crate) heads: usize,
    pub(crate) tokens: usize,
    pub(crate) dim: usize,
}

impl Plane {
    /// A plane over `data`; none when the bytes are not exactly `heads * tokens * dim` elements.
    pub fn new(data: Bytes, dtype: Dtype, [heads, tokens, dim]: [usize; 3]) -> Option<Self> {
        let elements = heads.checked_mul(tokens)?.checked_mul(dim)?;
        let expected = elements.checked_mul(dtype.size())?;
        (data.len() == expected).then_some(Self {
            data,
            dtype,
            heads,
            tokens,
            dim,
        })
    }

    /// The bytes, `[heads, tokens, dim]`.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// `[heads, tokens, dim]`.
    pub fn shape(&self) -> [usize; 3] {
        [self.heads, self.tokens, self.dim]
    }

    /// The bytes of the tokens of `range`, `[tokens, heads, dim]`: the order in which the daemon takes them.
    /// What of the range lies beyond the plane's tokens is left out.
    pub fn tokens_major(&self, range: Range<usize>) -> Vec<u8> {
        let row = self.dim * self.dtype.size();
        let range = range.start..range.end.min(self.tokens);
        let mut rows = Vec::with_capacity(range.len() * self.heads * row);
        for token in range {
            for head in 0..self.heads {
                let start = (head * self.tokens + token) * row;
                rows.extend_from_slice(&self.data[start..start + row]);
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_major_puts_the_heads_of_a_token_side_by_side() {
        let data = Dtype::F16.encode(&[0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        let plane = Plane::new(data.into(), Dtype::F16, [2, 3, 1]).unwrap();
        assert_eq!(
            Dtype::F16.decode(&plane.tokens_major(1..3)),
            [1.0, 11.0, 2.0, 12.0]
        );
        assert_eq!(Dtype::F16.decode(&plane.tokens_major(2..9)), [2.0, 12.0]);
        assert!(plane.tokens_major(7..9).is_empty());
    }

    #[test]
    fn bytes_that_do_not_fit_the_shape_are_refused() {
        assert!(Plane::new(vec![0; 12].into(), Dtype::F32, [1, 2, 2]).is_none());
        assert!(Plane::new(Bytes::new(), Dtype::F32, [usize::MAX, 2, 2]).is_none());
    }
}
