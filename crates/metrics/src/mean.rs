//! The mean of segment scores that came from elsewhere, as something that can be resampled.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::{Aggregate, MetricsError};

/// The mean of scores of segments, for example those of a neural metric such as COMET or BLEURT, whose
/// score of a corpus is defined so.
///
/// ```
/// use tamis_metrics::{Aggregate, BootstrapParams, Mean};
///
/// # fn main() -> Result<(), tamis_metrics::MetricsError> {
/// let first = Mean::segments(&[0.81, 0.74, 0.92, 0.66, 0.85])?;
/// let second = Mean::segments(&[0.78, 0.70, 0.93, 0.61, 0.80])?;
/// assert!((Mean.corpus_score(&first) - 0.796).abs() < 1e-12);
/// let bootstrap = BootstrapParams { seed: 1, ..BootstrapParams::default() }.check()?;
/// let compared = bootstrap.compare(&Mean, &first, &second)?;
/// assert!((compared.difference - 0.032).abs() < 1e-12);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mean;

/// A sum of scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanStats {
    /// The sum.
    pub sum: f64,
    /// Of so many scores.
    pub count: u64,
}

impl AddAssign for MeanStats {
    fn add_assign(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

impl Mean {
    /// One statistic for each score.
    ///
    /// # Errors
    /// [`MetricsError::NonFinite`] with the number of the segment.
    pub fn segments(scores: &[f64]) -> Result<Vec<MeanStats>, MetricsError> {
        let of_one = |(n, &sum): (usize, &f64)| {
            if sum.is_finite() {
                Ok(MeanStats { sum, count: 1 })
            } else {
                let what = format!("the score of segment {n} (from 0)");
                Err(MetricsError::NonFinite { what, value: sum })
            }
        };
        scores.iter().enumerate().map(of_one).collect()
    }
}

impl Aggregate for Mean {
    type Stats = MeanStats;

    /// 0 for no scores at all.
    fn score(&self, stats: &MeanStats) -> f64 {
        if stats.count == 0 { 0.0 } else { stats.sum / stats.count as f64 }
    }
}
