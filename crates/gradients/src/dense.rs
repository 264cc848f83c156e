//! A dense random projection whose matrix is never in memory.

use tamis_artifact::Random;
use tch::{Device, Kind, Tensor};

use crate::GradientError;

/// Entries of the matrix that are made, multiplied by and forgotten at a time: few enough to be met
/// again in the cache.
const BLOCK: i64 = 1 << 20;

/// Rows of random signs, one for every entry of one named matrix of gradients.
///
/// The sign in row `r` and column `c` is bit `c` of the words `r · ⌈dim / 32⌉ …` of the generator keyed by
/// (seed, "rademacher", name): a function of these four alone, from which any row can be had without those before it.
#[derive(Debug)]
pub(crate) struct DenseSigns {
    seed: u64,
    name: String,
    dim: i64,
    /// The eight entries that each byte stands for, (256, 8), scaled to variance 1 / dim. So a device
    /// is sent a bit an entry.
    bytes: Tensor,
}

impl DenseSigns {
    pub(crate) fn new(
        name: &str,
        dim: usize,
        seed: u64,
        (kind, device): (Kind, Device),
    ) -> Result<Self, GradientError> {
        let scale = 1.0 / (dim as f64).sqrt();
        let bit = |n: usize| if (n / 8) >> (n % 8) & 1 == 1 { scale } else { -scale };
        let bytes: Vec<f64> = (0..256 * 8).map(bit).collect();
        let bytes = Tensor::f_from_slice(&bytes)?.f_view([256, 8])?;
        Ok(Self {
            seed,
            name: name.to_owned(),
            dim: dim as i64,
            bytes: bytes.f_to_kind(kind)?.f_to_device(device)?,
        })
    }

    pub(crate) fn device(&self) -> Device {
        self.bytes.device()
    }

    /// Rows `first..first + count` of the matrix, (count, dim).
    pub(crate) fn rows(&self, first: i64, count: i64) -> Result<Tensor, GradientError> {
        let words = (self.dim as u128).div_ceil(32);
        let mut random = Random::keyed(self.seed, "rademacher", &self.name);
        random.seek(first as u128 * words);
        let mut bits = vec![0u8; 4 * words as usize * count as usize];
        random.fill(&mut bits);
        let bits = Tensor::f_from_slice(&bits)?.f_to_device(self.bytes.device())?;
        let entries = self.bytes.f_index_select(0, &bits.f_to_kind(Kind::Int)?)?;
        Ok(entries.f_view([count, 32 * words as i64])?.f_narrow(1, 0, self.dim)?)
    }

    /// Adds the projection of the entries from `first` on, (rows, entries), to `rows` (rows, dim).
    pub(crate) fn add_from(
        &self,
        first: i64,
        values: &Tensor,
        rows: &mut Tensor,
    ) -> Result<(), GradientError> {
        let total = values.size2()?.1;
        let step = (BLOCK / self.dim).max(1);
        let values = values.f_to_kind(rows.kind())?;
        for start in (0..total).step_by(step as usize) {
            let count = step.min(total - start);
            let signs = self.rows(first + start, count)?.f_to_kind(rows.kind())?;
            let part = values.f_narrow(1, start, count)?;
            let _ = rows.f_addmm_(&part, &signs)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Bit by bit from the generator, in order.
    fn naive(name: &str, seed: u64, rows: usize, dim: usize) -> Vec<f64> {
        let mut random = Random::keyed(seed, "rademacher", name);
        let mut all = Vec::new();
        for _ in 0..rows {
            let words: Vec<u32> = (0..dim.div_ceil(32)).map(|_| random.next_u32()).collect();
            let sign = |c: usize| if words[c / 32] >> (c % 32) & 1 == 1 { 1.0 } else { -1.0 };
            all.extend((0..dim).map(|c| sign(c) / (dim as f64).sqrt()));
        }
        all
    }

    #[test]
    fn any_row_is_had_without_those_before_it() {
        for dim in [1, 31, 32, 50, 64] {
            let signs = DenseSigns::new("layer", dim, 7, (Kind::Double, Device::Cpu)).unwrap();
            let expected = naive("layer", 7, 9, dim);
            let of = |first, count| -> Vec<f64> {
                signs.rows(first, count).unwrap().flatten(0, -1).try_into().unwrap()
            };
            assert_eq!(of(0, 9), expected);
            assert_eq!(of(4, 3), expected[4 * dim..7 * dim]);
        }
    }

    #[test]
    fn blocks_add_up_to_the_product_with_the_whole_matrix() {
        // Two rows of the matrix fill a block.
        let dim = (BLOCK / 2) as usize;
        let signs = DenseSigns::new("layer", dim, 3, (Kind::Double, Device::Cpu)).unwrap();
        let values = Tensor::arange(15, (Kind::Double, Device::Cpu)).sin().view([3, 5]);
        let mut rows = Tensor::zeros([3, dim as i64], (Kind::Double, Device::Cpu));
        signs.add_from(2, &values, &mut rows).unwrap();
        let whole = naive("layer", 3, 7, dim);
        let whole = Tensor::from_slice(&whole[2 * dim..]).view([5, dim as i64]);
        let error = (rows - values.matmul(&whole)).abs().max().double_value(&[]);
        assert!(error < 1e-15, "{error:e}");
    }
}
