//! Exchange of the outputs of two systems (Riezler and Maxwell, 2005).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tamis_artifact::{ParameterError, Random};

use crate::comparison::share_as_extreme;
use crate::systems::Systems;
use crate::{Aggregate, Basis, Comparison, MetricsError, Test};

/// Settings of approximate randomisation, to be [checked](Self::check).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomisationParams {
    /// How many exchanges to try.
    pub trials: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for RandomisationParams {
    /// 10,000 trials, seed 0.
    fn default() -> Self {
        Self { trials: 10_000, seed: 0 }
    }
}

impl RandomisationParams {
    /// The test with these settings.
    ///
    /// # Errors
    /// [`MetricsError::Parameter`] if there are no trials.
    pub fn check(self) -> Result<Randomisation, MetricsError> {
        ParameterError::at_least("trials", self.trials, 1)?;
        Ok(Randomisation(self))
    }
}

/// Approximate randomisation: if two systems do not differ, it does not matter which of them a segment's
/// output came from.
///
/// In every trial a fair coin for each segment decides whether the systems exchange their outputs
/// of it. p is the share of trials whose difference is at least as large as the observed one, in either
/// direction: p = (1 + #{|d*| ≥ |d|}) / (1 + trials). The test assumes less than the
/// bootstrap and rejects wrongly less often (Riezler and Maxwell, 2005), but gives no interval.
///
/// sacreBLEU's `--paired-ar` counts only trials with a larger difference, which matters for tiny test
/// sets and for equal systems alone: those have p = 1 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Randomisation(RandomisationParams);

impl Randomisation {
    /// Its settings.
    pub fn params(&self) -> &RandomisationParams {
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

    /// Compares the mean scores of two groups of as many systems. System k of one group exchanges with
    /// system k of the other, all pairs the same segments: it is the segments that are exchangeable,
    /// not the trainings.
    ///
    /// # Errors
    /// As [`compare`](Self::compare), groups of different sizes, or without systems.
    pub fn compare_groups<A: Aggregate, S: AsRef<[A::Stats]>>(
        &self,
        metric: &A,
        first: &[S],
        second: &[S],
    ) -> Result<Comparison, MetricsError> {
        let [a, b] = Systems::pair(metric, first, second)?;
        if a.systems().len() != b.systems().len() {
            let (first, second) = (a.systems().len(), b.systems().len());
            return Err(MetricsError::Unpaired { first, second });
        }
        let (first, second) = (a.score()?, b.score()?);
        let n = a.segments();
        let trial = |(exchanged, sums): &mut (Vec<u64>, Vec<[A::Stats; 2]>), number: u64| {
            let mut random =
                Random::keyed(self.0.seed, "approximate randomisation", &number.to_string());
            exchanged.clear();
            exchanged.extend((0..n.div_ceil(64)).map(|_| random.next_u64()));
            sums.clear();
            for (a, b) in a.systems().iter().zip(b.systems()) {
                sums.push(exchange(a, b, exchanged));
            }
            a.mean(sums.iter().map(|sum| sum[0])) - b.mean(sums.iter().map(|sum| sum[1]))
        };
        let trials: Vec<f64> = (0..self.0.trials as u64)
            .into_par_iter()
            .map_init(|| (Vec::new(), Vec::new()), trial)
            .collect();
        let difference = first - second;
        let scale = first.abs().max(second.abs());
        Ok(Comparison {
            test: Test::ApproximateRandomisation,
            n,
            first,
            second,
            difference,
            interval: None,
            p: share_as_extreme(trials, difference, scale),
            basis: Basis::Trials { trials: self.0.trials, seed: self.0.seed },
        })
    }
}

/// The sums of two systems that have exchanged the segments whose bit is set.
fn exchange<S: crate::Statistics>(a: &[S], b: &[S], bits: &[u64]) -> [S; 2] {
    let mut sums = [S::default(); 2];
    for ((a, b), &bits) in a.chunks(64).zip(b.chunks(64)).zip(bits) {
        for (n, pair) in a.iter().zip(b).enumerate() {
            let to = (bits >> n & 1) as usize;
            sums[to] += *pair.0;
            sums[1 - to] += *pair.1;
        }
    }
    sums
}
