//! The paired t-test.

use crate::{Basis, Comparison, MetricsError, StudentT, Summary, Test, mean};

/// Whether the mean of segment scores differs, by Student's t-test of the differences of each segment.
///
/// Two-sided p, and the interval of the mean difference, from the distribution with n − 1 degrees of
/// freedom. It compares means of *segment* scores: for BLEU, chrF and TER these are not the score
/// of the corpus, so its difference is another number than that of the resampling tests.
///
/// If all differences are the same number there is no t; p is then 1 if that is 0, and 0 if not.
///
/// ```
/// let first = [31.0, 28.5, 40.0, 22.0];
/// let second = [30.0, 27.0, 38.0, 23.0];
/// let test = tamis_metrics::paired_t_test(&first, &second, 0.95).unwrap();
/// assert_eq!((test.n, test.difference), (4, 0.875));
/// assert!((test.p - 0.2754).abs() < 1e-4);
/// ```
///
/// # Errors
/// Different numbers of scores, fewer than two, one that is not finite, or a confidence that does not
/// lie between 0 and 1.
pub fn paired_t_test(
    first: &[f64],
    second: &[f64],
    confidence: f64,
) -> Result<Comparison, MetricsError> {
    if first.len() != second.len() {
        return Err(MetricsError::Length {
            what: "segment scores of the second system".to_owned(),
            found: second.len(),
            other: "segment scores of the first system".to_owned(),
            expected: first.len(),
        });
    }
    let n = first.len();
    if n < 2 {
        return Err(MetricsError::TooFew { what: "segments", found: n });
    }
    let means = (mean(first)?, mean(second)?);
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
    let of_them = Summary::of(&differences, confidence)?;
    let degrees_of_freedom = (n - 1) as f64;
    let (t, p) = if of_them.std > 0.0 {
        let t = of_them.mean / (of_them.std / (n as f64).sqrt());
        (Some(t), StudentT::new(degrees_of_freedom)?.two_sided_p(t))
    } else {
        (None, if of_them.mean == 0.0 { 1.0 } else { 0.0 })
    };
    Ok(Comparison {
        test: Test::PairedT,
        n,
        first: means.0,
        second: means.1,
        difference: of_them.mean,
        interval: Some(of_them.interval),
        p,
        basis: Basis::StudentT { t, degrees_of_freedom },
    })
}

/// The mean over systems of the scores of each segment: a group of systems as one, for
/// [`paired_t_test`].
///
/// # Errors
/// No system, or systems with different numbers of segments.
pub fn segment_means<S: AsRef<[f64]>>(systems: &[S]) -> Result<Vec<f64>, MetricsError> {
    let Some(first) = systems.first() else {
        return Err(MetricsError::NoSystems { which: "only" });
    };
    let mut sums = vec![0.0; first.as_ref().len()];
    for (k, scores) in systems.iter().map(AsRef::as_ref).enumerate() {
        if scores.len() != sums.len() {
            return Err(MetricsError::Length {
                what: format!("scores of system {k} (from 0)"),
                found: scores.len(),
                other: "scores of the first system".to_owned(),
                expected: sums.len(),
            });
        }
        for (sum, score) in sums.iter_mut().zip(scores) {
            *sum += score;
        }
    }
    Ok(sums.into_iter().map(|sum| sum / systems.len() as f64).collect())
}
