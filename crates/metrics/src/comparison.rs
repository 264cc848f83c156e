//! What a test of two systems says.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a number lies with this confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How often an interval made like this holds the true number, for example 0.95.
    pub confidence: f64,
}

/// Which test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// [`paired_t_test`](crate::paired_t_test).
    PairedT,
    /// [`Bootstrap`](crate::Bootstrap).
    PairedBootstrap,
    /// [`Randomisation`](crate::Randomisation).
    ApproximateRandomisation,
}

impl fmt::Display for Test {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::PairedT => "paired t-test",
            Self::PairedBootstrap => "paired bootstrap",
            Self::ApproximateRandomisation => "approximate randomisation",
        })
    }
}

/// How p came about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Basis {
    /// From Student's distribution.
    StudentT {
        /// The mean difference in standard errors; `None` if all differences are the same number.
        t: Option<f64>,
        /// One less than the segments.
        degrees_of_freedom: f64,
    },
    /// By trying.
    Trials {
        /// How many resamples or exchanges.
        trials: usize,
        /// Their seed.
        seed: u64,
    },
}

/// Two systems, or two groups of systems, on the same test set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Which test.
    pub test: Test,
    /// Segments of the test set.
    pub n: usize,
    /// The score of the first (the mean score of its systems, for a group).
    pub first: f64,
    /// The score of the second.
    pub second: f64,
    /// First minus second.
    pub difference: f64,
    /// Where the difference lies, if the test says so.
    pub interval: Option<Interval>,
    /// How probable a difference at least as large in either direction would be if there were none
    /// (two-sided).
    pub p: f64,
    /// How p came about.
    #[serde(flatten)]
    pub basis: Basis,
}

/// Differences this close to each other, relative to the scores, are the same: a resample that is as
/// extreme as the observed difference counts whatever rounding did to it.
const ROUNDING: f64 = 1e-12;

/// The share of trials at least as extreme as what was observed, itself counted among them: it is one
/// outcome of the null hypothesis too, and p is never 0 (Davison and Hinkley, 1997, § 4.2).
pub(crate) fn share_as_extreme(
    trials: impl IntoIterator<Item = f64>,
    observed: f64,
    scale: f64,
) -> f64 {
    let least = observed.abs() - ROUNDING * scale;
    let (mut extreme, mut all) = (1_u64, 1_u64);
    for trial in trials {
        extreme += u64::from(trial.abs() >= least);
        all += 1;
    }
    extreme as f64 / all as f64
}
