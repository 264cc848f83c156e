//! Centre, spread and interval of a few numbers.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::{Interval, MetricsError, StudentT};

/// The arithmetic mean.
///
/// # Errors
/// [`MetricsError::TooFew`] for no values, [`MetricsError::NonFinite`].
pub fn mean(values: &[f64]) -> Result<f64, MetricsError> {
    if values.is_empty() {
        return Err(MetricsError::TooFew { what: "values", found: 0 });
    }
    for (n, &value) in values.iter().enumerate() {
        if !value.is_finite() {
            return Err(MetricsError::NonFinite { what: format!("value {n} (from 0)"), value });
        }
    }
    // Divided first, so that huge values do not overflow the sum, unless that loses digits.
    let n = values.len() as f64;
    let sum: f64 = values.iter().sum();
    Ok(if sum.is_finite() { sum / n } else { values.iter().map(|v| v / n).sum() })
}

/// The standard deviation with n − 1 degrees of freedom.
///
/// # Errors
/// [`MetricsError::TooFew`] for fewer than two values, [`MetricsError::NonFinite`].
pub fn sample_std(values: &[f64]) -> Result<f64, MetricsError> {
    let mean = mean(values)?;
    if values.len() < 2 {
        return Err(MetricsError::TooFew { what: "values", found: values.len() });
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Ok((squares / (values.len() - 1) as f64).sqrt())
}

/// Mean, standard deviation and t-interval of a sample, for example of the scores of three trainings.
///
/// ```
/// let scores = tamis_metrics::Summary::of(&[31.2, 32.0, 31.6], 0.95).unwrap();
/// assert!((scores.mean - 31.6).abs() < 1e-12 && (scores.std - 0.4).abs() < 1e-12);
/// assert!((scores.interval.high - 32.594).abs() < 1e-3); // three values do not say much
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many values.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the values, n − 1 degrees of freedom.
    pub std: f64,
    /// Where the mean lies: mean ± t · std / √n.
    pub interval: Interval,
}

impl Summary {
    /// # Errors
    /// [`MetricsError::TooFew`] for fewer than two values, [`MetricsError::NonFinite`], or a confidence
    /// that does not lie between 0 and 1.
    pub fn of(values: &[f64], confidence: f64) -> Result<Self, MetricsError> {
        let (mean, std, n) = (mean(values)?, sample_std(values)?, values.len());
        let t = StudentT::new((n - 1) as f64)?.critical(confidence)?;
        let half = t * std / (n as f64).sqrt();
        let interval = Interval { low: mean - half, high: mean + half, confidence };
        Ok(Self { n, mean, std, interval })
    }
}

/// # Errors
/// [`MetricsError::Parameter`] if it does not lie between 0 and 1.
pub(crate) fn check_confidence(confidence: f64) -> Result<(), MetricsError> {
    let possible = confidence > 0.0 && confidence < 1.0;
    let expected = "a number between 0 and 1, such as 0.95";
    Ok(ParameterError::require(possible, "confidence", confidence, expected)?)
}
