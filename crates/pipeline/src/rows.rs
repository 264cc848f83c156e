//! Some rows of a data set: what is left of a pool.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value, json};
use tamis_dataset::{Dataset, Sample, SampleId, Selection};

use crate::PipelineError;

/// Rows that are read at a time to find ids.
const CHUNK: usize = 4096;

/// Some accepted rows of a data set, in its order; nothing of their text is held.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    dataset: &'a Dataset,
    /// Ascending positions among the accepted rows.
    positions: Vec<usize>,
}

impl<'a> Rows<'a> {
    /// All rows.
    pub fn all(dataset: &'a Dataset) -> Self {
        Self { dataset, positions: (0..dataset.len()).collect() }
    }

    /// The data set they are of.
    pub fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// Their positions among the accepted rows of the data set, ascending: what
    /// [`Dataset::write_rows`](Dataset::write_rows) takes.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The rows that `selection` chose of these.
    ///
    /// # Errors
    /// [`PipelineError::OtherRows`] for decisions about another number of rows.
    pub fn keep(&self, selection: &Selection) -> Result<Self, PipelineError> {
        if selection.decisions.len() != self.len() {
            return Err(PipelineError::OtherRows {
                found: format!("{} rows", selection.decisions.len()),
                expected: self.len().to_string(),
            });
        }
        let kept = self.positions.iter().zip(&selection.decisions);
        let positions =
            kept.filter(|(_, decision)| decision.selected).map(|(&position, _)| position).collect();
        Ok(Self { dataset: self.dataset, positions })
    }

    /// Reads the rows at `places`, counted from 0 among these.
    ///
    /// # Errors
    /// What reading reports.
    pub fn read(&self, places: Range<usize>) -> Result<Vec<Sample>, PipelineError> {
        Ok(self.dataset.read(&self.positions[places])?)
    }

    /// The positions of the rows with these ids, in the order of the ids.
    ///
    /// # Errors
    /// [`PipelineError::UnknownId`]; what reading reports.
    pub fn find(&self, ids: &[SampleId]) -> Result<Vec<usize>, PipelineError> {
        let mut found: HashMap<&SampleId, Option<usize>> =
            ids.iter().map(|id| (id, None)).collect();
        for first in (0..self.len()).step_by(CHUNK) {
            let places = first..(first + CHUNK).min(self.len());
            for (sample, &position) in
                self.read(places.clone())?.iter().zip(&self.positions[places])
            {
                if let Some(at) = found.get_mut(&sample.id) {
                    *at = Some(position);
                }
            }
        }
        let unknown = |id: &SampleId| PipelineError::UnknownId { id: id.clone(), rows: self.len() };
        ids.iter().map(|id| found.get(id).copied().flatten().ok_or_else(|| unknown(id))).collect()
    }

    /// What names them in manifests: the data set by content and format, the rows by number and hash.
    pub fn description(&self) -> Map<String, Value> {
        let mut hasher = blake3::Hasher::new();
        for &position in &self.positions {
            hasher.update(&(position as u64).to_le_bytes());
        }
        let fields = [
            ("data", json!(self.dataset.content_hash())),
            ("data_format", json!(self.dataset.format().to_string())),
            ("samples", json!(self.len())),
            ("rows", json!(hasher.finalize().to_hex().as_str())),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
