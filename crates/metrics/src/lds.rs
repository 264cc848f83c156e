//! The linear datamodelling score: how well attributions foretell what retraining does.

use serde::{Deserialize, Serialize};

use crate::retrainings::{Retrainings, by_query, correlation, refuse_constant, same_length};
use crate::{Bootstrap, Comparison, Interval, MetricsError, mean};

/// How good attribution scores are, and where the same score would lie for other subsets and
/// queries.
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

/// The linear datamodelling score of attributions (Park et al., 2023, arXiv 2303.14186, section 2).
///
/// - `scores`: a row for every sample with a number for every query; **positive: the sample
///   helps**, so that training on it lowers the query's loss. Any unit: only the order of sums
///   counts.
/// - `subsets`: positions of samples, each set the data of one retraining; usually random halves.
/// - `losses`: a row for every subset with the measured loss of every query after training on it.
///
/// What is predicted for a subset is additive, g(S, q) = Σ_{n ∈ S} scores(n, q), and the score is
/// the mean over the queries of
///
/// ```text
/// spearman over the subsets S of ( g(S, q), −loss(S, q) )
/// ```
///
/// The interval holds the percentiles of the same number for subsets and queries drawn with
/// replacement, both anew in every resample. A query without a spread among the drawn subsets is
/// left out of its resample; one in which no query has any is drawn again. Whether one strategy is
/// better than another is told by [`compare_attributions`].
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
/// - [`MetricsError::Length`] for rows of other lengths, [`MetricsError::NoSuchSample`] for a
///   position beyond the samples.
/// - [`MetricsError::NonFinite`] with the sample or subset and the query.
/// - [`MetricsError::Constant`] for a query whose losses, or whose predictions, are the same number
///   for all subsets: they have no order that could be compared.
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
    let bank = Retrainings::new(subsets, losses)?;
    let predicted = bank.predictions(scores)?;
    let per_query = bank.correlations(&predicted)?;
    let score = mean(&per_query)?;
    let resampled = bank.resampled([&predicted], bootstrap);
    let interval =
        bootstrap.interval(&mut resampled.into_iter().map(|[score]| score).collect::<Vec<_>>());
    Ok(Lds { score, interval, subsets: subsets.len(), per_query })
}

/// Compares the [linear datamodelling scores](linear_datamodelling_score) of two attributions on
/// one bank of retrainings.
///
/// Both are scored on the same drawn subsets and queries, so what is hard for both does not blur
/// their difference; interval and p are made of the resampled differences as those of
/// [`Bootstrap::compare`]. The comparison's `n` is the number of subsets.
///
/// # Errors
/// As [`linear_datamodelling_score`].
pub fn compare_attributions<A, B, S, L>(
    first: &[A],
    second: &[B],
    subsets: &[S],
    losses: &[L],
    bootstrap: &Bootstrap,
) -> Result<Comparison, MetricsError>
where
    A: AsRef<[f64]>,
    B: AsRef<[f64]>,
    S: AsRef<[usize]>,
    L: AsRef<[f64]>,
{
    let bank = Retrainings::new(subsets, losses)?;
    let (a, b) = (bank.predictions(first)?, bank.predictions(second)?);
    let (first, second) = (mean(&bank.correlations(&a)?)?, mean(&bank.correlations(&b)?)?);
    let resampled = bank.resampled([&a, &b], bootstrap).into_iter().map(|[a, b]| a - b).collect();
    Ok(bootstrap.compared(subsets.len(), first, second, resampled))
}

/// How far repeated retrainings of the same subsets agree: per query Spearman's coefficient over
/// the subsets between the losses of two repeats, the mean over all pairs of repeats and all
/// queries.
///
/// `repeats` are banks of losses as in [`linear_datamodelling_score`], each of trainings that
/// differ from those of the others by their random seeds alone. With reliability r of a single
/// training, the mean loss of k of them has `r_k = k r / (1 + (k − 1) r)` (Spearman, 1910; Brown,
/// 1910), and `√r_k` is about the highest score that attributions which knew the expected loss
/// exactly would reach on it.
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
