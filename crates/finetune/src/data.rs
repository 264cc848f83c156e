//! Rows as training reads them: a few bytes of each are held, their tokens are read when they are needed.

use tamis_dataset::{Encoded, Encodings, Outcome, Reason, Skipped};
use tamis_model::ModelShape;

use crate::FinetuneError;

/// Rows that the checking pass tokenises at a time.
const CHECKED: usize = 1024;

/// Targets of a sample; its first token is never one, having nothing to be predicted from.
pub(crate) fn target_count(sample: &Encoded) -> usize {
    sample.supervised.iter().skip(1).filter(|&&supervised| supervised).count()
}

/// The rows that can be trained on, as positions and lengths; the tokens stay where they are.
pub(crate) struct Usable<'a> {
    rows: &'a Encodings<'a>,
    /// Where each usable row stands among all.
    positions: Vec<u32>,
    /// Tokens of each usable row.
    lengths: Vec<u32>,
    /// Supervised tokens of all usable rows.
    pub(crate) targets: usize,
    /// The other rows.
    pub(crate) skipped: Vec<Skipped>,
}

impl<'a> Usable<'a> {
    /// Reads all rows once, a part at a time, and finds those that can be trained on.
    pub(crate) fn find(shape: &ModelShape, rows: &'a Encodings<'a>) -> Result<Self, FinetuneError> {
        if rows.is_empty() {
            return Err(FinetuneError::NoData);
        }
        let (positions, lengths, skipped) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = Self { rows, positions, lengths, targets: 0, skipped };
        for first in (0..rows.len()).step_by(CHECKED) {
            for outcome in rows.read_range(first..rows.len().min(first + CHECKED))? {
                found.take(shape, outcome)?;
            }
        }
        match found.skipped.first() {
            Some(first) if found.positions.is_empty() => {
                Err(FinetuneError::NothingUsable { rows: rows.len(), first: first.clone() })
            }
            _ => Ok(found),
        }
    }

    fn take(&mut self, shape: &ModelShape, outcome: Outcome<Encoded>) -> Result<(), FinetuneError> {
        match outcome {
            Outcome::Unscorable { id, index, reason } => {
                self.skipped.push(Skipped { id, index, reason });
            }
            Outcome::Scored(sample) => {
                if let Some(reason) = judge(shape, &sample)? {
                    let Encoded { id, index, .. } = sample;
                    self.skipped.push(Skipped { id, index, reason });
                } else {
                    self.targets += target_count(&sample);
                    self.positions.push(narrow("rows", sample.index)?);
                    self.lengths.push(narrow("tokens of a row", sample.ids.len())?);
                }
            }
        }
        Ok(())
    }

    /// How many rows can be used.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Tokens of each usable row.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        self.lengths.iter().map(|&length| length as usize).collect()
    }

    /// The tokens of these usable rows, numbered among the usable ones.
    pub(crate) fn read(&self, places: &[usize]) -> Result<Vec<Encoded>, FinetuneError> {
        let positions: Vec<usize> =
            places.iter().map(|&place| self.positions[place] as usize).collect();
        let outcomes = self.rows.read(&positions)?;
        let row = |(outcome, &place): (Outcome<Encoded>, &usize)| match outcome {
            Outcome::Scored(row) if row.ids.len() == self.lengths[place] as usize => Ok(row),
            Outcome::Scored(Encoded { id, index, .. }) | Outcome::Unscorable { id, index, .. } => {
                let reason = "it has changed since training began".to_owned();
                Err(FinetuneError::Sample { id, index, reason })
            }
        };
        outcomes.into_iter().zip(places).map(row).collect()
    }
}

/// Counts are kept in four bytes.
fn narrow(what: &'static str, count: usize) -> Result<u32, FinetuneError> {
    u32::try_from(count).map_err(|_| FinetuneError::TooMany { what, count })
}

/// Why a row cannot be trained on, if it cannot. What no source of this model could give is an error.
fn judge(shape: &ModelShape, sample: &Encoded) -> Result<Option<Reason>, FinetuneError> {
    let refuse = |reason: String| {
        Err(FinetuneError::Sample { id: sample.id.clone(), index: sample.index, reason })
    };
    if sample.ids.len() != sample.supervised.len() {
        let (ids, marks) = (sample.ids.len(), sample.supervised.len());
        return refuse(format!("it has {ids} tokens but {marks} marks of supervision"));
    }
    if let Some(id) = sample.ids.iter().find(|&&id| id as usize >= shape.vocab_size) {
        return refuse(format!(
            "token id {id} is outside the model's vocabulary of {}; is this the model's own \
             tokenizer?",
            shape.vocab_size
        ));
    }
    if target_count(sample) == 0 {
        return Ok(Some(Reason::TooFewTokens));
    }
    let (tokens, limit) = (sample.ids.len(), shape.max_positions);
    Ok((tokens > limit).then_some(Reason::TooLong { tokens, limit, with: None }))
}
