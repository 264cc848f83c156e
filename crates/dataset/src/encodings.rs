//! Rows as a model reads them.

use std::ops::Range;

use serde_json::json;
use tamis_artifact::{Fingerprint, Random};

use crate::source::{check_source, ids_of, read_at};
use crate::{DatasetError, Encoded, Encoder, Outcome, SampleId, Source};

/// Rows as tokens: a source and the encoder that reads it, or samples that are tokens already. Passes over a model take it.
///
/// Rows are tokenised as they are read, and nothing is kept of them. What is read has its position among these rows as
/// [`Encoded::index`]; a row that cannot be used is an [`Outcome::Unscorable`] with its reason.
#[derive(Clone, Debug)]
pub struct Encodings<'a> {
    rows: Rows<'a>,
    /// Positions in `rows`; all of them if `None`.
    positions: Option<Vec<usize>>,
}

#[derive(Clone, Copy)]
enum Rows<'a> {
    Source { source: &'a dyn Source, encoder: &'a Encoder },
    Given(&'a [Encoded]),
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source { source, .. } => write!(f, "{} rows of a source", source.len()),
            Self::Given(samples) => write!(f, "{} tokenised samples", samples.len()),
        }
    }
}

impl<'a> Encodings<'a> {
    /// The rows of `source`, tokenised by `encoder`.
    pub fn new(source: &'a dyn Source, encoder: &'a Encoder) -> Self {
        Self { rows: Rows::Source { source, encoder }, positions: None }
    }

    /// Samples that are tokens already.
    pub fn of(samples: &'a [Encoded]) -> Self {
        Self { rows: Rows::Given(samples), positions: None }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match (&self.positions, self.rows) {
            (Some(positions), _) => positions.len(),
            (None, Rows::Source { source, .. }) => source.len(),
            (None, Rows::Given(samples)) => samples.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows at these positions, which may repeat: where they stand among these is what they are joined by.
    ///
    /// # Errors
    /// [`DatasetError::Position`] for one beyond the end.
    pub fn at(&self, positions: &[usize]) -> Result<Self, DatasetError> {
        let there = |&position: &usize| self.there(position);
        let positions = positions.iter().map(there).collect::<Result<_, _>>()?;
        Ok(Self { rows: self.rows, positions: Some(positions) })
    }

    /// `count` of the rows, drawn without replacement (all of them if there are no more), in their order. The draw depends
    /// on `seed` and the number of rows alone.
    ///
    /// # Errors
    /// None; the signature is that of [`at`](Self::at).
    pub fn sample(&self, count: usize, seed: u64) -> Result<Self, DatasetError> {
        let count = count.min(self.len());
        self.at(&Random::keyed(seed, "sample of rows", "").sample(self.len(), count))
    }

    /// The rows at these positions as tokens, or the reason why there are none.
    ///
    /// # Errors
    /// What reading reports.
    pub fn read(&self, positions: &[usize]) -> Result<Vec<Outcome<Encoded>>, DatasetError> {
        let there: Vec<usize> =
            positions.iter().map(|&position| self.there(position)).collect::<Result<_, _>>()?;
        let outcomes = match self.rows {
            Rows::Source { source, encoder } => encoder.encode_all(&read_at(source, &there)?),
            Rows::Given(samples) => {
                there.iter().map(|&there| Outcome::Scored(samples[there].clone())).collect()
            }
        };
        Ok(outcomes.into_iter().zip(positions).map(|(row, &at)| placed(row, at)).collect())
    }

    /// Rows that follow each other.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_range(
        &self,
        positions: Range<usize>,
    ) -> Result<Vec<Outcome<Encoded>>, DatasetError> {
        self.read(&positions.collect::<Vec<_>>())
    }

    /// All rows, for small sets that are held in memory: those that can be used, and the others with their reasons.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_all(&self) -> Result<(Vec<Encoded>, Vec<crate::Skipped>), DatasetError> {
        let (mut usable, mut skipped) = (Vec::new(), Vec::new());
        for outcome in self.read_range(0..self.len())? {
            match outcome {
                Outcome::Scored(sample) => usable.push(sample),
                Outcome::Unscorable { id, index, reason } => {
                    skipped.push(crate::Skipped { id, index, reason });
                }
            }
        }
        Ok((usable, skipped))
    }

    /// The ids of all rows, read a part at a time.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn ids(&self) -> Result<Vec<SampleId>, DatasetError> {
        match self.rows {
            Rows::Given(samples) => {
                let id = |position| self.there(position).map(|there| samples[there].id.clone());
                (0..self.len()).map(id).collect()
            }
            Rows::Source { source, .. } => {
                let ids = ids_of(source)?;
                (0..self.len()).map(|at| self.there(at).map(|there| ids[there].clone())).collect()
            }
        }
    }

    /// Refuses rows that results could not be joined to: [`check_source`].
    ///
    /// # Errors
    /// An id that two rows have.
    pub fn check(&self) -> Result<(), DatasetError> {
        match self.rows {
            Rows::Source { source, .. } => check_source(source),
            Rows::Given(samples) => {
                let mut seen = std::collections::HashSet::new();
                match samples.iter().enumerate().find(|(_, sample)| !seen.insert(&sample.id)) {
                    Some((position, sample)) => {
                        Err(DatasetError::SameId { id: sample.id.clone(), position })
                    }
                    None => Ok(()),
                }
            }
        }
    }

    /// Names the rows, for [`Provenance::source`](tamis_artifact::Provenance::source).
    ///
    /// # Errors
    /// As [`Source::fingerprint`].
    pub fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        let of = match self.rows {
            Rows::Source { source, .. } => source.fingerprint()?,
            Rows::Given(samples) => {
                let content = given_hash(samples);
                Fingerprint::from(json!({ "tokens": content, "rows": samples.len() }))
            }
        };
        let Some(positions) = &self.positions else { return Ok(of) };
        let mut hasher = blake3::Hasher::new();
        for &position in positions {
            hasher.update(&(position as u64).to_le_bytes());
        }
        let hash = hasher.finalize().to_hex().to_string();
        let rows = positions.len();
        Ok(Fingerprint::from(json!({ "of": of.value(), "positions": hash, "rows": rows })))
    }

    /// Names how the rows become tokens, for [`Provenance::encoder`](tamis_artifact::Provenance::encoder).
    pub fn encoder_fingerprint(&self) -> Fingerprint {
        match self.rows {
            Rows::Source { encoder, .. } => Fingerprint::from(encoder.description()),
            Rows::Given(_) => Fingerprint::from("tokenised before"),
        }
    }

    /// Where a row stands in `rows`.
    fn there(&self, position: usize) -> Result<usize, DatasetError> {
        let beyond = DatasetError::Position { position, len: self.len() };
        match &self.positions {
            Some(positions) => positions.get(position).copied().ok_or(beyond),
            None if position < self.len() => Ok(position),
            None => Err(beyond),
        }
    }
}

fn placed(outcome: Outcome<Encoded>, position: usize) -> Outcome<Encoded> {
    match outcome {
        Outcome::Scored(sample) => Outcome::Scored(Encoded { index: position, ..sample }),
        Outcome::Unscorable { id, reason, .. } => {
            Outcome::Unscorable { id, index: position, reason }
        }
    }
}

fn given_hash(samples: &[Encoded]) -> String {
    let mut hasher = blake3::Hasher::new();
    for sample in samples {
        hasher.update(&(sample.id.as_str().len() as u64).to_le_bytes());
        hasher.update(sample.id.as_str().as_bytes());
        hasher.update(&(sample.ids.len() as u64).to_le_bytes());
        for (token, &supervised) in sample.ids.iter().zip(&sample.supervised) {
            hasher.update(&token.to_le_bytes());
            hasher.update(&[u8::from(supervised)]);
        }
    }
    hasher.finalize().to_hex().to_string()
}
