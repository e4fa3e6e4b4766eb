//! Element types, and their conversion from and to little-endian bytes.

use std::fmt;
use std::str::FromStr;

use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};

/// Element type of K and V.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// The upper half of an f32: 8 bits of exponent, 7 of mantissa.
    Bf16,
    /// IEEE half precision: 5 bits of exponent, 10 of mantissa.
    F16,
    /// IEEE single precision.
    F32,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
        }
    }

    /// The numbers that little-endian `bytes` hold. An incomplete last element is left out.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let mut values = vec![0.0; bytes.len() / self.size()];
        match self {
            Self::F16 => {
                let halves: Vec<f16> = pairs(bytes).map(f16::from_le_bytes).collect();
                halves.convert_to_f32_slice(&mut values);
            }
            Self::Bf16 => {
                let halves: Vec<bf16> = pairs(bytes).map(bf16::from_le_bytes).collect();
                halves.convert_to_f32_slice(&mut values);
            }
            Self::F32 => {
                for (value, four) in values.iter_mut().zip(bytes.chunks_exact(4)) {
                    *value = f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
                }
            }
        }
        values
    }

    /// `values` rounded to the nearest element of this type, as little-endian bytes.
    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F16 => values
                .iter()
                .flat_map(|&x| f16::from_f32(x).to_le_bytes())
                .collect(),
            Self::Bf16 => values
                .iter()
                .flat_map(|&x| bf16::from_f32(x).to_le_bytes())
                .collect(),
            Self::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = [u8; 2]> {
    bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]])
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::F32 => "f32",
        })
    }
}

/// A name that is no [`Dtype`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dtype is {0:?}, expected bf16, f16 or f32")]
pub struct UnknownDtype(String);

impl FromStr for Dtype {
    type Err = UnknownDtype;

    fn from_str(name: &str) -> Result<Self, UnknownDtype> {
        match name {
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            "f32" => Ok(Self::F32),
            _ => Err(UnknownDtype(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_gives_back_what_it_can_represent() {
        let values = [0.0, -1.5, 0.25, 96.0];
        for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
            let bytes = dtype.encode(&values);
            assert_eq!(bytes.len(), 4 * dtype.size());
            assert_eq!(dtype.decode(&bytes), values);
            assert_eq!(dtype.to_string().parse(), Ok(dtype));
        }
        assert!(
            "f8".parse::<Dtype>()
                .unwrap_err()
                .to_string()
                .contains("expected bf16")
        );
    }
}
