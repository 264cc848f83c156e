//! The few statistics that reports show.

/// Centre and spread of some numbers; those that are not finite are left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// How many finite numbers there were.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard error of the mean, from the sample variance; 0 for a single number.
    pub standard_error: f64,
    /// Smallest.
    pub min: f64,
    /// 10 % are below, by linear interpolation between order statistics.
    pub p10: f64,
    /// Middle.
    pub median: f64,
    /// 90 % are below.
    pub p90: f64,
    /// Largest.
    pub max: f64,
}

impl Summary {
    /// `None` if there is no finite number.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let sorted = sorted_finite(values);
        let count = sorted.len();
        if count == 0 {
            return None;
        }
        let n = count as f64;
        // Divided first, so that huge values do not overflow the sum.
        let mean = sorted.iter().map(|v| v / n).sum::<f64>();
        let variance = if count < 2 {
            0.0
        } else {
            sorted.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)
        };
        Some(Self {
            count,
            mean,
            standard_error: (variance / n).sqrt(),
            min: sorted[0],
            p10: quantile(&sorted, 0.1),
            median: quantile(&sorted, 0.5),
            p90: quantile(&sorted, 0.9),
            max: sorted[count - 1],
        })
    }
}

/// The finite values in ascending order.
pub(crate) fn sorted_finite(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut kept: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    kept.sort_unstable_by(f64::total_cmp);
    kept
}

/// Quantile `q` in 0..=1 of ascending numbers, at least one, by linear interpolation.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let share = place - below as f64;
    // Two products instead of a difference: the difference of huge numbers can overflow.
    sorted[below] * (1.0 - share) + sorted[above] * share
}
