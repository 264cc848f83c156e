//! Okapi BM25: how well the words of a candidate answer those of a target.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_dataset::{Content, DatasetError, Sample, SampleId, Source, check_source, read_rows};

use super::words::{texts, words};
use super::{ScoredCandidate, Target, TargetError, TargetScores, Unscored};

/// Rows that are read at a time.
const CHUNK: usize = 4096;

/// Settings of BM25.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bm25Params {
    /// How soon further occurrences of a word in a candidate count no more; 0: at once. Default 1.2.
    pub k1: f64,
    /// How much a long candidate is held back, from 0 (not) to 1 (its counts are shares). Default
    /// 0.75.
    pub b: f64,
}

impl Default for Bm25Params {
    fn default() -> Self {
        Self { k1: 1.2, b: 0.75 }
    }
}

impl Bm25Params {
    /// BM25 with these settings against `targets`, of each of which all texts are the query: question
    /// and answer, both sides of a translation, every turn.
    ///
    /// # Errors
    /// `k1` negative or not finite, `b` outside of 0 … 1, no targets, or one without a word.
    pub fn check(self, targets: &[(Target, Sample)]) -> Result<Bm25, TargetError> {
        let Self { k1, b } = self;
        ParameterError::finite_from("k1", k1, 0.0)?;
        ParameterError::within("b", b, 0.0..=1.0)?;
        if targets.is_empty() {
            return Err(TargetError::NoTargets);
        }
        let (mut terms, mut queries) = (HashMap::new(), Vec::new());
        for (target, sample) in targets {
            let mut query: HashMap<usize, f64> = HashMap::new();
            for word in texts(&sample.content).into_iter().flat_map(words) {
                let next = terms.len();
                *query.entry(*terms.entry(word).or_insert(next)).or_default() += 1.0;
            }
            if query.is_empty() {
                let Target { task, name } = target.clone();
                return Err(TargetError::NoWords { task, name });
            }
            let mut query: Vec<(usize, f64)> = query.into_iter().collect();
            query.sort_unstable_by_key(|(term, _)| *term); // the order of a sum
            queries.push(query);
        }
        let found_in = vec![0; terms.len()];
        let targets = targets.iter().map(|(target, _)| target.clone()).collect();
        let (documents, unscored) = (Vec::new(), Vec::new());
        Ok(Bm25 { params: self, targets, terms, queries, found_in, documents, unscored })
    }
}

/// Okapi BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009, section 3.4).
/// Candidates are added one after the other; of each only the counts of words that occur in a target
/// are kept.
///
/// With `f` the occurrences of a word `w` in a candidate of `l` words, `l̄` the mean of these, `N`
/// candidates, `n` of which have the word, and `m` its occurrences in the target:
///
/// ```text
/// score = Σ_w m · idf(w) · f (k1 + 1) / (f + k1 (1 − b + b l / l̄))
/// idf(w) = ln(1 + (N − n + ½) / (n + ½))
/// ```
///
/// The 1 in the logarithm keeps frequent words from counting less than nothing. Scores against two
/// targets have no common scale (a longer target has higher ones):
/// [`RoundRobin`](super::TaskRule::RoundRobin) compares only those against the same.
#[derive(Clone, Debug)]
pub struct Bm25 {
    params: Bm25Params,
    targets: Vec<Target>,
    /// Number of each word of the targets.
    terms: HashMap<String, usize>,
    /// Words of each target with their occurrences.
    queries: Vec<Vec<(usize, f64)>>,
    /// Candidates that have each word.
    found_in: Vec<u64>,
    documents: Vec<Document>,
    unscored: Vec<Unscored>,
}

/// What is kept of a candidate.
#[derive(Clone, Debug)]
struct Document {
    id: SampleId,
    index: usize,
    /// All its words, those of no target too.
    length: usize,
    /// Occurrences of words of the targets, by their number.
    counts: Vec<(usize, f64)>,
}

impl Bm25 {
    /// Adds the rows of a source, by their positions in it, read a part at a time.
    ///
    /// # Errors
    /// Rows that share an id, or cannot be read.
    pub fn add_all(&mut self, source: &dyn Source) -> Result<(), DatasetError> {
        check_source(source)?;
        for first in (0..source.len()).step_by(CHUNK) {
            let rows = first..(first + CHUNK).min(source.len());
            for (position, row) in rows.clone().zip(read_rows(source, rows)?) {
                self.add(row.id, position, &row.content);
            }
        }
        Ok(())
    }

    /// Adds a candidate, of which all texts are searched: question and answer, both sides of a
    /// translation, every turn. One without a word will have no scores.
    pub fn add(&mut self, id: SampleId, index: usize, content: &Content) {
        let (mut length, mut counts) = (0, HashMap::<usize, f64>::new());
        for word in texts(content).into_iter().flat_map(words) {
            length += 1;
            if let Some(&term) = self.terms.get(&word) {
                *counts.entry(term).or_default() += 1.0;
            }
        }
        if length == 0 {
            self.unscored.push(Unscored { id, index, reason: "it has no words".to_owned() });
            return;
        }
        let mut counts: Vec<(usize, f64)> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|(term, _)| *term);
        for &(term, _) in &counts {
            self.found_in[term] += 1;
        }
        self.documents.push(Document { id, index, length, counts });
    }

    /// The scores of all candidates that were added.
    ///
    /// # Errors
    /// Those of [`TargetScores::new`].
    pub fn finish(self) -> Result<TargetScores, TargetError> {
        let Bm25Params { k1, b } = self.params;
        let total = self.documents.len() as f64;
        let words: usize = self.documents.iter().map(|document| document.length).sum();
        let mean_length = words as f64 / total.max(1.0);
        let idf: Vec<f64> = self
            .found_in
            .iter()
            .map(|&n| (1.0 + (total - n as f64 + 0.5) / (n as f64 + 0.5)).ln())
            .collect();
        // Which targets have a word, and how often.
        let mut having: Vec<Vec<(usize, f64)>> = vec![Vec::new(); idf.len()];
        for (column, query) in self.queries.iter().enumerate() {
            for &(term, times) in query {
                having[term].push((column, times));
            }
        }
        let score = |document: Document| {
            let held_back = k1 * (1.0 - b + b * document.length as f64 / mean_length);
            let mut scores = vec![0f64; self.targets.len()];
            for (term, count) in document.counts {
                let weight = idf[term] * count * (k1 + 1.0) / (count + held_back);
                for &(column, times) in &having[term] {
                    scores[column] += times * weight;
                }
            }
            let scores = scores.into_iter().map(|score| score as f32).collect();
            ScoredCandidate { id: document.id, index: document.index, scores }
        };
        let candidates = self.documents.into_iter().map(score).collect();
        TargetScores::new(self.targets, candidates, self.unscored)
    }
}
