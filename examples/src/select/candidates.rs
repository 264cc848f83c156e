//! Candidates: the rows of the data, each with its embedding.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use tamis::dataset::{Dataset, Reason, Sample};
use tamis::embeddings::{Embeddings, NoEmbedding};

use crate::text::characters;

/// Rows that are read at a time.
const CHUNK: usize = 4096;

/// A row that could be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its id; without ids, its number.
    pub id: String,
    /// Its place in the data, from 0; without data, in the embeddings.
    pub index: usize,
    /// Its row in the embeddings, or why there is none.
    pub row: Result<usize, String>,
    /// Characters of its texts, if there is data.
    pub length: Option<usize>,
}

/// All of them, in the order of their indices.
#[derive(Debug)]
pub struct Candidates {
    all: Vec<Candidate>,
    /// How many have a row of the embeddings.
    embedded: usize,
}

impl Candidates {
    /// Joins data and embeddings: by id where the embeddings have ids, unless `in_order` says that
    /// both have the same rows in the same order; else row by row.
    ///
    /// # Errors
    /// Another number of rows, an id that only one of them has, rows that were left out where there
    /// are no ids to tell which.
    pub fn join(data: Option<&Dataset>, embeddings: &Embeddings, in_order: bool) -> Result<Self> {
        let mut all = match (data, embeddings.ids()) {
            (None, _) => alone(embeddings),
            (Some(data), Some(ids)) if !in_order => by_id(data, embeddings, ids)?,
            (Some(data), _) => by_row(data, embeddings)?,
        };
        all.sort_by_key(|candidate| candidate.index);
        Ok(Self { all, embedded: embeddings.len() })
    }

    /// The rows of data that is yet to be embedded, as if all of them will have an embedding: at the
    /// same positions as they will be when joined.
    ///
    /// # Errors
    /// A row that can no longer be read.
    pub fn expected(data: &Dataset) -> Result<Self> {
        let mut all = Vec::with_capacity(data.len());
        each(data, |sample| {
            let row = Ok(all.len());
            all.push(candidate(sample, row));
            Ok(())
        })?;
        Ok(Self { all, embedded: data.len() })
    }

    /// All of them.
    pub fn all(&self) -> &[Candidate] {
        &self.all
    }

    /// The position in [`all`](Self::all) of the one with this index.
    pub fn at(&self, index: usize) -> Option<usize> {
        self.all.binary_search_by_key(&index, |candidate| candidate.index).ok()
    }

    /// How many have an embedding.
    pub fn embedded(&self) -> usize {
        self.embedded
    }

    /// Rows of the embeddings of the candidates with these indices.
    ///
    /// # Errors
    /// An index that no candidate has, that occurs twice, or whose candidate has no embedding.
    pub fn rows(&self, flag: &str, indices: &[usize]) -> Result<Vec<usize>> {
        let mut seen = HashSet::new();
        let mut rows = Vec::with_capacity(indices.len());
        for &index in indices {
            let Some(position) = self.at(index) else {
                let last = self.all.last().map_or(0, |candidate| candidate.index);
                bail!("{flag} names row {index}, but rows go from 0 to {last}");
            };
            ensure!(seen.insert(index), "{flag} names row {index} twice; leave one out");
            match &self.all[position].row {
                Ok(row) => rows.push(*row),
                Err(why) => bail!("{flag} names row {index}, which has no embedding: {why}"),
            }
        }
        Ok(rows)
    }

    /// Characters of every row of the embeddings, if there is data.
    pub fn lengths(&self) -> Option<Vec<usize>> {
        let mut lengths = vec![0; self.embedded];
        for candidate in &self.all {
            let length = candidate.length?;
            if let Ok(row) = candidate.row {
                lengths[row] = length;
            }
        }
        Some(lengths)
    }

    /// How many have no embedding.
    pub fn without(&self) -> usize {
        self.all.len() - self.embedded
    }
}

/// Embeddings without data.
fn alone(embeddings: &Embeddings) -> Vec<Candidate> {
    let indices = embeddings.indices();
    let mut all: Vec<Candidate> = (0..embeddings.len())
        .map(|row| Candidate {
            id: embeddings.ids().map_or_else(|| row.to_string(), |ids| ids[row].clone()),
            index: indices.map_or(row, |indices| indices[row]),
            row: Ok(row),
            length: None,
        })
        .collect();
    all.extend(embeddings.skipped().iter().map(|skipped| Candidate {
        id: skipped.id.clone(),
        index: skipped.index,
        row: Err(reason(skipped)),
        length: None,
    }));
    all
}

/// Row by row, in the same order.
fn by_row(data: &Dataset, embeddings: &Embeddings) -> Result<Vec<Candidate>> {
    let (rows, found) = (data.len(), embeddings.len());
    ensure!(
        data.rejects().is_empty(),
        "{} rows of {} could not be read, and without the ids of {} nothing says which row is \
         which: repair the rows, or embed the data with ids",
        data.rejects().len(),
        data.path().display(),
        embeddings.path().display()
    );
    ensure!(
        rows == found,
        "{} has {found} rows, but {} has {rows}: give the embeddings of just these rows, or \
         embeddings with ids",
        embeddings.path().display(),
        data.path().display()
    );
    let mut all = Vec::with_capacity(rows);
    each(data, |sample| {
        let row = Ok(all.len());
        all.push(candidate(sample, row));
        Ok(())
    })?;
    Ok(all)
}

/// By id; the embeddings may come in any order.
fn by_id(data: &Dataset, embeddings: &Embeddings, ids: &[String]) -> Result<Vec<Candidate>> {
    let (data_path, path) = (data.path().display(), embeddings.path().display());
    let mut rows: HashMap<&str, usize> =
        ids.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
    let skipped: HashMap<&str, &NoEmbedding> =
        embeddings.skipped().iter().map(|skipped| (skipped.id.as_str(), skipped)).collect();
    let mut all = Vec::with_capacity(data.len());
    each(data, |sample| {
        let row = match (rows.remove(sample.id.as_str()), skipped.get(sample.id.as_str())) {
            (Some(row), _) => Ok(row),
            (None, Some(skipped)) => Err(reason(skipped)),
            (None, None) => bail!(
                "row {} of {data_path} has the id `{}`, for which {path} has no embedding (rows \
                 without an `id` are named by a hash of their content); --in-order joins both row \
                 by row, whatever their ids",
                sample.index,
                sample.id
            ),
        };
        all.push(candidate(sample, row));
        Ok(())
    })?;
    if let Some((id, row)) = rows.iter().min_by_key(|(_, row)| **row) {
        bail!(
            "row {row} of {path} has the id `{id}`, which no row of {data_path} has{}",
            if data.rejects().is_empty() { "" } else { " (of those that could be read)" }
        );
    }
    Ok(all)
}

fn candidate(sample: &Sample, row: Result<usize, String>) -> Candidate {
    let length = Some(characters(&sample.content));
    Candidate { id: sample.id.to_string(), index: sample.index, row, length }
}

/// All samples, some at a time.
fn each(data: &Dataset, mut show: impl FnMut(&Sample) -> Result<()>) -> Result<()> {
    for first in (0..data.len()).step_by(CHUNK) {
        data.read_range(first..(first + CHUNK).min(data.len()))?.iter().try_for_each(&mut show)?;
    }
    Ok(())
}

/// A reason in words, where it is one that is known.
fn reason(skipped: &NoEmbedding) -> String {
    let word = Value::from(skipped.reason.as_str());
    serde_json::from_value::<Reason>(word)
        .map_or_else(|_| skipped.reason.clone(), |reason| reason.to_string())
}
