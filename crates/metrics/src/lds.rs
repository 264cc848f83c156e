//! The linear datamodelling score: how well attributions foretell what retraining does.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::{Bootstrap, Interval, MetricsError, mean, spearman};

/// Fewer subsets have no rank correlation to speak of.
const FEWEST: usize = 3;

/// How good attribution scores are, and where the same score would lie for other subsets and queries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lds {
    /// The mean of `per_query`, between −1 and 1; 0 is what chance gives.
    pub score: f64,
    /// Percentiles of the bootstrap over subsets and queries.
    pub interval: Interval,
    /// Subsets, each the data of a retraining.
    pub subsets: usize,
    /// Spearman's coefficient of each query.
    pub per_query: Vec<f64>,
}

/// The linear datamodelling score of attributions (Park et al., 2023, arXiv 2303.14186, definition 2.3).
///
/// - `scores`: a row for every sample with a number for every query; **positive: the sample helps**, so
///   that training on it lowers the query's loss. Any unit: only the order of sums counts.
/// - `subsets`: positions of samples, each set the data of one retraining; usually random halves.
/// - `losses`: a row for every subset with the measured loss of every query after training on it.
///
/// What is predicted for a subset is additive, g(S, q) = Σ_{n ∈ S} scores(n, q), and the score is the mean
/// over the queries of
///
/// ```text
/// spearman over the subsets S of ( g(S, q), −loss(S, q) )
/// ```
///
/// The interval holds the percentiles of the same number for subsets and queries drawn with replacement,
/// both anew in every resample. Draws depend on the seed and the numbers of subsets and queries alone, so two
/// strategies on one bank of retrainings are resampled alike. In a resample a query without a spread among the drawn
/// subsets is left out; one in which no query has any is drawn again.
///
/// ```
/// use tamis_metrics::{BootstrapParams, linear_datamodelling_score};
///
/// # fn main() -> Result<(), tamis_metrics::MetricsError> {
/// // Three samples, one query: the first sample helps, the last harms.
/// let scores = [[2.0], [0.5], [-1.0]];
/// let subsets = [[0, 1], [0, 2], [1, 2]];
/// // What training on each pair led to: the first is the best, the last the worst.
/// let losses = [[0.2], [0.3], [0.9]];
/// let bootstrap = BootstrapParams::default().check()?;
/// let found = linear_datamodelling_score(&scores, &subsets, &losses, &bootstrap)?;
/// assert!((found.score - 1.0).abs() < 1e-12);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// - [`MetricsError::NotEnough`] for fewer than three subsets, or without queries.
/// - [`MetricsError::Length`] for rows of other lengths, [`MetricsError::NoSuchSample`] for a position beyond
///   the samples.
/// - [`MetricsError::NonFinite`] with the sample or subset and the query.
/// - [`MetricsError::Constant`] for a query whose losses, or whose predictions, are the same number for all
///   subsets: they have no order that could be compared.
pub fn linear_datamodelling_score<A, S, L>(
    scores: &[A],
    subsets: &[S],
    losses: &[L],
    bootstrap: &Bootstrap,
) -> Result<Lds, MetricsError>
where
    A: AsRef<[f64]>,
    S: AsRef<[usize]>,
    L: AsRef<[f64]>,
{
    let losses = by_query(losses, subsets.len())?;
    let queries = losses.len();
    for row in scores {
        same_length(row.as_ref().len(), queries, "scores of a sample")?;
    }
    let predicted = predictions(scores, subsets, queries)?;
    // −loss, so that more is better on both sides.
    let outcomes: Vec<Vec<f64>> =
        losses.iter().map(|losses| losses.iter().map(|loss| -loss).collect()).collect();
    let mut per_query = Vec::with_capacity(queries);
    for (query, (predicted, outcome)) in predicted.iter().zip(&outcomes).enumerate() {
        refuse_constant(&losses[query], query, "losses")?;
        per_query.push(correlation(predicted, outcome, query, "predictions")?);
    }
    let score = mean(&per_query)?;
    let interval = interval(&predicted, &outcomes, bootstrap);
    Ok(Lds { score, interval, subsets: subsets.len(), per_query })
}

/// How far repeated retrainings of the same subsets agree: per query Spearman's coefficient over the
/// subsets between the losses of two repeats, the mean over all pairs of repeats and all queries.
///
/// `repeats` are banks of losses as in [`linear_datamodelling_score`], each of trainings that differ from
/// those of the others by their random seeds alone. With reliability r of a single training, the mean loss of k of
/// them has `r_k = k r / (1 + (k − 1) r)` (Spearman, 1910; Brown, 1910), and `√r_k` is about the highest score that
/// attributions which knew the expected loss exactly would reach on it.
///
/// # Errors
/// As [`linear_datamodelling_score`], and [`MetricsError::NotEnough`] for a single repeat.
pub fn retraining_agreement<L: AsRef<[f64]>>(repeats: &[Vec<L>]) -> Result<f64, MetricsError> {
    if repeats.len() < 2 {
        return Err(MetricsError::NotEnough { what: "repeats", found: repeats.len(), least: 2 });
    }
    let subsets = repeats[0].len();
    let banks: Vec<Vec<Vec<f64>>> =
        repeats.iter().map(|losses| by_query(losses, subsets)).collect::<Result<_, _>>()?;
    let mut agreements = Vec::new();
    for (n, first) in banks.iter().enumerate() {
        for second in &banks[n + 1..] {
            same_length(second.len(), first.len(), "losses of a subset")?;
            for (query, (a, b)) in first.iter().zip(second).enumerate() {
                refuse_constant(a, query, "losses")?;
                agreements.push(correlation(b, a, query, "losses")?);
            }
        }
    }
    mean(&agreements)
}

/// Rows of numbers for queries, turned: a list for every query. Refuses too few rows, rows of different
/// lengths and what is not finite.
fn by_query<L: AsRef<[f64]>>(rows: &[L], subsets: usize) -> Result<Vec<Vec<f64>>, MetricsError> {
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

/// The sums of scores: a list for every query with a number for every subset.
fn predictions<A: AsRef<[f64]>, S: AsRef<[usize]>>(
    scores: &[A],
    subsets: &[S],
    queries: usize,
) -> Result<Vec<Vec<f64>>, MetricsError> {
    for (sample, row) in scores.iter().enumerate() {
        for (query, &value) in row.as_ref().iter().enumerate() {
            finite(value, || {
                format!("the score of sample {sample} for query {query} (both from 0)")
            })?;
        }
    }
    let mut sums = vec![vec![0.0; subsets.len()]; queries];
    for (n, subset) in subsets.iter().enumerate() {
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

fn interval(predicted: &[Vec<f64>], outcomes: &[Vec<f64>], bootstrap: &Bootstrap) -> Interval {
    let (queries, subsets) = (predicted.len(), predicted[0].len());
    let of_one = |stream| {
        let mut random = Random::new(bootstrap.params().seed, stream);
        loop {
            let rows: Vec<usize> = (0..subsets).map(|_| random.below(subsets)).collect();
            let drawn = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<f64>>();
            let mut times = vec![0_u32; queries];
            (0..queries).for_each(|_| times[random.below(queries)] += 1);
            let (mut sum, mut count) = (0.0, 0);
            for (query, &times) in times.iter().enumerate().filter(|(_, times)| **times > 0) {
                // Checked before: of equal lengths and finite.
                let found = spearman(&drawn(&predicted[query]), &drawn(&outcomes[query]));
                if let Ok(Some(found)) = found {
                    sum += f64::from(times) * found;
                    count += times;
                }
            }
            if count > 0 {
                return sum / f64::from(count);
            }
        }
    };
    let streams = 0..bootstrap.params().resamples as u64;
    let mut values: Vec<f64> = streams.into_par_iter().map(of_one).collect();
    bootstrap.interval(&mut values)
}

fn same_length(found: usize, expected: usize, what: &str) -> Result<(), MetricsError> {
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
fn correlation(
    a: &[f64],
    b: &[f64],
    query: usize,
    what: &'static str,
) -> Result<f64, MetricsError> {
    refuse_constant(a, query, what)?;
    spearman(a, b)?.ok_or(MetricsError::Constant { what, query, value: a[0] })
}

fn refuse_constant(values: &[f64], query: usize, what: &'static str) -> Result<(), MetricsError> {
    if values.iter().any(|value| value - values[0] != 0.0) {
        return Ok(());
    }
    Err(MetricsError::Constant { what, query, value: values[0] })
}
