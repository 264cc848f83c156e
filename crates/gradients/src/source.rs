//! Where a pass takes its samples from.

use std::ops::Range;

use tamis_artifact::Random;
use tamis_dataset::{Dataset, DatasetError, Encoded, Encoder, Outcome};

/// Tokenised samples that can be read a range at a time, so that a pass holds one shard of them.
pub trait Samples {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples at `positions`, or for each the reason it cannot be used.
    ///
    /// # Errors
    /// What reading or tokenising reports.
    fn read(&self, positions: Range<usize>) -> Result<Vec<Outcome<Encoded>>, DatasetError>;
}

/// A dataset on disk, tokenised as it is read.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// The rows.
    pub dataset: &'a Dataset,
    /// How they become tokens.
    pub encoder: &'a Encoder,
}

impl Samples for Pool<'_> {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn read(&self, positions: Range<usize>) -> Result<Vec<Outcome<Encoded>>, DatasetError> {
        Ok(self.encoder.encode_all(&self.dataset.read_range(positions)?))
    }
}

impl Samples for &[Encoded] {
    fn len(&self) -> usize {
        <[Encoded]>::len(self)
    }

    fn read(&self, positions: Range<usize>) -> Result<Vec<Outcome<Encoded>>, DatasetError> {
        Ok(self[positions].iter().cloned().map(Outcome::Scored).collect())
    }
}

impl Samples for Vec<Encoded> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn read(&self, positions: Range<usize>) -> Result<Vec<Outcome<Encoded>>, DatasetError> {
        Samples::read(&self.as_slice(), positions)
    }
}

/// Some samples of another source: drawn at random, which is what a fit takes that needs no more, or named.
#[derive(Clone)]
pub struct Drawn<'a> {
    samples: &'a dyn Samples,
    /// Positions in `samples`.
    positions: Vec<usize>,
}

impl<'a> Drawn<'a> {
    /// Draws `count` of `samples` without replacement (all of them if there are no more), in their
    /// order. The draw depends on `seed` and the number of samples alone.
    pub fn new(samples: &'a dyn Samples, count: usize, seed: u64) -> Self {
        let total = samples.len();
        let positions = Random::keyed(seed, "drawn samples", "").sample(total, count);
        Self { samples, positions }
    }

    /// Those at these positions, such as what other stages have left; positions beyond the source are errors when they
    /// are read.
    pub fn at(samples: &'a dyn Samples, positions: &[usize]) -> Self {
        Self { samples, positions: positions.to_vec() }
    }

    /// Positions in the source, ascending if they were drawn.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }
}

impl std::fmt::Debug for Drawn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawn").field("count", &self.positions.len()).finish_non_exhaustive()
    }
}

impl Samples for Drawn<'_> {
    fn len(&self) -> usize {
        self.positions.len()
    }

    fn read(&self, positions: Range<usize>) -> Result<Vec<Outcome<Encoded>>, DatasetError> {
        let mut read = Vec::with_capacity(positions.len());
        // Neighbours are read together.
        for run in self.positions[positions].chunk_by(|a, b| a + 1 == *b) {
            read.extend(self.samples.read(run[0]..run[0] + run.len())?);
        }
        Ok(read)
    }
}

/// Reads every sample and keeps those that can be used: for small sets, such as seeds.
///
/// # Errors
/// What reading or tokenising reports.
pub fn read_all(samples: &dyn Samples) -> Result<(Vec<Encoded>, Vec<Skipped>), DatasetError> {
    let (mut encoded, mut skipped) = (Vec::new(), Vec::new());
    for outcome in samples.read(0..samples.len())? {
        match outcome {
            Outcome::Scored(sample) => encoded.push(sample),
            Outcome::Unscorable { id, index, reason } => {
                skipped.push(Skipped { id, index, reason });
            }
        }
    }
    Ok((encoded, skipped))
}

/// A sample that has no row, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Skipped {
    /// Id of the sample.
    pub id: tamis_dataset::SampleId,
    /// Its row in the pool.
    pub index: usize,
    /// Why it has no row.
    pub reason: tamis_dataset::Reason,
}
