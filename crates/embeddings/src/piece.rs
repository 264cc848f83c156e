//! Consecutive rows in one piece: in memory, or in a mapped file.

use std::ops::Range;

use memmap2::Mmap;

use crate::convert::Number;
use crate::mapped::as_f32;

/// Consecutive rows, one after the other.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Converted, or made here.
    Memory(Vec<f32>),
    /// Little-endian f32 at `bytes` of a file; perhaps not aligned to four bytes.
    Mapped { map: Mmap, bytes: Range<usize> },
}

impl Piece {
    /// Numbers in it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Memory(values) => values.len(),
            Self::Mapped { bytes, .. } => bytes.len() / 4,
        }
    }

    /// All of them, where they need no copy.
    pub(crate) fn values(&self) -> Option<&[f32]> {
        match self {
            Self::Memory(values) => Some(values),
            Self::Mapped { map, bytes } => as_f32(&map[bytes.clone()]),
        }
    }

    /// Appends some of them to `into`.
    pub(crate) fn copy(&self, range: Range<usize>, into: &mut Vec<f32>) {
        match (self.values(), self) {
            (Some(values), _) => into.extend_from_slice(&values[range]),
            (None, Self::Mapped { map, bytes }) => {
                let bytes = &map[bytes.start + 4 * range.start..bytes.start + 4 * range.end];
                into.extend(bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)));
            }
            (None, Self::Memory(_)) => {} // in memory there are always values
        }
    }

    /// Rows of `number` at `bytes` of a file: left there if they are f32, else converted.
    pub(crate) fn of(map: Mmap, bytes: Range<usize>, number: Number) -> Self {
        match number {
            Number::F32 => Self::Mapped { map, bytes },
            other => Self::Memory(other.convert(&map[bytes])),
        }
    }
}
