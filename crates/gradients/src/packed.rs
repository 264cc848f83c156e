//! Rows as they are stored, multiplied without unpacking them.

use rayon::prelude::*;
use tamis_artifact::ParameterError;
use tamis_dataset::Skipped;
use tch::{Device, Kind, Tensor};

use crate::pack::codes;
use crate::planes::{PAD, Queries};
use crate::{GradientError, RowInfo, RowShard, RowType};

/// Rows of a task; floats are converted so many at a time.
const TASK: usize = 64;

/// One shard with its rows as they are stored.
#[derive(Debug)]
pub struct PackedShard {
    /// One entry a row.
    pub infos: Vec<RowInfo>,
    /// The rows.
    pub rows: PackedRows,
    /// Samples of the same stretch of the pool that have no row.
    pub skipped: Vec<Skipped>,
}

impl PackedShard {
    /// The shard with its rows as numbers, in [`RowType::kind`].
    ///
    /// # Errors
    /// Those of LibTorch.
    pub fn unpack(self) -> Result<RowShard, GradientError> {
        Ok(RowShard { infos: self.infos, rows: self.rows.unpack()?, skipped: self.skipped })
    }
}

/// Rows in the type they are stored in, which products are taken of as they are: a store of a few bits
/// a number needs no more memory than its files do.
#[derive(Debug)]
pub struct PackedRows {
    dtype: RowType,
    count: usize,
    width: usize,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    /// (count, width) of [`RowType::kind`].
    Floats(Tensor),
    Packed {
        /// Codes of each row, little-endian, padded with zeros to [`Self::words`].
        words: Vec<u32>,
        /// Of each row.
        per_row: usize,
        scales: Vec<f32>,
    },
}

impl PackedRows {
    /// Rows of floats: (count, width).
    pub(crate) fn floats(rows: Tensor, dtype: RowType) -> Result<Self, GradientError> {
        let (count, width) = rows.size2()?;
        let (count, width) = (count as usize, width as usize);
        Ok(Self { dtype, count, width, numbers: Numbers::Floats(rows) })
    }

    /// Packed rows of `width` numbers, one after the other, and their scales.
    pub(crate) fn packed(bytes: &[u8], scales: Vec<f32>, width: usize, dtype: RowType) -> Self {
        let row_bytes = (width * dtype.bits()).div_ceil(8);
        let per_row = row_bytes.div_ceil(4).next_multiple_of(PAD);
        let mut words = vec![0u32; scales.len() * per_row];
        if row_bytes > 0 {
            for (words, bytes) in words.chunks_mut(per_row).zip(bytes.chunks(row_bytes)) {
                let (whole, rest) = bytes.as_chunks::<4>();
                for (word, bytes) in words.iter_mut().zip(whole) {
                    *word = u32::from_le_bytes(*bytes);
                }
                let last = rest.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
                if let Some(word) = words.get_mut(whole.len()) {
                    *word = last;
                }
            }
        }
        let count = scales.len();
        Self { dtype, count, width, numbers: Numbers::Packed { words, per_row, scales } }
    }

    /// The type they are stored in.
    pub fn dtype(&self) -> RowType {
        self.dtype
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The product of every row, as it is read, with every one of `queries` (queries, width): (rows,
    /// queries) in f32 on the CPU.
    ///
    /// A row of cosines needs the product divided by [`norms`](Self::norms) and by those of the
    /// queries. Packed rows are multiplied by all threads of rayon, others by those of LibTorch.
    ///
    /// # Errors
    /// Queries of another width.
    pub fn dot(&self, queries: &Tensor) -> Result<Tensor, GradientError> {
        let shape = queries.size();
        if shape.len() != 2 || shape[1] as usize != self.width {
            let (found, expected) = (format!("{shape:?}"), "queries × the width of the rows");
            return Err(ParameterError::new("shape of the queries", found, expected).into());
        }
        let queries = queries.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let count = shape[0] as usize;
        if count == 0 || self.width == 0 || self.count == 0 {
            let options = (Kind::Float, Device::Cpu);
            return Ok(Tensor::f_zeros([self.count as i64, count as i64], options)?);
        }
        match &self.numbers {
            Numbers::Floats(rows) => by_parts(rows, |part| part.f_matmul(&queries.f_tr()?)),
            Numbers::Packed { words, per_row, scales } => {
                let flat = Vec::<f32>::try_from(queries.f_view([-1])?)?;
                let queries = Queries::new(&flat, self.width, *per_row, self.dtype.bits());
                let tasks = words.par_chunks(TASK * per_row).zip(scales.par_chunks(TASK));
                let sums: Vec<Vec<f32>> = tasks
                    .map(|(rows, scales)| {
                        let mut sums = queries.multiply(rows, *per_row);
                        for (sums, scale) in sums.chunks_mut(count).zip(scales) {
                            for sum in sums {
                                *sum *= scale;
                            }
                        }
                        sums
                    })
                    .collect();
                Ok(Tensor::f_from_slice(&sums.concat())?.f_view([-1, count as i64])?)
            }
        }
    }

    /// The L2 norm of every row, as it is read.
    ///
    /// # Errors
    /// Those of LibTorch.
    pub fn norms(&self) -> Result<Vec<f32>, GradientError> {
        match &self.numbers {
            Numbers::Floats(rows) if self.count > 0 => {
                let norms =
                    by_parts(rows, |part| part.f_norm_scalaropt_dim(2, [1i64].as_slice(), false))?;
                Ok(Vec::try_from(norms)?)
            }
            Numbers::Floats(_) => Ok(Vec::new()),
            Numbers::Packed { words, per_row, scales } => {
                let rows = words.par_chunks((*per_row).max(1)).zip(scales);
                let (dtype, width) = (self.dtype, self.width);
                let norm = |(words, scale): (&[u32], &f32)| {
                    (square(words, dtype, width) as f64).sqrt() as f32 * scale
                };
                Ok(rows.map(norm).collect())
            }
        }
    }

    /// The rows as numbers: (rows, width) in [`RowType::kind`].
    ///
    /// # Errors
    /// Those of LibTorch.
    pub fn unpack(self) -> Result<Tensor, GradientError> {
        let shape = [self.count as i64, self.width as i64];
        match self.numbers {
            Numbers::Floats(rows) => Ok(rows),
            Numbers::Packed { words, per_row, scales } => {
                let mut numbers = Vec::with_capacity(self.count * self.width);
                for (words, scale) in words.chunks(per_row.max(1)).zip(scales) {
                    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                    let codes = codes(&bytes, self.dtype, self.width);
                    numbers.extend(codes.map(|code| scale * code));
                }
                Ok(Tensor::f_from_slice(&numbers)?.f_view(shape)?)
            }
        }
    }
}

/// The sum of the squared codes of a row of `width` numbers, whose padding is zero.
fn square(words: &[u32], dtype: RowType, width: usize) -> u64 {
    let sum = |square: fn(u8) -> u64| -> u64 {
        words.iter().flat_map(|word| word.to_le_bytes()).map(square).sum()
    };
    match dtype {
        RowType::Sign => width as u64,
        RowType::Int4 => sum(|byte| {
            let (low, high) = (i64::from((byte << 4) as i8 >> 4), i64::from(byte as i8 >> 4));
            (low * low + high * high) as u64
        }),
        _ => sum(|byte| u64::from((byte as i8).unsigned_abs()).pow(2)),
    }
}

/// What `of` makes of the rows, some at a time in f32.
fn by_parts(
    rows: &Tensor,
    of: impl Fn(&Tensor) -> Result<Tensor, tch::TchError>,
) -> Result<Tensor, GradientError> {
    let parts: Result<Vec<Tensor>, tch::TchError> = rows
        .f_split(TASK as i64, 0)?
        .iter()
        .map(|part| of(&part.f_to_kind(Kind::Float)?))
        .collect();
    Ok(Tensor::f_cat(&parts?, 0)?)
}
