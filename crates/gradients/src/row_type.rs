//! The types rows are stored in.

use std::fmt;
use std::str::FromStr;

use safetensors::tensor::Dtype;
use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tch::Kind;

use crate::GradientError;

/// Number type rows are stored in.
///
/// Written `f32`, `f16`, `bf16`, `int8`, `int4` or `sign`. The last three are packed: whole numbers of
/// 8, 4 and 1 bits, and one f32 scale a row, after QLESS (arXiv 2502.01703). A number `x` of a row
/// becomes the code `c`, and is read as `scale · c`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowType {
    /// 32-bit floats.
    F32,
    /// IEEE half precision: 11 significant bits, magnitudes to 65,504.
    #[default]
    F16,
    /// bfloat16: 8 significant bits, the range of f32.
    Bf16,
    /// −127 … 127, one a byte; `scale = max |x| / 127`.
    Int8,
    /// −7 … 7, two a byte. The scale is the one with the least squared error among several: with
    /// `max |x| / 7` a few large numbers would leave most others at 0.
    Int4,
    /// −1 or 1, eight a byte; `scale = mean |x|`, which has the least squared error.
    Sign,
}

impl RowType {
    /// How they are written.
    pub(crate) const NAMES: &str = "f32, f16, bf16, int8, int4 or sign";
    const ALL: [Self; 6] = [Self::F32, Self::F16, Self::Bf16, Self::Int8, Self::Int4, Self::Sign];

    /// The type of the rows in LibTorch once they are read: that of packed rows is f32.
    pub fn kind(self) -> Kind {
        match self {
            Self::F16 => Kind::Half,
            Self::Bf16 => Kind::BFloat16,
            Self::F32 | Self::Int8 | Self::Int4 | Self::Sign => Kind::Float,
        }
    }

    /// Bits of a number.
    pub fn bits(self) -> usize {
        match self {
            Self::F32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::Int8 => 8,
            Self::Int4 => 4,
            Self::Sign => 1,
        }
    }

    /// Whether rows are whole numbers with a scale.
    pub fn is_packed(self) -> bool {
        self.bits() < 16
    }

    /// Whole bytes of `width` numbers, without the scale of a packed row.
    pub(crate) fn number_bytes(self, width: usize) -> usize {
        (width * self.bits()).div_ceil(8)
    }

    /// Bytes of a stored row of `width` numbers: the numbers in whole bytes, and the four of a packed
    /// row's scale.
    pub fn row_bytes(self, width: usize) -> usize {
        self.number_bytes(width) + if self.is_packed() { 4 } else { 0 }
    }

    /// The type in a file.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
            Self::Int8 => Dtype::I8,
            Self::Int4 | Self::Sign => Dtype::U8,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::Sign => "sign",
        }
    }
}

impl fmt::Display for RowType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RowType {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|t| t.name() == text)
            .ok_or_else(|| ParameterError::new("row type", text, Self::NAMES).into())
    }
}
