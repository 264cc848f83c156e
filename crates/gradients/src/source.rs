//! Where a pass takes its samples from.

use std::ops::Range;

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
        self.encoder.encode_all(&self.dataset.read(positions)?)
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

/// The first `count` samples of another source.
#[derive(Clone, Copy)]
pub struct First<'a> {
    /// All samples.
    pub samples: &'a dyn Samples,
    /// How many of them, at most.
    pub count: usize,
}

impl std::fmt::Debug for First<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("First").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Samples for First<'_> {
    fn len(&self) -> usize {
        self.count.min(self.samples.len())
    }

    fn read(&self, positions: Range<usize>) -> Result<Vec<Outcome<Encoded>>, DatasetError> {
        self.samples.read(positions)
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
    pub reason: tamis_dataset::Unscorable,
}
