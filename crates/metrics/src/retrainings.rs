//! A bank of retrainings, checked, and what additive predictions are worth on it.

use rayon::prelude::*;
use tamis_artifact::Random;

use crate::{Bootstrap, MetricsError, spearman};

/// Fewer subsets have no rank correlation to speak of.
const FEWEST: usize = 3;

/// Subsets of samples and what training on each led to.
pub(crate) struct Retrainings<'a, S> {
    subsets: &'a [S],
    /// −loss, so that more is better: a list for every query with a number for every subset.
    outcomes: Vec<Vec<f64>>,
}

impl<'a, S: AsRef<[usize]>> Retrainings<'a, S> {
    /// # Errors
    /// Fewer than three subsets, no queries, rows of other lengths, losses that are not finite or,
    /// for a query, constant.
    pub(crate) fn new<L: AsRef<[f64]>>(
        subsets: &'a [S],
        losses: &[L],
    ) -> Result<Self, MetricsError> {
        let mut outcomes = by_query(losses, subsets.len())?;
        for (query, losses) in outcomes.iter_mut().enumerate() {
            refuse_constant(losses, query, "losses")?;
            for loss in losses {
                *loss = -*loss;
            }
        }
        Ok(Self { subsets, outcomes })
    }

    /// The sums of scores: a list for every query with a number for every subset.
    ///
    /// # Errors
    /// Rows of another length than there are queries, a sample that is not there, or what is not
    /// finite.
    pub(crate) fn predictions<A: AsRef<[f64]>>(
        &self,
        scores: &[A],
    ) -> Result<Vec<Vec<f64>>, MetricsError> {
        let queries = self.outcomes.len();
        for (sample, row) in scores.iter().enumerate() {
            same_length(row.as_ref().len(), queries, "scores of a sample")?;
            for (query, &value) in row.as_ref().iter().enumerate() {
                finite(value, || {
                    format!("the score of sample {sample} for query {query} (both from 0)")
                })?;
            }
        }
        let mut sums = vec![vec![0.0; self.subsets.len()]; queries];
        for (n, subset) in self.subsets.iter().enumerate() {
            for &sample in subset.as_ref() {
                let (subset, samples) = (n, scores.len());
                let row = scores.get(sample);
                let row = row.ok_or(MetricsError::NoSuchSample { subset, sample, samples })?;
                for (sums, score) in sums.iter_mut().zip(row.as_ref()) {
                    sums[n] += score;
                }
            }
        }
        for (query, sums) in sums.iter().enumerate() {
            for (n, &sum) in sums.iter().enumerate() {
                finite(sum, || {
                    format!("the sum of the scores of subset {n} for query {query} (from 0)")
                })?;
            }
        }
        Ok(sums)
    }

    /// Spearman's coefficient of predictions and outcomes, for every query.
    ///
    /// # Errors
    /// Predictions that are constant for a query.
    pub(crate) fn correlations(&self, predicted: &[Vec<f64>]) -> Result<Vec<f64>, MetricsError> {
        let pairs = predicted.iter().zip(&self.outcomes).enumerate();
        pairs
            .map(|(query, (sums, outcomes))| correlation(sums, outcomes, query, "predictions"))
            .collect()
    }

    /// The mean correlation of each of `N` predictions in every resample: all of them on the same
    /// drawn subsets and queries. A query counts where all have a correlation.
    pub(crate) fn resampled<const N: usize>(
        &self,
        predicted: [&[Vec<f64>]; N],
        bootstrap: &Bootstrap,
    ) -> Vec<[f64; N]> {
        let (all, subsets) = (&self.outcomes, self.subsets.len());
        let queries = all.len();
        let of_one = |number: u64| {
            let mut random = Random::keyed(
                bootstrap.params().seed,
                "bootstrap of retrainings",
                &number.to_string(),
            );
            loop {
                let rows: Vec<usize> = (0..subsets).map(|_| random.below(subsets)).collect();
                let drawn =
                    |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<f64>>();
                let mut times = vec![0_u32; queries];
                (0..queries).for_each(|_| times[random.below(queries)] += 1);
                let (mut sums, mut count) = ([0.0; N], 0);
                for (query, &times) in times.iter().enumerate().filter(|(_, times)| **times > 0) {
                    let outcomes = drawn(&all[query]);
                    // Of equal lengths and finite, as was checked: none is one without a spread.
                    let found = predicted
                        .map(|sums| spearman(&drawn(&sums[query]), &outcomes).ok().flatten());
                    if found.iter().all(Option::is_some) {
                        for (sum, found) in sums.iter_mut().zip(found.into_iter().flatten()) {
                            *sum += f64::from(times) * found;
                        }
                        count += times;
                    }
                }
                if count > 0 {
                    return sums.map(|sum| sum / f64::from(count));
                }
            }
        };
        (0..bootstrap.params().resamples as u64).into_par_iter().map(of_one).collect()
    }
}

/// Rows of numbers for queries, turned: a list for every query. Refuses too few rows, rows of
/// different lengths and what is not finite.
pub(crate) fn by_query<L: AsRef<[f64]>>(
    rows: &[L],
    subsets: usize,
) -> Result<Vec<Vec<f64>>, MetricsError> {
    if subsets < FEWEST {
        return Err(MetricsError::NotEnough { what: "subsets", found: subsets, least: FEWEST });
    }
    if rows.len() != subsets {
        return Err(MetricsError::Length {
            what: "rows of losses".to_owned(),
            found: rows.len(),
            other: "subsets".to_owned(),
            expected: subsets,
        });
    }
    let queries = rows[0].as_ref().len();
    if queries == 0 {
        return Err(MetricsError::NotEnough { what: "queries", found: 0, least: 1 });
    }
    let mut turned = vec![Vec::with_capacity(subsets); queries];
    for (n, values) in rows.iter().enumerate() {
        let values = values.as_ref();
        same_length(values.len(), queries, "losses of a subset")?;
        for (query, &value) in values.iter().enumerate() {
            finite(value, || format!("the loss of query {query} after subset {n} (both from 0)"))?;
            turned[query].push(value);
        }
    }
    Ok(turned)
}

pub(crate) fn same_length(found: usize, expected: usize, what: &str) -> Result<(), MetricsError> {
    if found == expected {
        return Ok(());
    }
    let (what, other) = (what.to_owned(), "queries".to_owned());
    Err(MetricsError::Length { what, found, other, expected })
}

fn finite(value: f64, what: impl Fn() -> String) -> Result<(), MetricsError> {
    if value.is_finite() { Ok(()) } else { Err(MetricsError::NonFinite { what: what(), value }) }
}

/// Spearman's coefficient of two lists, of which the second is not constant.
pub(crate) fn correlation(
    a: &[f64],
    b: &[f64],
    query: usize,
    what: &'static str,
) -> Result<f64, MetricsError> {
    refuse_constant(a, query, what)?;
    spearman(a, b)?.ok_or(MetricsError::Constant { what, query, value: a[0] })
}

pub(crate) fn refuse_constant(
    values: &[f64],
    query: usize,
    what: &'static str,
) -> Result<(), MetricsError> {
    if values.iter().any(|value| value - values[0] != 0.0) {
        return Ok(());
    }
    Err(MetricsError::Constant { what, query, value: values[0] })
}
