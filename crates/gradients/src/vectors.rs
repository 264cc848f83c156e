//! Stored rows as what selection works on: read from the disk as they are asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use tamis_selection::vectors::{Vectors, VectorsError};

use crate::pack::codes;
use crate::shard::locate;
use crate::store::shard_name;
use crate::{GradientError, RowStore, RowType};

/// Rows of a [`RowStore`] as f32 numbers, left on the disk in the type they are stored in: a block is read and
/// turned into numbers when it is asked for.
///
/// In memory there are 8 bytes for every row wanted and, of packed rows, the scale of every row of the
/// store. Every shard is checked against its checksum once, when the rows are looked up.
#[derive(Debug)]
pub struct GradientVectors {
    dtype: RowType,
    width: usize,
    /// Of a stored row, without its scale.
    row_bytes: usize,
    shards: Vec<Shard>,
    /// Shard and place in it of every row.
    places: Vec<(u32, u32)>,
    unit: bool,
}

/// Where the rows of a shard are.
#[derive(Debug)]
struct Shard {
    path: PathBuf,
    /// Bytes before the first row.
    offset: u64,
    /// Of each row; none for floats.
    scales: Vec<f32>,
}

impl GradientVectors {
    /// The rows of the samples at `indices` of the pool, one for each index in the order given, also where an
    /// index is repeated.
    ///
    /// # Errors
    /// A sample without a row, or a shard that is missing or damaged.
    pub fn new(store: &RowStore, indices: &[usize]) -> Result<Self, GradientError> {
        let mut wanted: HashMap<usize, Vec<usize>> = HashMap::new();
        for (place, &index) in indices.iter().enumerate() {
            wanted.entry(index).or_default().push(place);
        }
        let dtype = store.dtype();
        let mut vectors = Self {
            dtype,
            width: 0,
            row_bytes: 0,
            shards: Vec::new(),
            places: vec![(0, 0); indices.len()],
            unit: false,
        };
        for number in 0..store.artifact().shards().len() {
            let name = shard_name(number);
            let found = locate(&store.artifact().read(&name)?, dtype, &name)?;
            // A shard whose samples were all skipped says nothing of the width.
            if !found.indices.is_empty() {
                let first = vectors.width == 0;
                if !first && found.width != vectors.width {
                    let reason = format!("rows of {}, before {}", found.width, vectors.width);
                    return Err(GradientError::Shard { shard: name, reason });
                }
                vectors.width = found.width;
            }
            for (row, index) in (0u32..).zip(found.indices) {
                for place in wanted.remove(&index).into_iter().flatten() {
                    vectors.places[place] = (number as u32, row);
                }
            }
            let path = store.artifact().dir().join(&name);
            vectors.shards.push(Shard { path, offset: found.offset, scales: found.scales });
        }
        if let Some(&index) = wanted.keys().min() {
            return Err(GradientError::NoRow { index });
        }
        vectors.row_bytes = dtype.number_bytes(vectors.width);
        Ok(vectors)
    }

    /// The same rows scaled to length 1; a row of zeros stays one.
    #[must_use]
    pub fn unit(self) -> Self {
        Self { unit: true, ..self }
    }

    /// Adds the numbers of neighbouring rows of a shard.
    fn read(
        &self,
        (shard, first): (u32, u32),
        bytes: &mut [u8],
        into: &mut [f32],
    ) -> io::Result<()> {
        let shard = &self.shards[shard as usize];
        let from = shard.offset + u64::from(first) * self.row_bytes as u64;
        let mut file = File::open(&shard.path)?;
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(bytes)?;
        let rows = bytes.chunks_exact(self.row_bytes).zip(into.chunks_exact_mut(self.width));
        for (row, (bytes, into)) in (first as usize..).zip(rows) {
            match self.dtype {
                RowType::F32 => {
                    for (to, bytes) in into.iter_mut().zip(bytes.as_chunks::<4>().0) {
                        *to = f32::from_le_bytes(*bytes);
                    }
                }
                RowType::F16 => halves(bytes, f16::from_le_bytes, into),
                RowType::Bf16 => halves(bytes, bf16::from_le_bytes, into),
                RowType::Int8 | RowType::Int4 | RowType::Sign => {
                    let scale = shard.scales[row];
                    let codes = codes(bytes, self.dtype, self.width);
                    into.iter_mut().zip(codes).for_each(|(to, code)| *to = scale * code);
                }
            }
            if self.unit {
                let length = into.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                if length > 0.0 {
                    for x in into.iter_mut() {
                        *x = (f64::from(*x) / length) as f32;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Turns numbers of 16 bits into f32, some at a time with the instructions that the processor has for it.
fn halves<T: Copy + Default>(bytes: &[u8], from: fn([u8; 2]) -> T, into: &mut [f32])
where
    [T]: HalfFloatSliceExt,
{
    const PART: usize = 1024;
    let mut part = [T::default(); PART];
    let numbers = bytes.as_chunks::<2>().0.chunks(PART);
    for (bytes, into) in numbers.zip(into.chunks_mut(PART)) {
        part.iter_mut().zip(bytes).for_each(|(to, bytes)| *to = from(*bytes));
        part[..into.len()].convert_to_f32_slice(into);
    }
}

impl Vectors for GradientVectors {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], VectorsError> {
        scratch.resize(count * self.width, 0.0);
        let mut rest = scratch.as_mut_slice();
        let mut bytes = Vec::new();
        let neighbours = |a: &(u32, u32), b: &(u32, u32)| a.0 == b.0 && a.1 + 1 == b.1;
        for run in self.places[first..first + count].chunk_by(neighbours) {
            let (into, left) = rest.split_at_mut(run.len() * self.width);
            rest = left;
            if self.width == 0 {
                continue;
            }
            bytes.resize(run.len() * self.row_bytes, 0);
            self.read(run[0], &mut bytes, into).map_err(|source| {
                let path = self.shards[run[0].0 as usize].path.display();
                VectorsError::new(format!("cannot read rows of {path}: {source}"))
            })?;
        }
        Ok(scratch)
    }
}
