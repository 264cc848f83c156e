//! Rows to choose from, wherever they are.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::json;
use tamis_artifact::Fingerprint;

use crate::{Dataset, DatasetError, Sample, SampleId};

/// Rows that are read at a time where all are looked at.
const CHUNK: usize = 4096;

/// Rows that are read by their positions, `0..len()`: a file, samples in memory, a part of another source, or a type of
/// one's own. Every stage takes any of them, and joins by position.
///
/// Nothing is held of what was read, so a source may be larger than the memory.
///
/// ```
/// use tamis_artifact::Fingerprint;
/// use tamis_dataset::{DatasetError, Sample, Source};
///
/// /// Questions about sums, made as they are asked for.
/// struct Sums(usize);
///
/// impl Source for Sums {
///     fn len(&self) -> usize {
///         self.0
///     }
///     fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
///         let sample = |&n: &usize| {
///             Sample::instruction(format!("What is {n} + {n}?"), (2 * n).to_string()).with_id(format!("sum-{n}"))
///         };
///         Ok(positions.iter().map(sample).collect())
///     }
///     fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
///         Ok(Fingerprint::from(format!("sums up to {}", self.0)))
///     }
/// }
///
/// let sums = Sums(100);
/// assert_eq!(sums.read(&[7, 3])?[0].id.as_str(), "sum-7");
/// # Ok::<(), DatasetError>(())
/// ```
pub trait Source: Sync {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// The rows at these positions, one for each and in this order. A position may come more than once.
    ///
    /// # Errors
    /// A position beyond the end, or rows that cannot be read: [`DatasetError::source`] takes any error.
    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError>;

    /// Names the rows: sources with equal fingerprints have equal rows in equal order. What was computed from other rows
    /// is refused by it.
    ///
    /// # Errors
    /// Rows that cannot be read.
    fn fingerprint(&self) -> Result<Fingerprint, DatasetError>;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows at positions that follow each other.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_range(&self, positions: Range<usize>) -> Result<Vec<Sample>, DatasetError> {
        self.read(&positions.collect::<Vec<_>>())
    }

    /// Whether no two rows have one id, where that is known without looking.
    fn has_unique_ids(&self) -> bool {
        false
    }
}

impl Source for Dataset {
    fn len(&self) -> usize {
        Dataset::len(self)
    }

    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        Dataset::read(self, positions)
    }

    /// The content of the file and how it is read.
    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        Ok(Fingerprint::from(json!({
            "content": self.content_hash(),
            "format": self.format().to_string(),
            "fields": Fingerprint::of(self.fields())?,
            "rows": self.len(),
        })))
    }

    fn has_unique_ids(&self) -> bool {
        true
    }
}

/// Samples in memory. What is read has its position as [`Sample::index`].
impl Source for [Sample] {
    fn len(&self) -> usize {
        <[Sample]>::len(self)
    }

    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        let sample = |&position: &usize| match self.get(position) {
            Some(sample) => Ok(Sample { index: position, ..sample.clone() }),
            None => Err(beyond(position, <[Sample]>::len(self))),
        };
        positions.iter().map(sample).collect()
    }

    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        let mut hasher = blake3::Hasher::new();
        for sample in self {
            for text in [sample.id.as_str(), sample.content.hash_id().as_str()] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        let content = hasher.finalize().to_hex().to_string();
        Ok(Fingerprint::from(json!({ "content": content, "rows": <[Sample]>::len(self) })))
    }
}

impl Source for Vec<Sample> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        self.as_slice().read(positions)
    }

    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        self.as_slice().fingerprint()
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        (**self).read(positions)
    }

    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        (**self).fingerprint()
    }

    fn has_unique_ids(&self) -> bool {
        (**self).has_unique_ids()
    }
}

/// Some rows of another source, in any order.
#[derive(Clone)]
pub struct Subset<'a> {
    source: &'a dyn Source,
    positions: Vec<usize>,
}

impl<'a> Subset<'a> {
    /// The rows of `source` at these positions.
    ///
    /// # Errors
    /// [`DatasetError::Position`] for one beyond the end.
    pub fn new(source: &'a dyn Source, positions: Vec<usize>) -> Result<Self, DatasetError> {
        match positions.iter().find(|&&position| position >= source.len()) {
            Some(&position) => Err(beyond(position, source.len())),
            None => Ok(Self { source, positions }),
        }
    }

    /// All rows of `source`.
    pub fn all(source: &'a dyn Source) -> Self {
        Self { source, positions: (0..source.len()).collect() }
    }

    /// Those of the rows at these positions among them: what a selection chose, say.
    ///
    /// # Errors
    /// [`DatasetError::Position`] for one beyond the rows.
    pub fn at(&self, positions: &[usize]) -> Result<Self, DatasetError> {
        let there = |&position: &usize| {
            let there = self.positions.get(position).copied();
            there.ok_or_else(|| beyond(position, self.positions.len()))
        };
        let positions = positions.iter().map(there).collect::<Result<_, _>>()?;
        Ok(Self { source: self.source, positions })
    }

    /// Where the rows stand in the source they are of.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }
}

impl std::fmt::Debug for Subset<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subset")
            .field("rows", &self.positions.len())
            .field("of", &self.source.len())
            .finish_non_exhaustive()
    }
}

impl Source for Subset<'_> {
    fn len(&self) -> usize {
        self.positions.len()
    }

    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        let there = |&position: &usize| match self.positions.get(position) {
            Some(&there) => Ok(there),
            None => Err(beyond(position, self.positions.len())),
        };
        self.source.read(&positions.iter().map(there).collect::<Result<Vec<_>, _>>()?)
    }

    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        let of = self.source.fingerprint()?;
        if self.positions.iter().copied().eq(0..self.source.len()) {
            return Ok(of);
        }
        let mut hasher = blake3::Hasher::new();
        for &position in &self.positions {
            hasher.update(&(position as u64).to_le_bytes());
        }
        let positions = hasher.finalize().to_hex().to_string();
        let rows = self.positions.len();
        Ok(Fingerprint::from(json!({ "of": of.value(), "positions": positions, "rows": rows })))
    }

    /// Positions may repeat.
    fn has_unique_ids(&self) -> bool {
        let ascending = || self.positions.windows(2).all(|pair| pair[0] < pair[1]);
        self.source.has_unique_ids() && ascending()
    }
}

/// Several sources, one after the other.
#[derive(Clone)]
pub struct Concat<'a> {
    parts: Vec<&'a dyn Source>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl<'a> Concat<'a> {
    /// The rows of `parts`, in this order. Ids must not occur in two of them.
    pub fn new(parts: Vec<&'a dyn Source>) -> Self {
        let ends = parts
            .iter()
            .scan(0, |end, part| {
                *end += part.len();
                Some(*end)
            })
            .collect();
        Self { parts, ends }
    }

    /// The part that has this position, and the position in it.
    fn place(&self, position: usize) -> Result<(usize, usize), DatasetError> {
        let part = self.ends.partition_point(|&end| end <= position);
        if part == self.parts.len() {
            return Err(beyond(position, self.len()));
        }
        let first = if part == 0 { 0 } else { self.ends[part - 1] };
        Ok((part, position - first))
    }
}

impl std::fmt::Debug for Concat<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Concat").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Source for Concat<'_> {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        let places: Vec<(usize, usize)> =
            positions.iter().map(|&position| self.place(position)).collect::<Result<_, _>>()?;
        let mut samples = Vec::with_capacity(positions.len());
        for run in places.chunk_by(|a, b| a.0 == b.0) {
            let within: Vec<usize> = run.iter().map(|&(_, within)| within).collect();
            samples.extend(self.parts[run[0].0].read(&within)?);
        }
        Ok(samples)
    }

    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        let parts: Vec<Fingerprint> =
            self.parts.iter().map(Source::fingerprint).collect::<Result<_, _>>()?;
        Ok(Fingerprint::of(&parts)?)
    }
}

/// Refuses a source in which an id occurs twice, or that does not give a row for every position: results could not be
/// joined to its rows.
///
/// # Errors
/// [`DatasetError::SameId`], [`DatasetError::Rows`], or what reading reports.
pub fn check_source(source: &dyn Source) -> Result<(), DatasetError> {
    if source.has_unique_ids() {
        return Ok(());
    }
    let mut seen: HashSet<SampleId> = HashSet::with_capacity(source.len());
    for first in (0..source.len()).step_by(CHUNK) {
        let positions = first..(first + CHUNK).min(source.len());
        for (position, sample) in positions.clone().zip(read_rows(source, positions)?) {
            if let Some(id) = seen.replace(sample.id) {
                return Err(DatasetError::SameId { id, position });
            }
        }
    }
    Ok(())
}

/// The ids of all rows of a source, read a part at a time.
///
/// # Errors
/// As [`read_rows`].
pub fn ids_of(source: &dyn Source) -> Result<Vec<SampleId>, DatasetError> {
    let mut ids = Vec::with_capacity(source.len());
    for first in (0..source.len()).step_by(CHUNK) {
        let rows = read_rows(source, first..(first + CHUNK).min(source.len()))?;
        ids.extend(rows.into_iter().map(|row| row.id));
    }
    Ok(ids)
}

/// Reads rows that follow each other, and refuses another number of them than was asked for: what a source of your own
/// gives too few of would be joined to other rows.
///
/// # Errors
/// [`DatasetError::Rows`], or what reading reports.
pub fn read_rows(
    source: &dyn Source,
    positions: Range<usize>,
) -> Result<Vec<Sample>, DatasetError> {
    counted(source.read_range(positions.clone())?, positions.len())
}

/// As [`read_rows`], for rows at any positions.
///
/// # Errors
/// [`DatasetError::Rows`], or what reading reports.
pub fn read_at(source: &dyn Source, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
    counted(source.read(positions)?, positions.len())
}

fn counted(samples: Vec<Sample>, expected: usize) -> Result<Vec<Sample>, DatasetError> {
    match samples.len() {
        found if found == expected => Ok(samples),
        found => Err(DatasetError::Rows { found, expected }),
    }
}

fn beyond(position: usize, len: usize) -> DatasetError {
    DatasetError::Position { position, len }
}
