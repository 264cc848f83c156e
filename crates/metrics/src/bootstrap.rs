//! Resampling of the test set (Koehn, 2004).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tamis_artifact::{ParameterError, Random};

use crate::comparison::share_as_extreme;
use crate::summary::check_confidence;
use crate::systems::Systems;
use crate::{Aggregate, Basis, Comparison, Interval, MetricsError, Test};

/// Settings of the bootstrap, to be [checked](Self::check).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapParams {
    /// How many test sets to draw.
    pub resamples: usize,
    /// Of the interval, between 0 and 1.
    pub confidence: f64,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for BootstrapParams {
    /// 1,000 resamples, 95 %, seed 0.
    fn default() -> Self {
        Self { resamples: 1000, confidence: 0.95, seed: 0 }
    }
}

impl BootstrapParams {
    /// The test with these settings.
    ///
    /// # Errors
    /// [`MetricsError::Parameter`] if there are no resamples, or the confidence does not lie between 0
    /// and 1.
    pub fn check(self) -> Result<Bootstrap, MetricsError> {
        ParameterError::at_least("resamples", self.resamples, 1)?;
        check_confidence(self.confidence)?;
        Ok(Bootstrap(self))
    }
}

/// The bootstrap: what other test sets, drawn from this one with replacement, would have said.
///
/// Both systems are scored on the same drawn segments, which is what makes the test paired.
/// Statistics are added up and never computed anew, so 1,000 resamples of 1,000 segments take
/// milliseconds.
///
/// - The **interval** of the difference lies between the percentiles of the resampled
///   differences (linear between neighbours): 2.5 % and 97.5 % for a confidence of 0.95.
/// - **p** is two-sided. Resampled differences d* scatter around the observed d; moved by their mean
///   they scatter as they would if there were no difference, and p is the share of those at least
///   as far from zero as d, p = (1 + #{|d* − mean d*| ≥ |d|}) / (1 + resamples), the shift method of
///   Riezler and Maxwell (2005).
///
/// sacreBLEU's `--paired-bs` moves |d*| rather than d*, and counts only larger ones, without their absolute
/// value. Where the difference is clear both say the same; where it is not, its p is
/// smaller. Two equal systems have p = 1 here.
///
/// The interval speaks about other test sets. For what other trainings would have given, compare groups
/// of systems that were trained with different seeds, and look at [`Summary`](crate::Summary) of their
/// scores besides: a bootstrap over segments cannot see that spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap(BootstrapParams);

/// A score and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BootstrapEstimate {
    /// Segments of the test set.
    pub n: usize,
    /// The score (the mean score, for several systems).
    pub score: f64,
    /// Where it would lie on other test sets.
    pub interval: Interval,
}

impl Bootstrap {
    /// Its settings.
    pub fn params(&self) -> &BootstrapParams {
        &self.0
    }

    /// Compares two systems on the segments that both have.
    ///
    /// # Errors
    /// Different numbers of segments, fewer than two, or a score that is not finite.
    pub fn compare<A: Aggregate>(
        &self,
        metric: &A,
        first: &[A::Stats],
        second: &[A::Stats],
    ) -> Result<Comparison, MetricsError> {
        self.compare_groups(metric, &[first], &[second])
    }

    /// Compares the mean scores of two groups of systems, of any sizes. All systems of both groups are
    /// scored on the same drawn segments.
    ///
    /// # Errors
    /// As [`compare`](Self::compare), or a group without systems.
    pub fn compare_groups<A: Aggregate, S: AsRef<[A::Stats]>>(
        &self,
        metric: &A,
        first: &[S],
        second: &[S],
    ) -> Result<Comparison, MetricsError> {
        let [a, b] = Systems::pair(metric, first, second)?;
        let (first, second) = (a.score()?, b.score()?);
        let n = a.segments();
        let resampled = self.resample(n, |times| a.resampled(times) - b.resampled(times));
        Ok(self.compared(n, first, second, resampled))
    }

    /// What resampled differences say of two scores on `n` segments.
    pub(crate) fn compared(
        &self,
        n: usize,
        first: f64,
        second: f64,
        mut resampled: Vec<f64>,
    ) -> Comparison {
        let difference = first - second;
        let mean = resampled.iter().sum::<f64>() / resampled.len() as f64;
        let scale = first.abs().max(second.abs());
        let p = share_as_extreme(resampled.iter().map(|d| d - mean), difference, scale);
        Comparison {
            test: Test::PairedBootstrap,
            n,
            first,
            second,
            difference,
            interval: Some(self.interval(&mut resampled)),
            p,
            basis: Basis::Trials { trials: self.0.resamples, seed: self.0.seed },
        }
    }

    /// The mean score of systems (one or more), and where it would lie on other test sets.
    ///
    /// # Errors
    /// As [`compare_groups`](Self::compare_groups).
    pub fn estimate<A: Aggregate, S: AsRef<[A::Stats]>>(
        &self,
        metric: &A,
        systems: &[S],
    ) -> Result<BootstrapEstimate, MetricsError> {
        let systems = Systems::new(metric, systems, "only")?;
        let (n, score) = (systems.segments(), systems.score()?);
        let mut resampled = self.resample(n, |times| systems.resampled(times));
        Ok(BootstrapEstimate { n, score, interval: self.interval(&mut resampled) })
    }

    /// `statistic` of every drawn test set of `n` segments, told how many times each segment is in
    /// it, in the order of the draws.
    ///
    /// With these numbers the statistics are added up in the order in which they lie in memory: with
    /// many segments that is several times as fast as in the order in which they are drawn.
    fn resample(&self, n: usize, statistic: impl Fn(&[u32]) -> f64 + Sync) -> Vec<f64> {
        let of_one = |times: &mut Vec<u32>, number: u64| {
            let mut random = Random::keyed(self.0.seed, "bootstrap", &number.to_string());
            times.clear();
            times.resize(n, 0);
            for _ in 0..n {
                times[random.below(n)] += 1;
            }
            statistic(times)
        };
        (0..self.0.resamples as u64).into_par_iter().map_init(Vec::new, of_one).collect()
    }

    /// Between the percentiles; sorts.
    pub(crate) fn interval(&self, values: &mut [f64]) -> Interval {
        values.sort_unstable_by(f64::total_cmp);
        let confidence = self.0.confidence;
        let beyond = (1.0 - confidence) / 2.0;
        let (low, high) = (quantile(values, beyond), quantile(values, 1.0 - beyond));
        Interval { low, high, confidence }
    }
}

/// Quantile `q` in 0..=1 of ascending numbers, at least one, linear between neighbours.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let share = place - below as f64;
    sorted[below] + (sorted[above] - sorted[below]) * share
}
