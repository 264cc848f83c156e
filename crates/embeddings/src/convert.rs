//! Numbers of other kinds, turned into f32 once.

use half::{bf16, f16};
use rayon::prelude::*;

/// How a number is stored, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    F16,
    Bf16,
    F32,
    F64,
}

impl Number {
    /// Bytes of one.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// All numbers of `bytes`, a whole number of them, as f32. What f32 cannot hold becomes
    /// infinite, and is then refused like any other infinity.
    pub(crate) fn convert(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F16 => each(bytes, |two| f16::from_le_bytes(two).to_f32()),
            Self::Bf16 => each(bytes, |two| bf16::from_le_bytes(two).to_f32()),
            Self::F32 => each(bytes, f32::from_le_bytes),
            Self::F64 => each(bytes, |eight| f64::from_le_bytes(eight) as f32),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.par_iter().map(|&bytes| number(bytes)).collect()
}
