//! Correlation of two lists.

use crate::{MetricsError, mean};

/// Pearson's coefficient: how nearly two lists lie on a rising (1) or falling (−1) line. `None` if one of
/// them is the same number throughout: there is no line to lie on.
///
/// # Errors
/// [`MetricsError::Length`], [`MetricsError::TooFew`] for fewer than two values,
/// [`MetricsError::NonFinite`].
pub fn pearson(x: &[f64], y: &[f64]) -> Result<Option<f64>, MetricsError> {
    if x.len() != y.len() {
        return Err(MetricsError::Length {
            what: "values of the second list".to_owned(),
            found: y.len(),
            other: "values of the first list".to_owned(),
            expected: x.len(),
        });
    }
    let (x, y) = (centred(x)?, centred(y)?);
    if x.len() < 2 {
        return Err(MetricsError::TooFew { what: "values", found: x.len() });
    }
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (xx, yy) = (product(&x, &x), product(&y, &y));
    if xx == 0.0 || yy == 0.0 {
        return Ok(None);
    }
    // Two roots: the product of the sums could overflow or vanish.
    Ok(Some((product(&x, &y) / xx.sqrt() / yy.sqrt()).clamp(-1.0, 1.0)))
}

/// Spearman's coefficient: [`pearson`] of the ranks, so that only the order counts. Equal values share the
/// mean of their ranks.
///
/// ```
/// let rho = tamis_metrics::spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 10.0, 100.0, 50.0]).unwrap();
/// assert!((rho.unwrap() - 0.8).abs() < 1e-12);
/// ```
///
/// # Errors
/// As [`pearson`].
pub fn spearman(x: &[f64], y: &[f64]) -> Result<Option<f64>, MetricsError> {
    for values in [x, y] {
        if !values.is_empty() {
            mean(values)?; // refuses what is not finite, which has no rank
        }
    }
    pearson(&ranks(x), &ranks(y))
}

/// Distances to the mean; exactly 0 if all values are the same number, whatever the mean rounds to.
fn centred(values: &[f64]) -> Result<Vec<f64>, MetricsError> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let mean = mean(values)?;
    if values.iter().all(|&value| value - values[0] == 0.0) {
        return Ok(vec![0.0; values.len()]);
    }
    Ok(values.iter().map(|value| value - mean).collect())
}

/// Ranks from 1, the mean rank for equal values.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut begin = 0;
    // By their difference: −0 and 0 are one value.
    for group in order.chunk_by(|&a, &b| values[a] - values[b] == 0.0) {
        let rank = begin as f64 + (group.len() + 1) as f64 / 2.0;
        for &place in group {
            ranks[place] = rank;
        }
        begin += group.len();
    }
    ranks
}
