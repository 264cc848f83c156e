//! What a choice may look at.

use std::fmt;

use tamis_dataset::SampleId;

use crate::error::SelectionError;
use crate::scores::Scores;
use crate::vectors::Vectors;

/// Rows to choose from, known by their positions 0, 1, …, with whatever is known about them.
#[derive(Clone, Copy, Default)]
pub struct Candidates<'a> {
    rows: usize,
    ids: Option<&'a [SampleId]>,
    scores: Option<&'a Scores>,
    vectors: Option<&'a dyn Vectors>,
    groups: Option<&'a [Option<String>]>,
}

impl<'a> Candidates<'a> {
    /// So many rows, of which nothing is known.
    pub fn new(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }

    /// The rows that were scored, with their ids and scores.
    pub fn scored(scores: &'a Scores) -> Self {
        Self { scores: Some(scores), ..Self::new(scores.rows.len()) }
    }

    /// With their ids, one a row.
    ///
    /// # Errors
    /// [`SelectionError::Rows`] if there are more or fewer.
    pub fn ids(self, ids: &'a [SampleId]) -> Result<Self, SelectionError> {
        self.check("ids", ids.len())?;
        Ok(Self { ids: Some(ids), ..self })
    }

    /// With their scores, one row each.
    ///
    /// # Errors
    /// [`SelectionError::Rows`] if there are more or fewer.
    pub fn scores(self, scores: &'a Scores) -> Result<Self, SelectionError> {
        self.check("scores", scores.rows.len())?;
        Ok(Self { scores: Some(scores), ..self })
    }

    /// With vectors, (rows, width).
    ///
    /// # Errors
    /// [`SelectionError::Rows`] if there are more or fewer.
    pub fn vectors(self, vectors: &'a dyn Vectors) -> Result<Self, SelectionError> {
        self.check("vectors", vectors.len())?;
        Ok(Self { vectors: Some(vectors), ..self })
    }

    /// With the group of each row, such as a domain; all rows without one are a group of their own.
    ///
    /// # Errors
    /// [`SelectionError::Rows`] if there are more or fewer.
    pub fn groups(self, groups: &'a [Option<String>]) -> Result<Self, SelectionError> {
        self.check("groups", groups.len())?;
        Ok(Self { groups: Some(groups), ..self })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The id of a row, if ids are known.
    pub fn id(&self, position: usize) -> Option<&'a SampleId> {
        match (self.ids, self.scores) {
            (Some(ids), _) => ids.get(position),
            (None, Some(scores)) => scores.rows.get(position).map(|row| &row.id),
            (None, None) => None,
        }
    }

    /// The group of a row, if it has one.
    pub fn group(&self, position: usize) -> Option<&'a str> {
        self.groups.and_then(|groups| groups.get(position)).and_then(Option::as_deref)
    }

    /// The scores.
    ///
    /// # Errors
    /// [`SelectionError::Needs`] if there are none.
    pub fn need_scores(&self) -> Result<&'a Scores, SelectionError> {
        self.scores.ok_or(SelectionError::Needs { what: "scores" })
    }

    /// The vectors.
    ///
    /// # Errors
    /// [`SelectionError::Needs`] if there are none.
    pub fn need_vectors(&self) -> Result<&'a dyn Vectors, SelectionError> {
        self.vectors.ok_or(SelectionError::Needs { what: "vectors" })
    }

    fn check(&self, what: &'static str, found: usize) -> Result<(), SelectionError> {
        let expected = self.rows;
        if found == expected { Ok(()) } else { Err(SelectionError::Rows { what, found, expected }) }
    }
}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidates")
            .field("rows", &self.rows)
            .field("columns", &self.scores.map(|scores| &scores.columns))
            .field("width", &self.vectors.map(Vectors::width))
            .finish_non_exhaustive()
    }
}
