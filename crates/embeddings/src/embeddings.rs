//! Embeddings: one row of f32 a sample, wherever they are.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::ids::check_unique;
use crate::piece::Piece;
use crate::{EmbeddingsError, NoEmbedding};

/// Numbers that are looked at in one go.
const CHUNK: usize = 1 << 18;

/// Rows of finite f32, all of one length, with or without ids.
///
/// Rows that a file holds as f32 stay there: they are mapped into memory, and the system reads what
/// is looked at. So a set may be larger than the memory. Nobody may change the file meanwhile;
/// replacing it by renaming a new one over it is fine.
#[derive(Debug)]
pub struct Embeddings {
    path: PathBuf,
    columns: usize,
    rows: usize,
    /// At least one, each with at least one row.
    pieces: Vec<Piece>,
    /// The first row of each piece.
    starts: Vec<usize>,
    ids: Option<Vec<String>>,
    indices: Option<Vec<usize>>,
    skipped: Vec<NoEmbedding>,
}

/// What a reader found, to be checked.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) columns: usize,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) indices: Option<Vec<usize>>,
    pub(crate) skipped: Vec<NoEmbedding>,
}

impl Embeddings {
    /// Embeddings in memory: rows of `columns` numbers, one after the other.
    ///
    /// # Errors
    /// Numbers that are no whole rows or not finite, no rows at all, another number of ids than of
    /// rows, two equal ids.
    pub fn from_rows(
        values: Vec<f32>,
        columns: usize,
        ids: Option<Vec<String>>,
    ) -> Result<Self, EmbeddingsError> {
        if columns == 0 || !values.len().is_multiple_of(columns) {
            let expected = format!("whole rows of {columns}, at least 1");
            return Err(EmbeddingsError::Mismatch {
                what: "numbers",
                found: values.len(),
                expected,
            });
        }
        let found = Found { columns, pieces: vec![Piece::Memory(values)], ids, ..Found::default() };
        Self::checked(Path::new("embeddings in memory"), found)
    }

    /// Checks what a reader found: that there are rows, that ids are unique, that all is finite.
    pub(crate) fn checked(path: &Path, mut found: Found) -> Result<Self, EmbeddingsError> {
        let columns = found.columns;
        found.pieces.retain(|piece| piece.len() > 0);
        let mut starts = Vec::with_capacity(found.pieces.len());
        let mut rows = 0;
        for piece in &found.pieces {
            starts.push(rows);
            rows += piece.len() / columns.max(1);
        }
        if rows == 0 || columns == 0 {
            return Err(EmbeddingsError::Empty { path: path.to_owned(), rows, columns });
        }
        if let Some(ids) = &found.ids {
            if ids.len() != rows {
                let (found, expected) = (ids.len(), format!("one for each of {rows} rows"));
                return Err(EmbeddingsError::Mismatch { what: "ids", found, expected });
            }
            check_unique(ids, path)?;
        }
        let Found { pieces, ids, indices, skipped, .. } = found;
        let embeddings =
            Self { path: path.to_owned(), columns, rows, pieces, starts, ids, indices, skipped };
        embeddings.check_finite()?;
        Ok(embeddings)
    }

    fn check_finite(&self) -> Result<(), EmbeddingsError> {
        let step = (CHUNK / self.columns).max(1);
        let bad = (0..self.rows.div_ceil(step)).into_par_iter().find_map_first(|chunk| {
            let first = chunk * step;
            let mut scratch = Vec::new();
            let values = self.block(first, step.min(self.rows - first), &mut scratch);
            // Without a branch a number, so that many are looked at at once.
            let largest = values.iter().fold(0, |largest, x| largest.max(x.to_bits() << 1));
            if largest < f32::INFINITY.to_bits() << 1 {
                return None;
            }
            let place = values.iter().position(|x| !x.is_finite())?;
            Some((first * self.columns + place, values[place]))
        });
        let Some((place, value)) = bad else { return Ok(()) };
        let (row, column) = (place / self.columns, place % self.columns);
        let name = self.name(row);
        Err(EmbeddingsError::NonFinite { path: self.path.clone(), row, name, column, value })
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of rows, at least 1.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Always false: embeddings without rows are refused.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Numbers in a row, at least 1.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether the rows are in a mapped file and not in memory.
    pub fn is_mapped(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Mapped { .. }))
    }

    /// The id of every row, where there are ids: in artefacts and in Parquet files with an id
    /// column. Otherwise rows are known by their numbers.
    pub fn ids(&self) -> Option<&[String]> {
        self.ids.as_deref()
    }

    /// For an artefact, the 0-based row of each row's sample in its data.
    pub fn indices(&self) -> Option<&[usize]> {
        self.indices.as_deref()
    }

    /// For an artefact, the samples that could not be embedded.
    pub fn skipped(&self) -> &[NoEmbedding] {
        &self.skipped
    }

    /// What messages call a row: its number, and its id where there is one.
    pub fn name(&self, row: usize) -> String {
        match self.ids.as_ref().and_then(|ids| ids.get(row)) {
            Some(id) => format!("row {row} (`{id}`)"),
            None => format!("row {row}"),
        }
    }

    /// `count` rows from `first` on, one after the other: borrowed where they lie together as
    /// aligned f32, else copied into `scratch`.
    ///
    /// # Panics
    /// If there are not so many rows.
    pub fn block<'a>(&'a self, first: usize, count: usize, scratch: &'a mut Vec<f32>) -> &'a [f32] {
        let rows = self.rows;
        assert!(first <= rows && count <= rows - first, "{count} rows from {first} on of {rows}");
        let at = self.starts.partition_point(|&start| start <= first).saturating_sub(1);
        let own = self.within(at, first, count);
        if let Some(values) = self.pieces[at].values()
            && own.len() == count * self.columns
        {
            return &values[own];
        }
        scratch.clear();
        scratch.reserve(count * self.columns);
        let wanted = count * self.columns;
        for piece in at..self.pieces.len() {
            if scratch.len() == wanted {
                break;
            }
            let done = scratch.len() / self.columns;
            self.pieces[piece].copy(self.within(piece, first + done, count - done), scratch);
        }
        scratch
    }

    /// Which numbers of a piece are those of `count` rows from `first` on, as far as it has them.
    fn within(&self, piece: usize, first: usize, count: usize) -> Range<usize> {
        let begin = (first - self.starts[piece]) * self.columns;
        begin..(begin + count * self.columns).min(self.pieces[piece].len())
    }

    /// All rows, one after the other: borrowed where they are one piece of aligned f32, else copied.
    ///
    /// The rows of an artefact of several shards are several pieces.
    pub fn contiguous(&self) -> Cow<'_, [f32]> {
        if let [piece] = self.pieces.as_slice()
            && let Some(values) = piece.values()
        {
            return Cow::Borrowed(values);
        }
        let mut all = Vec::with_capacity(self.rows * self.columns);
        for piece in &self.pieces {
            piece.copy(0..piece.len(), &mut all);
        }
        Cow::Owned(all)
    }
}
